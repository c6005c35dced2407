from __future__ import annotations

from types import SimpleNamespace

from torch import nn

from agnet_vision.training.callbacks import FreezeBackbone


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.backbone = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))


def test_value_freeze_and_thaw() -> None:
    holder, callback = Holder().train(), FreezeBackbone(2)
    backbone = holder.model.backbone
    backbone[2].weight.requires_grad_(False)  # frozen for good by the backbone itself
    learning = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    for epoch in range(4):
        callback.on_train_epoch_start(SimpleNamespace(current_epoch=epoch), holder)
        now = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
        assert now == (set() if epoch < 2 else learning)
        assert backbone.training == (epoch >= 2)
