"""The latency of an exported network."""

from __future__ import annotations

import pytest

from agnet_vision.export.latency import latency_ms
from agnet_vision.models.agnet import AGNet


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the exporter's own
@pytest.mark.parametrize("variant", ["no_attention", "backbone_only"])
def test_larger_images_take_longer(variant: str) -> None:
    model = AGNet("test_resnet", 3, num_clusters=2, variant=variant, head_kwargs={"pool_size": 2})
    found = []
    for side in (64, 256):
        model.data_config["input_size"] = (3, side, side)
        found.append(latency_ms(model, repeats=5))
    assert 0 < found[0] < found[1] < 1000
    assert model.training
