"""The options of backbone, head and regions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import FiniteFloat

from agnet_vision.choices import Detector, Grouping, Pooling, Source, Variant
from agnet_vision.options.fields import LocalPath, Options, Seed, Text, option
from agnet_vision.options.validation import did_you_mean

# Arguments of timm.create_model that this library gives itself.
TAKEN = (
    "checkpoint_path",
    "features_only",
    "in_chans",
    "num_classes",
    "output_stride",
    "pretrained",
)


class BackboneConfig(Options):
    """Options of the network that makes the feature map."""

    name: Text = option("any name of timm.list_models()")
    pretrained: bool = option("start from ImageNet weights, fetched on first use")
    checkpoint: LocalPath | None = option(
        "weights instead: .pth, .safetensors, or a run folder or checkpoint of this library"
    )
    output_stride: Literal[8, 16, 32] | None = option(
        "pixels of the input to a cell of the map; 16 instead of 32 doubles its sides"
    )
    taps: list[int] | None = option(
        "null: the last map; [-2]: the last but one, twice as fine; [-2,-1]: both",
        rule="a list such as [-2] or [-2,-1]",
        min_length=1,
    )
    freeze_at: int = option(
        "the stem and this many stages stay as they are for the whole run; 0: none (ours)", ge=0
    )
    kwargs: dict[str, Any] = option(
        "anything else timm.create_model takes: backbone.kwargs.drop_path_rate=0.1",
        rule="options of timm.create_model such as {drop_path_rate: 0.1}",
    )

    def check_name(self) -> None:
        """Refuse a network that timm does not have, and what it could not be opened with again.

        This imports timm and with it torch, so it is the last of all checks.
        """
        import timm

        from agnet_vision.models.description import REACHING_OUT, check_backbone

        if not timm.is_model(self.name):
            hint = did_you_mean(self.name, timm.list_models()) or "; timm.list_models() lists all"
            raise ValueError(f"timm has no model {self.name!r}{hint}")
        if taken := sorted(set(TAKEN) & set(self.kwargs)):
            raise ValueError(
                f"backbone.kwargs must not have {taken[0]}, which other options and the dataset "
                "decide; leave it out"
            )
        check_backbone(self.name, {k: v for k, v in self.kwargs.items() if k not in REACHING_OUT})


class HeadConfig(Options):
    """Options of ``AGNetHead``."""

    pooling: Pooling = option(
        "before the classifier: a learned mix of max and average pooling (paper), the "
        "average, or an average with learned weights"
    )
    dropout: FiniteFloat = option(
        "part of the channels dropped before the classifier", bound="dropout"
    )
    width: int | None = option(
        "channels that the map is reduced to first; null: the map's own (paper)", bound="width"
    )
    pool_size: int | None = option(
        "cells per side of a pooled region; null: the paper's 7, less on small maps",
        bound="pool_size",
    )
    upsample: int | None = option(
        "side that the map is enlarged to before regions are pooled; null: as it is; free of cost",
        bound="upsample",
    )
    region_dropout: FiniteFloat = option(
        "part of the regions left out in training, never the whole image", bound="region_dropout"
    )
    attention_units: int = option("hidden units of the pairwise attention", bound="attention_units")
    normalize_context: bool = option(
        "take the mean of regions (ours), not their sum (paper), as a region's context"
    )


class ModelConfig(Options):
    """Variant and head of the network."""

    variant: Variant = option("the whole method, or one of the paper's ablations")
    head: HeadConfig


class RegionsConfig(Options):
    """Options of ``agnet_vision.RegionProposer``, from which the regions come."""

    source: Source = option("the paper's keypoints, or a control without them")
    detector: Detector = option("detector of the keypoints; dense: a regular grid of points")
    num_clusters: int = option(
        "groups of keypoints, kappa of the paper; 8 give 8 + 28 + 1 regions", bound="num_clusters"
    )
    keep_fraction: FiniteFloat = option(
        "part of the detected locations that is kept, strongest first", bound="keep_fraction"
    )
    max_side: int = option(
        "longer side, in pixels, at which keypoints are sought", bound="max_side"
    )
    grouping: Grouping = option("fit of the groups; sklearn: the textbook's, ten times slower")
    seed: Seed = option("seed of the fit of the groups")
