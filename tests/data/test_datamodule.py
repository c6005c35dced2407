from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.data.transforms import training_transform
from agnet_vision.errors import DatasetError, ImageReadError
from agnet_vision.regions.proposer import RegionProposer

LABELS = [0] * 9 + [1] * 3
TRANSFORM = training_transform(32, "modern", mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> SampleTable:
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    samples = []
    for number, label in enumerate(LABELS):
        image = generator.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        samples.append(Sample(folder / f"{number}.png", label))
    return SampleTable(
        "folder", folder, ("a", "b"), {"train": samples, "val": samples[:5], "test": samples[:3]}
    )


def module(table: SampleTable, **options: object) -> AGNetDataModule:
    given = {"batch_size": 4, "workers": 0, **options}
    return AGNetDataModule(
        table, TRANSFORM, TRANSFORM, RegionProposer("grid", num_clusters=2), **given
    )


def test_loaders(table: SampleTable) -> None:
    data = module(table)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(loader) for loader in loaders] == [3, 2, 1]
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (4, 3, 32, 32)
    assert batch["index"].tolist() == [0, 1, 2, 3]


def test_training_batches_never_hold_one_image(table: SampleTable) -> None:
    for count in (2, 4, 5, 9):
        splits = {"train": table.splits["train"][-count:], "val": [], "test": []}
        part = SampleTable("folder", table.root, ("a", "b"), splits)
        assert min(len(batch["label"]) for batch in module(part).train_dataloader()) > 1
    part.splits["train"] = table.splits["train"][:1]
    match = r"at least two images on each of its 1 processes.* got 1 images"
    with pytest.raises(DatasetError, match=match):
        module(part).train_dataloader()


def test_class_counts(table: SampleTable) -> None:
    assert module(table).class_counts() == [9, 3]


def test_cache_is_built_beside_the_data(table: SampleTable) -> None:
    data = AGNetDataModule(
        table, TRANSFORM, TRANSFORM, RegionProposer(num_clusters=2), batch_size=4, workers=0
    )
    data.prepare_data()
    assert (table.root / ".agnet_cache").is_dir()
    assert next(iter(data.train_dataloader()))["boxes"].shape == (4, 4, 4)


def test_workers_do_not_change_the_items(table: SampleTable) -> None:
    alone, shared = (list(module(table, workers=w).train_dataloader()) for w in (0, 2))
    for first, second in zip(alone, shared, strict=True):
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_bad_image_is_raised_in_the_main_process(table: SampleTable, tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"x.png"):
        module(table).on_before_batch_transfer(ImageReadError(tmp_path / "x.png", "torn"), 0)
