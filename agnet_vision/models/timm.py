"""``agnet_resnet50`` and friends: AGNet as timm's programs expect it.

``register_timm_models`` adds an entry point to timm for every name in ``BACKBONES``; ``import
agnet_vision`` calls it. ``pretrained=True`` loads timm's weights of the backbone, and tags name
them as usual: ``timm.create_model("agnet_resnet50.a1_in1k", pretrained=True, num_classes=40)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import timm
from jaxtyping import Float
from timm.models import generate_default_cfgs, get_pretrained_cfg, register_model
from torch import Tensor, nn

from agnet_vision.models.agnet import AGNet
from agnet_vision.structures import Regions

# Each becomes ``agnet_<name>``; any other timm backbone is ``AGNet(name, ...)``.
BACKBONES = (
    "convnext_tiny",
    "densenet121",
    "dm_nfnet_f0",
    "efficientnet_b0",
    "hrnet_w18",
    "inception_v3",
    "maxvit_nano_rw_256",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "regnety_032",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnext50_32x4d",
    "swin_tiny_patch4_window7_224",
    "test_resnet",
    "vgg16_bn",
    "vit_small_patch16_224",
    "xception41",
)
INNER = "backbone.model."  # where the timm model's parameters are inside an AGNet
CLASSIFIER = "head.classifier.linear"
OWN_OPTIONS = ("num_clusters", "variant", "taps", "classes", "proposer")  # of AGNet
default_cfgs: dict[str, Any] = {}  # timm looks here for the weights an entry point has


class TimmAGNet(AGNet):
    """An ``AGNet`` with what timm expects of a model.

    Args:
        backbone: any timm model name.
        num_classes: number of logits.
        options: ``AGNet``'s.
    """

    def __init__(self, backbone: str, num_classes: int, **options: Any) -> None:
        super().__init__(backbone, num_classes, **options)
        self.num_features = self.head_hidden_size = self.backbone.channels
        self.feature_info = self.backbone.model.feature_info
        self.pretrained_cfg = _own(self.backbone.model.pretrained_cfg) | {
            "num_classes": num_classes
        }
        self.default_cfg = self.pretrained_cfg  # timm's old name for it

    @property
    def num_classes(self) -> int:
        """Return the number of logits."""
        return self.head.num_classes

    def forward_features(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the map, which remembers its images for ``forward_head``."""
        feature_map = self.backbone(images)
        feature_map.images = images
        return feature_map

    def forward_head(
        self,
        feature_map: Float[Tensor, "batch channels height width"],
        pre_logits: bool = False,
        regions: Regions | None = None,
    ) -> Float[Tensor, "batch outputs"]:
        """Classify a map of ``forward_features``.

        Args:
            feature_map: the map.
            pre_logits: return what the linear layer sees instead of the logits.
            regions: boxes and mask; without them they are proposed from the map's images.

        Raises:
            ValueError: there are no regions, and the map does not come straight from
                ``forward_features``.
        """
        if regions is None and self.head.needs_regions:
            if not hasattr(feature_map, "images"):
                raise ValueError(
                    "forward_head needs regions for a map that is not straight from "
                    "forward_features"
                )
            regions = self.propose(feature_map.images)
        return self.head(feature_map, regions, pre_logits=pre_logits)

    def get_classifier(self) -> nn.Module:
        """Return the last linear layer."""
        return self.head.classifier.linear

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Make the last linear layer anew, or remove it.

        Raises:
            ValueError: another pooling is asked for.
        """
        _check_pooling(global_pool)
        weight = next(self.head.classifier.parameters())
        linear = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.head.classifier.linear = linear.to(device=weight.device, dtype=weight.dtype)
        self.head.num_classes, self.classes = num_classes, None
        self.pretrained_cfg["num_classes"] = num_classes

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return the backbone's layer groups, the head being the last."""
        matcher = self.backbone.model.group_matcher(coarse=coarse)
        return {group: _prefixed(patterns) for group, patterns in matcher.items()}

    def no_weight_decay(self) -> set[str]:
        """Return the names timm's optimizers leave without weight decay."""
        names: set[str] = getattr(self.backbone.model, "no_weight_decay", set)()
        return {INNER + name for name in names}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade the backbone's memory for time."""
        self.backbone.model.set_grad_checkpointing(enable)


def _prefixed(patterns: Any) -> Any:
    """Put ``INNER`` before timm's patterns: one, or (pattern, group) pairs.

    timm's patterns use '^' only at the start.
    """
    if isinstance(patterns, str):
        unanchored = re.sub(r"(?<!\[)\^", "", patterns)
        return f"^{re.escape(INNER)}(?:{unanchored})"
    return [(_prefixed(pattern), group) for pattern, group in patterns]


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """Rename the layers in a pretrained configuration of the backbone."""
    first = config.get("first_conv")
    firsts = first if isinstance(first, (tuple, list)) else [first] if first else []
    names = tuple(INNER + name for name in firsts)
    return {
        **config,
        "classifier": CLASSIFIER,
        "first_conv": names[0] if len(names) == 1 else names or None,
    }


def _check_pooling(global_pool: str | None) -> None:
    """Refuse another pooling than 'avg', the default of timm's programs."""
    if global_pool not in (None, "avg"):
        raise ValueError(
            f"global_pool cannot be changed, the head pools by itself; got {global_pool!r}"
        )


def register_timm_models() -> None:
    """Make ``agnet_<backbone>`` and its pretrained tags known to timm."""
    for backbone in BACKBONES:
        tags = timm.list_models(f"{backbone}.*", pretrained=True) or [backbone]
        configs = {tag: get_pretrained_cfg(tag) for tag in tags}
        own: dict[str, Any] = {
            f"agnet_{tag}": replace(config, classifier=CLASSIFIER)
            for tag, config in configs.items()
            if config is not None
        }
        default_cfgs.update(generate_default_cfgs(own))
        register_model(_entry_point(backbone))


def _entry_point(backbone: str) -> Callable[..., TimmAGNet]:
    """Make the function that timm's factory calls."""

    def create(pretrained: bool = False, **options: Any) -> TimmAGNet:
        """Build the model from timm's options, ours and the backbone's."""
        options = {key: value for key, value in options.items() if value is not None}
        _check_pooling(options.pop("global_pool", None))
        own = {key: options.pop(key) for key in OWN_OPTIONS if key in options}
        head = options.pop("head_kwargs", {})
        if "drop_rate" in options:
            head = {"dropout": options.pop("drop_rate"), **head}
        return TimmAGNet(
            backbone,
            options.pop("num_classes", 1000),
            pretrained=pretrained,
            head_kwargs=head,
            backbone_kwargs=options,
            **own,
        )

    create.__name__ = create.__qualname__ = f"agnet_{backbone}"
    return create
