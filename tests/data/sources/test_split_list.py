from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.data.sources.samples import DatasetWarning, SampleTable, read_samples
from agnet_vision.data.sources.split_list import ListedImage, read_split_list, write_split_list
from agnet_vision.errors import DatasetError, DatasetNotFoundError
from tests.data import miniatures


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    miniatures.folder(tmp_path / "flat", split=False, per_class=20)
    return tmp_path / "flat"


@pytest.fixture
def stored(flat: Path, tmp_path: Path) -> Path:
    """The list of a run with ten groups."""
    read(flat).write_splits(tmp_path / "splits.csv")
    return tmp_path / "splits.csv"


def read(root: Path, seed: int = 0) -> SampleTable:
    return read_samples("folder", root, seed=seed, group_regex=r"(\d)[.]png")


def test_value_round_trip(tmp_path: Path) -> None:
    rows = [
        ListedImage('a/1, "x".png', "a", "train"),
        ListedImage(" b/é.png", " b", "test", "p1"),
        ListedImage("=1+1.png", "b\nc", "val"),
    ]
    write_split_list(tmp_path / "splits.csv", rows)
    assert read_split_list(tmp_path / "splits.csv") == rows
    assert (tmp_path / "splits.csv").read_text().startswith("path,label,split,group\n")


def test_restored_splits_are_those_of_the_run(flat: Path, stored: Path) -> None:
    before, other = read(flat), read(flat, seed=1)
    assert other.splits != before.splits
    assert other.read_splits(stored).splits == before.splits


def test_a_list_fits_a_dataset_that_was_moved(flat: Path, stored: Path) -> None:
    moved = flat.rename(flat.parent / "moved")
    table = read(moved, seed=1).read_splits(stored)
    assert all(sample.path.is_file() for split in table.splits.values() for sample in split)


def test_a_list_is_a_dataset_description(flat: Path, stored: Path) -> None:
    table = read_samples("folder", flat, csv=stored)
    expected = read(flat)
    for split, samples in expected.splits.items():
        assert {s.path for s in table.splits[split]} == {s.path for s in samples}


def test_new_images_are_left_out_by_name(flat: Path, stored: Path) -> None:
    before = read(flat)
    miniatures.write_image(flat / "ant" / "999.png", 999)
    table = read(flat)
    with pytest.warns(DatasetWarning, match=r"1 images of .* are left out: ant/999\.png"):
        assert table.read_splits(stored).splits == before.splits
    assert table.compare_splits(stored).new == ["ant/999.png"]


def test_raises_missing_and_relabeled_images(flat: Path, stored: Path) -> None:
    (flat / "ant" / "001.png").unlink()
    stored.write_text(stored.read_text().replace("bee/021.png,bee", "bee/021.png,ant"))
    changes = (
        r"1 of its images are missing \(ant/001\.png\) and "
        r"1 are in another class now \(bee/021\.png\); restore them"
    )
    with pytest.raises(DatasetError, match=changes):
        read(flat).read_splits(stored)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "missing: split"),
        ("path,label,split\na,b,holdout\n", "line 2: split must be train, val or test"),
        ("path,label,split\na,b,val\na,b,test\n", "line 3: a is listed a second time"),
        ("path,label,split\na,b\n", "line 2: it has no split"),
    ],
)
def test_raises_damaged_list(flat: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read(flat).read_splits(tmp_path / "splits.csv")


def test_raises_no_list(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"none\.csv does not exist"):
        read(flat).read_splits(tmp_path / "none.csv")
