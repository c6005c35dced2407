"""A tiny folder of pictures and the smallest runs over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

CONF = Path(__file__).parents[2] / "conf"
# Three classes, 160 thousand weights, an epoch in a tenth of a second.
TINY = (
    "dataset=folder",
    "backbone=timm",
    "backbone.name=test_resnet.r160_in1k",
    "backbone.pretrained=false",
    "regions.num_clusters=2",
    "+model.head.pool_size=2",
    "+model.head.dropout=0.2",
    "image_size=48",
    "epochs=2",
    "batch_size=4",
    "schedule.warmup_epochs=1",
    "workers=0",
    "trainer=cpu",
    "trainer.progress_bar=false",
    "report=false",
)


def write_pictures(root: Path, counts: dict[str, int], classes: tuple[str, ...] = ("cat", "dog", "owl")) -> Path:
    """Write noisy pictures of a shape a class, one folder a split and class."""
    generator = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = generator.integers(0, 60, (56, 72, 3), dtype=np.uint8)
                centre = tuple(int(value) for value in generator.integers(15, 40, 2))
                cv2.circle(
                    image, centre, 5 + 4 * label, tuple(int(80 + 50 * (label == c)) for c in range(3)), 2 + label
                )
                cv2.imwrite(str(folder / f"{number}.png"), image)
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), {"train": 7, "val": 3, "test": 3})


@pytest.fixture
def configure(pictures: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """Compose a tiny run; ``run_dir`` is a folder of the test unless given."""

    def make(*overrides: str, name: str = "train", base: tuple[str, ...] = TINY) -> DictConfig:
        given = [*base, f"dataset.root={pictures}", f"run_dir={tmp_path / 'run'}", *overrides]
        with initialize_config_dir(str(CONF), version_base=None):
            return compose(name, given)

    return make
