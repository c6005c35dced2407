"""Local Parquet files, image folders and saved datasets; the Hub is never asked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.image import read_image
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

datasets = pytest.importorskip("datasets", reason="dataset=hf needs agnet_vision[hf]")

NAMES = ["wasp", "bee"]


@pytest.fixture(autouse=True)
def quiet_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what the library stores in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def dataset(seeds: range, **columns: list[Any]) -> Any:
    features = datasets.Features(
        {"photo": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)}
    )
    rows = {
        "photo": [{"bytes": png(seed), "path": None} for seed in seeds],
        "kind": [seed % 2 for seed in seeds],
    }
    made = datasets.Dataset.from_dict(rows, features=features)
    for name, values in columns.items():
        made = made.add_column(name, values)
    return made


def test_value_a_parquet_file_is_all_train(tmp_path: Path) -> None:
    dataset(range(40)).to_parquet(tmp_path / "all.parquet")
    path = str(tmp_path / "all.parquet")
    table = read_samples("hf", tmp_path / "root", path=path)
    assert table.classes == ("bee", "wasp")
    assert all(table.splits.values())
    found = {sample.path.read_bytes(): table.classes[sample.label] for sample in _all(table)}
    assert found == {png(seed): NAMES[seed % 2] for seed in range(40)}
    assert read_image(table.splits["train"][0].path).shape == (12, 16, 3)

    again = read_samples("hf", tmp_path / "root", path=path)
    assert again.splits == table.splits
    table.write_splits(tmp_path / "splits.csv")
    assert again.read_splits(tmp_path / "splits.csv").splits["test"] == table.splits["test"]


def test_value_an_image_folder_keeps_its_splits(tmp_path: Path) -> None:
    for number in range(12):
        split = "train" if number < 8 else "validation"
        folder = tmp_path / "data" / split / NAMES[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(number))
    table = read_samples("hf", tmp_path / "root", path=str(tmp_path / "data"), test_fraction=0)
    labels = {split: [sample.label for sample in table.splits[split]] for split in table.splits}
    assert {split: sorted(found) for split, found in labels.items()} == {
        "train": [0] * 4 + [1] * 4,
        "val": [0, 0, 1, 1],
        "test": [],
    }
    assert table.drawn == ("test",)


def test_value_groups_stay_together_and_unlabeled_rows_are_told(tmp_path: Path) -> None:
    part = dataset(range(30), patient=[f"p{seed // 3}" for seed in range(30)])
    hidden = dataset(range(50, 54), patient=["x"] * 4).map(lambda _: {"kind": -1})
    datasets.DatasetDict(train=part, test=hidden).save_to_disk(tmp_path / "saved")
    options = {"path": str(tmp_path / "saved"), "group_column": "patient"}
    with pytest.warns(UserWarning, match="4 rows have no label"):
        table = read_samples("hf", tmp_path / "root", val_fraction=0.4, **options)
    groups = [{sample.group for sample in samples} for samples in table.splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10


def test_value_copies_of_an_image_are_all_kept(tmp_path: Path) -> None:
    twice = datasets.concatenate_datasets([dataset(range(6)), dataset(range(6))])
    twice.to_parquet(tmp_path / "twice.parquet")
    table = read_samples("hf", tmp_path / "root", path=str(tmp_path / "twice.parquet"))
    assert len({sample.path for sample in _all(table)}) == 12


def test_raises_columns_that_cannot_be_found(tmp_path: Path) -> None:
    part = dataset(range(4)).add_column("b", ["x"] * 4).remove_columns("kind")
    part.to_parquet(tmp_path / "none.parquet")
    path = str(tmp_path / "none.parquet")
    with pytest.raises(ConfigError, match="label_column=c must be one of photo, b"):
        read_samples("hf", tmp_path / "root", path=path, label_column="c")
    with pytest.raises(ConfigError, match="label_column= must name one of the columns photo, b"):
        read_samples("hf", tmp_path / "root", path=path)


@pytest.mark.parametrize("names", [("a", "b"), ("train", "val", "validation")])
def test_raises_splits_that_cannot_be_told(tmp_path: Path, names: tuple[str, ...]) -> None:
    parts = datasets.DatasetDict(dict.fromkeys(names, dataset(range(4))))
    parts.save_to_disk(tmp_path / "saved")
    with pytest.raises(DatasetError, match=f"must have a split called train.* {', '.join(names)}"):
        read_samples("hf", tmp_path / "root", path=str(tmp_path / "saved"))


def test_raises_offline(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"owner/name cannot be opened .* a network"):
        read_samples("hf", tmp_path / "root", path="owner/name")
    with pytest.raises(ConfigError, match="no paths that tell groups; use group_column"):
        read_samples("hf", tmp_path / "root", path="owner/name", group_regex="x")


def _all(table: SampleTable) -> list[Any]:
    return [sample for samples in table.splits.values() for sample in samples]
