"""What the datasets' tests share: a few images on disk."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agnet_vision.data.sources.listing import Sample


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Write four images of cloudy color, of two alternating classes."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(4):
        image = cv2.resize(generator.integers(0, 255, (20, 26, 3), dtype=np.uint8), (130, 100))
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return [Sample(folder / f"{number}.png", number % 2) for number in range(4)]
