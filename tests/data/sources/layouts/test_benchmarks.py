"""Benchmarks in their official layouts, in miniature."""

from __future__ import annotations

import csv
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from agnet_vision.data.sources.card import load_card
from agnet_vision.data.sources.layouts.benchmarks import draw_training_paths
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import DatasetWarning, SampleTable, read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def is_named_by_folders(table: SampleTable) -> bool:
    """Tell whether each image lies in a folder called as its class."""
    samples = [sample for split in table.splits.values() for sample in split]
    return all(sample.path.parent.name == table.classes[sample.label] for sample in samples)


def test_value_aucd_v1(tmp_path: Path) -> None:
    miniatures.aucd_v1(tmp_path)
    with pytest.warns(DatasetWarning, match=r"2\.jpg: listed in Train_data_list\.csv, not on disk"):
        table = read_samples("aucd_v1", tmp_path, val_fraction=0)
    assert len(table.splits["train"]) == 19  # one listed file is missing
    assert {problem.kind for problem in table.problems} == {"missing_file", "wrong_count"}
    assert is_named_by_folders(table)

    path = tmp_path / "v1_cam1_no_split" / "Train_data_list.csv"
    path.write_text(path.read_text().replace("Text Left/3.jpg,1", "Text Left/3.jpg,2"))
    with pytest.raises(DatasetError, match="labeled 2, not 1"):
        read_samples("aucd_v1", tmp_path)


@pytest.mark.parametrize(
    "folder", ["v2_cam1_cam2_ split_by_driver", "v2_cam1_cam2_split_by_driver"]
)
def test_value_aucd_v2(tmp_path: Path, folder: str, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path, folder)
    official = read_samples("aucd_v2", tmp_path)
    clean = read_samples("aucd_v2", tmp_path, clean=True)
    assert set(names(official, "test")) - set(names(clean, "test")) == {"322.jpg", "415.jpg"}
    assert len(official.splits["train"]) + len(official.splits["val"]) == 40
    assert "test: 44 images, the card says 1,923" in [p.detail for p in clean.problems]

    labels = {s.path.parent.name: official.classes[s.label] for s in official.splits["test"]}
    assert labels["c7"] == "Reaching Behind"
    inner = read_samples("aucd_v2", tmp_path / folder)  # the root may be the inner folder
    assert inner.splits["test"][0].label == 0


def write_drivers(root: Path, drivers: dict[str, str]) -> Path:
    path = root / "drivers.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "driver"), *drivers.items()])
    return path


def test_aucd_v2_validation_by_driver(tmp_path: Path, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path)
    top = tmp_path / "v2_cam1_cam2_ split_by_driver"
    paths = sorted(top.rglob("train/*/*.jpg"))
    drivers = {p.relative_to(top).as_posix(): f"driver {int(p.stem) % 5}" for p in paths}
    listed = write_drivers(tmp_path, drivers)
    table = read_samples("aucd_v2", tmp_path, val_fraction=0.2, drivers=listed)
    train, val = ({sample.group for sample in table.splits[split]} for split in ("train", "val"))
    assert val
    assert not train & val

    drivers.popitem()
    write_drivers(tmp_path, drivers)
    with pytest.raises(DatasetError, match="names no driver for 1 images"):
        read_samples("aucd_v2", tmp_path, drivers=listed)


def test_a_driver_in_both_official_splits_is_named(tmp_path: Path) -> None:
    miniatures.aucd_v2(tmp_path)
    top = tmp_path / "v2_cam1_cam2_ split_by_driver"
    paths = [path.relative_to(top).as_posix() for path in sorted(top.rglob("*.jpg"))]
    shared = ("Camera 1/train/c0/1001.jpg", "c0/322.jpg", "c0/415.jpg")
    drivers = {
        path: "shared" if path.endswith(shared) else f"of {'/train/' in path}" for path in paths
    }
    listed = write_drivers(tmp_path, drivers)
    for clean in (False, True):
        listing = read_listing("aucd_v2", tmp_path, drivers=listed, clean=clean)
        details = [p.detail for p in listing.problems if p.kind == "group_overlap"]
        expected = "the group shared is 1 times in train and 2 times in test"
        assert details == ([] if clean else [expected])


def test_value_stanford40(tmp_path: Path, incomplete: None) -> None:
    miniatures.stanford40(tmp_path)
    table = read_samples("stanford40", tmp_path, val_fraction=0)
    assert names(table, "train")[0] == "applauding_001.jpg"  # despite its Windows line end
    assert names(table, "test")[-1] == "writing_on_a_book_002.jpg"


def test_value_ppmi(tmp_path: Path, incomplete: None) -> None:
    miniatures.ppmi(tmp_path)
    table = read_samples("ppmi", tmp_path, val_fraction=0)
    assert table.classes[0] == "play_bassoon"
    folders = {table.classes[s.label]: s.path.parts[-3] for s in table.splits["train"]}
    assert folders["with_french_horn"] == "frenchhorn"


@pytest.mark.parametrize("deeper", ["", "food-101"])
def test_value_food101(tmp_path: Path, deeper: str, incomplete: None) -> None:
    miniatures.food101(tmp_path / deeper)
    table = read_samples("food101", tmp_path, val_fraction=0)
    assert table.layout == tmp_path / deeper / "food-101"
    assert len(table.splits["train"]) == 101
    assert is_named_by_folders(table)


def test_value_caltech256(tmp_path: Path) -> None:
    miniatures.caltech256(tmp_path)
    for seed in (0, 4):
        table = read_samples("caltech256", tmp_path, val_fraction=0, split_seed=seed)
        train, test = ({s.path for s in table.splits[split]} for split in ("train", "test"))
        assert not train & test
        assert (len(train), len(test)) == (256 * 60, 29_780 - 256 * 60)
        assert not any(re.search("clutter|greg|RENAME2", str(path)) for path in train | test)


# Of the lists that the published figures were made with: one path a line.
SHA256 = (
    "88b5497dc97dc7a83b89f363c6e6554fa6c270dc9d9af1e034002b399460668d",
    "4bc5e358230cd6ef4ca31755ddbffa2198c3e6a3e173e62b318f5e87e4982862",
    "65d9a1c6f2cc8aad874091e70b08a849db8202ad471fc73a951938bb6d7ea9f6",
    "3bbd0f2c8e85db349913ce1c8d33f19e5f44284298f39a74163e291d70a2745f",
    "6b420fd1257abf1d366d4fb233be759b3827399050ca72d47afbc8b533469236",
)


def test_value_training_paths() -> None:
    """Five different lists of 60 different paths per class are the same everywhere."""
    card = load_card("caltech256")
    lists = [draw_training_paths(card.classes, card.totals, seed) for seed in range(5)]
    texts = ["".join(f"{path}\n" for path in paths) for paths in lists]
    assert tuple(sha256(text.encode()).hexdigest() for text in texts) == SHA256
    late = sum(int(line[-8:-4]) > 80 for line in lists[0])
    expected = sum(60 * (total - 80) / total for total in card.totals)
    assert abs(late - expected) < 4 * expected**0.5  # no part of a class is preferred
    assert len(set(lists[0])) == 256 * 60
    assert set(Counter(line.split("/")[0] for line in lists[0]).values()) == {60}
