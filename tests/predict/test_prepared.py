"""Images as the network sees them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.prepared import Preparation, batch_of
from tests.conftest import block_image


@pytest.fixture(scope="module")
def model() -> AGNet:
    torch.manual_seed(0)
    return AGNet("test_resnet", 4, num_clusters=4).eval()


def test_value_frame_is_the_center_crop(model: AGNet) -> None:
    (prepared,) = Preparation(model)([block_image(height=100, width=200)])
    x0, y0, x1, y1 = prepared.frame
    assert (x0 + x1) / 2 == pytest.approx(100, abs=1)
    assert (y0 + y1) / 2 == pytest.approx(50, abs=1)
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.02)


def test_value_many_images_are_prepared_as_each_alone(model: AGNet) -> None:
    images = [block_image(0), block_image(1, 100, 60), np.zeros((30, 30, 3), np.uint8)]
    inputs, regions = batch_of(Preparation(model)(images))
    assert inputs.shape[0] == len(regions.boxes) == len(regions.mask) == 3
    for number, image in enumerate(images):
        (alone,) = Preparation(model)([image])
        torch.testing.assert_close(inputs[number], alone.input)
        torch.testing.assert_close(regions.boxes[number], alone.regions.boxes[0])
        assert torch.equal(regions.mask[number], alone.regions.mask[0])
