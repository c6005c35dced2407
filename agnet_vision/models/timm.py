"""AGNet by timm's factory: ``timm.create_model("agnet_resnet50", num_classes=10)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import timm
from timm.models import register_model

from agnet_vision.models.agnet import AGNet


class TimmAGNet(AGNet):
    """An ``AGNet`` with what timm's training programs ask of a model."""

    def __init__(self, backbone: str, num_classes: int, **options: Any) -> None:
        super().__init__(backbone, num_classes, **options)
        self.num_classes = num_classes
        self.pretrained_cfg = {**self.backbone.model.pretrained_cfg, "num_classes": num_classes}
        self.default_cfg = self.pretrained_cfg  # timm's old name for it

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade the backbone's memory for time."""
        self.backbone.model.set_grad_checkpointing(enable)


def register_timm_models() -> None:
    """Make ``agnet_<name>`` known to timm for every model it has, with the tags of its weights."""
    for backbone in timm.list_models(exclude_filters="agnet_*"):
        if not timm.is_model(f"agnet_{backbone}"):
            register_model(_entry_point(backbone))


def _entry_point(backbone: str) -> Callable[..., TimmAGNet]:
    """Make the function that timm's factory calls."""

    def create(pretrained: bool = False, **options: Any) -> TimmAGNet:
        """Part timm's options into those of ``AGNet``, of its head and of its backbone."""
        options = {key: value for key, value in options.items() if value is not None}
        own = {key: options.pop(key) for key in OWN_OPTIONS if key in options}
        dropout = options.pop("drop_rate", 0.0)
        own["head_kwargs"] = {"dropout": dropout, **own.get("head_kwargs", {})}
        own.setdefault("num_classes", 1000)
        return TimmAGNet(backbone, pretrained=pretrained, backbone_kwargs=options, **own)

    create.__name__ = f"agnet_{backbone}"
    return create


OWN_OPTIONS = (
    *("num_classes", "num_clusters", "variant", "taps"),
    *("head_kwargs", "classes", "proposer", "image_size"),
)
