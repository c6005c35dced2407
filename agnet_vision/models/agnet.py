"""AGNet: a timm backbone with the AG-Net head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agnet_vision.models.backbone import TimmBackbone
from agnet_vision.models.head import POOL_SIZE, AGNetHead, Variant
from agnet_vision.models.layers import Attention
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Regions


class AGNet(nn.Module):
    """A CNN that looks where its keypoints are: timm backbone, then ``AGNetHead``.

    Args:
        backbone: any timm model name.
        num_classes: number of logits.
        num_clusters: kappa, the number of primary regions; 8 (paper).
        variant: see ``AGNetHead``.
        pretrained: load timm's pretrained weights into the backbone.
        taps: None for the backbone's last map (paper), or the stages whose maps the head reads, ``(-2,)`` or ``(-2, -1)``: see
            ``TimmBackbone``.
        backbone_kwargs: passed on to ``timm.create_model`` (``in_chans``, ``output_stride``, ``drop_path_rate`` ...).
        head_kwargs: passed on to ``AGNetHead`` (``pool_size``, ``normalize_context``, ``dropout`` ...). Where the
            map is smaller than the paper's 7 x 7 grid, ``pool_size`` is its side (ours).
        classes: names of the classes in the order of the logits; they travel with the weights.
        proposer: makes the regions when ``forward`` gets none; by default SIFT with this kappa.
        image_size: side in pixels of the images to come, which decides ``pool_size``; ``data_config``'s by default.

    Attributes:
        data_config: input size, interpolation, mean and std the backbone was trained with, as timm names them.

    Raises:
        ValueError: an option does not fit the others.
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        num_clusters: int = 8,
        variant: Variant = "full",
        pretrained: bool = False,
        taps: Sequence[int] | None = None,
        backbone_kwargs: Mapping[str, Any] | None = None,
        head_kwargs: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        proposer: RegionProposer | None = None,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        if classes is not None and len(classes) != num_classes:
            raise ValueError(
                f"classes must name all {num_classes} classes, got {len(classes)} names"
            )
        if nameless := [name for name in classes or () if not isinstance(name, str)]:
            raise ValueError(f"classes must be strings, got {nameless[0]!r}")
        if proposer is not None and proposer.num_clusters != num_clusters:
            raise ValueError(
                f"proposer must have num_clusters={num_clusters}, got {proposer.num_clusters}"
            )
        self.backbone_name, self.taps = backbone, tuple(taps) if taps is not None else None
        self.backbone_kwargs, self.head_kwargs = (
            dict(backbone_kwargs or {}),
            dict(head_kwargs or {}),
        )
        self.backbone = TimmBackbone(
            backbone, pretrained=pretrained, taps=taps, options=self.backbone_kwargs
        )
        side = -(-image_size // self.backbone.stride) if image_size else min(self.backbone.map_size)
        self.head_kwargs.setdefault("pool_size", min(POOL_SIZE, side))
        self.head = AGNetHead(
            self.backbone.channels,
            num_classes,
            num_clusters=num_clusters,
            variant=variant,
            **self.head_kwargs,
        )
        self.classes = tuple(classes) if classes is not None else None
        self.data_config = self.backbone.data_config()
        self.proposer = proposer or RegionProposer(num_clusters=num_clusters)

    def forward(
        self,
        images: Float[Tensor, "batch in_channels image_height image_width"],
        regions: Regions | None = None,
        return_attention: bool = False,
    ) -> Float[Tensor, "batch classes"] | tuple[Float[Tensor, "batch classes"], Attention]:
        """Classify normalised images.

        Args:
            images: normalised with ``data_config``'s mean and std.
            regions: boxes and mask; without them they are proposed from the images here: correct, but slow.
            return_attention: also return importance (B, R) and pairwise (B, R, R).

        Raises:
            ValueError: images or regions do not fit the model; see ``AGNetHead``.
        """
        if regions is None and self.head.variant != "backbone_only":
            regions = self.propose(images)
        return self.head(self.forward_features(images), regions, return_attention)

    def forward_features(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the backbone's map."""
        return self.backbone(images)

    @torch.no_grad()
    def propose(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Regions:
        """Propose regions for normalised images, on their device.

        Raises:
            ValueError: the images are neither RGB nor grey.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"regions are proposed from (B, 3 or 1, H, W) images, got {tuple(images.shape)}; pass regions"
            )
        mean = images.new_tensor(self.data_config["mean"])[:, None, None]
        std = images.new_tensor(self.data_config["std"])[:, None, None]
        pixels = (
            ((images * std + mean) * 255)
            .round()
            .clamp(0, 255)
            .to(torch.uint8)
            .expand(-1, 3, -1, -1)
        )
        return self.proposer(list(pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy())).to(
            images.device
        )

    def config(self) -> dict[str, Any]:
        """Return what it takes to rebuild the network and to prepare its input, as plain JSON types."""
        return {
            "backbone": self.backbone.architecture,
            "backbone_kwargs": {
                k: v for k, v in self.backbone_kwargs.items() if k not in _REACHING_OUT
            },
            "taps": list(self.taps) if self.taps is not None else None,
            "head_kwargs": self.head_kwargs,
            "num_classes": self.head.num_classes,
            "num_clusters": self.head.num_clusters,
            "variant": self.head.variant,
            "classes": list(self.classes) if self.classes is not None else None,
            "data_config": {
                k: list(v) if isinstance(v, tuple) else v for k, v in self.data_config.items()
            },
            "regions": self.proposer.settings(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> AGNet:
        """Build the network that ``config()`` described, with fresh weights; nothing is downloaded or read from disk.

        Raises:
            ValueError: an entry is missing, unknown or not allowed.
        """
        expected = {*_PLAIN, "data_config", "regions"}
        if set(config) != expected:
            raise ValueError(f"config must have exactly {sorted(expected)}, got {sorted(config)}")
        reaching_out = sorted(_REACHING_OUT & set(config["backbone_kwargs"]))
        if ":" in config["backbone"] or reaching_out:
            raise ValueError(
                f"config must name a timm architecture and no files, got backbone {config['backbone']!r} with {reaching_out}"
            )
        model = cls(
            **{k: config[k] for k in _PLAIN},
            proposer=RegionProposer.from_settings(config["regions"]),
        )
        model.data_config = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config["data_config"].items()
        }
        _check_data_config(model.data_config, model.backbone.in_channels)
        return model

    def save_pretrained(
        self, folder: Path | str, *, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write weights, configuration and a model card; see ``agnet_vision.models.hub``."""
        from agnet_vision.models.hub import save_pretrained  # hub builds on this file

        save_pretrained(self, folder, metrics=metrics)


def _check_data_config(config: Mapping[str, Any], channels: int) -> None:
    """Refuse a description of the input that nothing could be prepared by: found here, not at the first photograph."""
    for name, count in (("input_size", 3), ("mean", channels), ("std", channels)):
        values: Any = config.get(name)
        numbers = (
            isinstance(values, tuple)
            and len(values) == count
            and all(isinstance(v, int | float) for v in values)
        )
        if not numbers or (name != "mean" and min(values) <= 0):
            sign = "" if name == "mean" else "positive "
            raise ValueError(
                f"data_config must have {count} {sign}numbers as {name}, got {values!r}"
            )


# What config() takes over from the constructor as it stands.
_PLAIN = (
    "backbone",
    "backbone_kwargs",
    "taps",
    "head_kwargs",
    "num_classes",
    "num_clusters",
    "variant",
    "classes",
)
# Arguments of timm.create_model that read files or the network: a configuration from a stranger may not have them.
_REACHING_OUT = {
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_strict",
    "cache_dir",
}
