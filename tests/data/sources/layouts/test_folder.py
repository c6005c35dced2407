from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_folder_with_splits_keeps_them(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    table = read_samples("folder", tmp_path)
    assert table.classes == ("ant", "bee", "шмель")
    assert [len(table.splits[split]) for split in ("train", "val", "test")] == [18, 18, 18]


def test_folders_named_like_a_split(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        miniatures.write_images(tmp_path / "vehicles" / name / f"{i}.png" for i in range(5))
    assert read_samples("folder", tmp_path / "vehicles").classes == ("bus", "train")
    miniatures.folder(tmp_path / "set")
    (tmp_path / "set" / "train").rename(tmp_path / "set" / "tarin")
    with pytest.raises(DatasetError, match="holds test and val, but no folder train"):
        read_samples("folder", tmp_path / "set")
    (tmp_path / "set" / "tarin").rename(tmp_path / "set" / "train")
    miniatures.write_image(tmp_path / "set" / "training" / "ant" / "1.png")
    with pytest.raises(
        DatasetError, match=r"set/train and .*set/training are both the train split"
    ):
        read_samples("folder", tmp_path / "set")


def test_folder_from_csv(tmp_path: Path) -> None:
    miniatures.write_images(tmp_path / f"{i}.png" for i in range(8))
    rows = [
        (f"{i}.png", "xy"[i % 2] + " " * (i % 3), "test" if i < 2 else "train", f"p{i // 2}")
        for i in range(8)
    ]
    listed = write_csv(tmp_path / "list.csv", [("path", "label", "split", "patient"), *rows])
    table = read_samples(
        "folder", tmp_path, csv=str(listed), group_column="patient", val_fraction=0.3
    )
    assert table.classes == ("x", "y")
    assert names(table, "test") == ["0.png", "1.png"]
    assert not {s.group for s in table.splits["train"]} & {s.group for s in table.splits["val"]}


def test_folder_csv_raises(tmp_path: Path) -> None:
    miniatures.write_images(tmp_path / f"{i}.png" for i in range(4))
    twice = [("0.png", "x", "train"), ("0.png", "x", "test"), ("1.png", "y", "train")]
    listed = write_csv(tmp_path / "list.csv", [("path", "label", "split"), *twice])
    with pytest.raises(DatasetError, match=r"line 3: 0\.png is listed a second time"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("path", "label", "split"), twice[0], ("a/../0.png", "y", "test")])
    with pytest.raises(DatasetError, match=r"line 3: a/\.\./0\.png is listed a second time"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("path", "label", "split"), ("0.png", "x", "holdout")])
    with pytest.raises(DatasetError, match="line 2: split 'holdout' must be"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("file", "label")])
    with pytest.raises(DatasetError, match="missing: path"):
        read_samples("folder", tmp_path, csv=listed)
    with pytest.raises(DatasetNotFoundError, match=r"other\.csv does not exist"):
        read_samples("folder", tmp_path, csv=tmp_path / "other.csv")
    with pytest.raises(ConfigError, match="needs a csv"):
        read_samples("folder", tmp_path, group_column="patient")


def test_one_file_in_two_spellings_is_named(root: Path) -> None:
    (root / "list.csv").write_text("path,label\ntrain/ant/001.png,ant\n./train/ant/001.png,ant\n")
    with pytest.raises(
        DatasetError, match=r"line 3: \./train/ant/001\.png is listed a second time"
    ) as raised:
        read_samples("folder", root, csv=root / "list.csv")
    command = (
        f"dataset=folder dataset.root={root} dataset.csv={root / 'list.csv'} report=problems.json"
    )
    assert str(raised.value).endswith(command)


def test_empty_class_extra_class_and_case(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    (tmp_path / "train" / "cicada").mkdir()
    with pytest.raises(DatasetError, match="the class cicada has no image"):
        read_samples("folder", tmp_path)
    (tmp_path / "train" / "cicada").rmdir()
    miniatures.write_image(tmp_path / "test" / "wasp" / "1.png")
    with pytest.raises(
        DatasetError, match="test/wasp: there is no such class in the training folder"
    ):
        read_samples("folder", tmp_path)
    (tmp_path / "test" / "wasp" / "1.png").unlink()
    (tmp_path / "test" / "wasp").rmdir()
    miniatures.write_image(tmp_path / "train" / "Ant" / "1.png")
    with pytest.raises(DatasetError, match="differs from Ant only by upper and lower case"):
        read_samples("folder", tmp_path)


def test_an_empty_class_is_named_by_its_folder(root: Path, tmp_path: Path) -> None:
    (root / "train" / "cicada").mkdir()
    problems = read_listing("folder", root).problems
    assert [(p.kind, p.path) for p in problems] == [
        ("empty_class", str(root / "train" / "cicada")),
        ("absent_class", str(root / "val" / "cicada")),
        ("absent_class", str(root / "test" / "cicada")),
    ]
    miniatures.WRITERS["food101"](tmp_path)
    shutil.rmtree(tmp_path / "food-101" / "images" / "waffles")
    problems = read_listing("food101", tmp_path).problems
    (empty,) = [p for p in problems if p.kind == "empty_class"]
    assert empty.path == str(tmp_path / "food-101" / "images" / "waffles")
