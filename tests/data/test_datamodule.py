from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agnet_vision.choices import Source
from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.data.transforms import training_transform
from agnet_vision.errors import DatasetError, ImageReadError
from agnet_vision.regions.proposer import RegionProposer
from tests.data.inputs import input_config
from tests.data.miniatures import write_image

LABELS = [0] * 9 + [1] * 3
TRANSFORM = training_transform(input_config(32))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> SampleTable:
    folder = tmp_path_factory.mktemp("images")
    samples = [
        Sample(write_image(folder / f"{number}.png", number), label)
        for number, label in enumerate(LABELS)
    ]
    splits = {"train": samples, "val": samples[:5], "test": samples[:3]}
    return SampleTable("folder", folder, ("a", "b"), splits)


def module(table: SampleTable, source: Source = "grid", workers: int = 0) -> AGNetDataModule:
    proposer = RegionProposer(source, num_clusters=2)
    return AGNetDataModule(table, TRANSFORM, TRANSFORM, proposer, batch_size=4, workers=workers)


def test_loaders(table: SampleTable) -> None:
    data = module(table)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(loader) for loader in loaders] == [3, 2, 1]
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (4, 3, 32, 32)
    assert batch["index"].tolist() == [0, 1, 2, 3]
    assert data.class_counts() == [9, 3]


def test_training_batches_never_hold_one_image(table: SampleTable) -> None:
    for count in (2, 4, 5, 9):
        splits = {"train": table.splits["train"][-count:], "val": [], "test": []}
        part = SampleTable("folder", table.root, ("a", "b"), splits)
        assert min(len(batch["label"]) for batch in module(part).train_dataloader()) > 1
    part.splits["train"] = table.splits["train"][:1]
    match = r"at least two images on each of its 1 processes.* got 1 images"
    with pytest.raises(DatasetError, match=match):
        module(part).train_dataloader()


def test_cache_is_built_beside_the_data(table: SampleTable) -> None:
    data = module(table, "keypoints")
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
