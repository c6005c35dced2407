from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from agnet_vision.data.sources.samples import DatasetWarning, SampleTable, read_samples
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def test_folder_with_splits_keeps_them(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    table = read_samples("folder", tmp_path)
    assert table.classes == ("ant", "bee", "шмель")
    assert [len(table.splits[split]) for split in ("train", "val", "test")] == [18, 18, 18]


def test_folders_named_like_a_split(tmp_path: Path) -> None:
    for name in ("bus", "train"):
        miniatures.write_pictures(tmp_path / "vehicles" / name / f"{i}.png" for i in range(5))
    assert read_samples("folder", tmp_path / "vehicles").classes == ("bus", "train")
    miniatures.folder(tmp_path / "set")
    (tmp_path / "set" / "train").rename(tmp_path / "set" / "tarin")
    with pytest.raises(DatasetError, match="holds test and val, but no folder train"):
        read_samples("folder", tmp_path / "set")
    (tmp_path / "set" / "tarin").rename(tmp_path / "set" / "train")
    miniatures.write_picture(tmp_path / "set" / "training" / "ant" / "1.png")
    with pytest.raises(
        DatasetError, match=r"set/train and .*set/training are both the train split"
    ):
        read_samples("folder", tmp_path / "set")


def test_folder_without_splits_is_split_by_seed(tmp_path: Path) -> None:
    miniatures.folder(tmp_path, split=False, per_class=20)
    table = read_samples("folder", tmp_path, test_fraction=0.2, val_fraction=0.25)
    assert [len(table.splits[split]) for split in ("train", "val", "test")] == [36, 12, 12]
    for samples in table.splits.values():
        per_class = [sum(sample.label == label for sample in samples) for label in range(3)]
        assert len(set(per_class)) == 1
    assert (
        read_samples("folder", tmp_path, seed=1).splits
        != read_samples("folder", tmp_path, seed=2).splits
    )


def test_folder_groups_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(60):
        miniatures.write_picture(
            tmp_path / "ab"[number % 2] / f"patient{number // 6}_{number}.png", number
        )
    table = read_samples("folder", tmp_path, group_regex=r"patient(\d+)")
    groups = {
        split: {sample.group for sample in samples} for split, samples in table.splits.items()
    }
    assert groups["train"] | groups["val"] | groups["test"] == set(map(str, range(10)))
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_folder_from_csv(tmp_path: Path) -> None:
    miniatures.write_pictures(tmp_path / f"{i}.png" for i in range(8))
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
    miniatures.write_pictures(tmp_path / f"{i}.png" for i in range(4))
    twice = [("0.png", "x", "train"), ("0.png", "x", "test"), ("1.png", "y", "train")]
    listed = write_csv(tmp_path / "list.csv", [("path", "label", "split"), *twice])
    with pytest.raises(DatasetError, match=r"line 3: 0\.png is listed a second time"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("path", "label", "split"), twice[0], ("a/../0.png", "y", "test")])
    with pytest.raises(DatasetError, match=r"line 3: a/\.\./0\.png is listed a second time"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("path", "label", "split"), ("0.png", "x", "holdout")])
    with pytest.raises(DatasetError, match="line 2: split 'holdout'"):
        read_samples("folder", tmp_path, csv=listed)
    write_csv(listed, [("file", "label")])
    with pytest.raises(DatasetError, match="missing: path"):
        read_samples("folder", tmp_path, csv=listed)
    with pytest.raises(DatasetNotFoundError, match=r"other\.csv does not exist"):
        read_samples("folder", tmp_path, csv=tmp_path / "other.csv")
    with pytest.raises(ConfigError, match=r"needs dataset\.csv"):
        read_samples("folder", tmp_path, group_column="patient")


def test_empty_class_extra_class_and_case(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    (tmp_path / "train" / "cicada").mkdir()
    with pytest.raises(DatasetError, match="the class cicada has no image"):
        read_samples("folder", tmp_path)
    (tmp_path / "train" / "cicada").rmdir()
    miniatures.write_picture(tmp_path / "test" / "wasp" / "1.png")
    with pytest.raises(
        DatasetError, match="test/wasp: there is no such class in the training folder"
    ):
        read_samples("folder", tmp_path)
    (tmp_path / "test" / "wasp" / "1.png").unlink()
    (tmp_path / "test" / "wasp").rmdir()
    miniatures.write_picture(tmp_path / "train" / "Ant" / "1.png")
    with pytest.raises(DatasetError, match="differs from Ant only by upper and lower case"):
        read_samples("folder", tmp_path)


def test_home_folder_in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    miniatures.folder(tmp_path / "photos")
    assert read_samples("folder", "~/photos").root == tmp_path / "photos"


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match="no training image"):
        read_samples("folder", tmp_path)


def test_odd_names(tmp_path: Path) -> None:
    for number, name in enumerate(["ä ö.PNG", "猫" * 60, "a" * 240, "-rf", "100%_#1"]):
        for i in range(4):
            path = (
                tmp_path
                / ("x", "y")[number % 2]
                / f"{i}{name if name.endswith('PNG') else name + '.png'}"
            )
            if len(path.name.encode()) < 256:
                miniatures.write_picture(path, 10 * number + i)
    (tmp_path / "x" / "._0.png").write_text("metadata of another system")
    (tmp_path / "x" / "Thumbs.db").write_text("of yet another")
    table = read_samples("folder", tmp_path, val_fraction=0)
    assert sum(map(len, table.splits.values())) == 20


def test_symlinks(tmp_path: Path) -> None:
    miniatures.folder(tmp_path / "data", split=False)
    os.symlink(tmp_path / "data", tmp_path / "data" / "ant" / "loop")
    os.symlink(tmp_path / "data" / "bee" / "self", tmp_path / "data" / "bee" / "self")
    os.symlink(tmp_path / "gone.png", tmp_path / "data" / "bee" / "gone.png")
    miniatures.write_picture(tmp_path / "elsewhere" / "1.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "шмель" / "linked")
    with pytest.warns(DatasetWarning, match="a link back to"):
        table = read_samples("folder", tmp_path / "data", val_fraction=0)
    assert sum(map(len, table.splits.values())) == 19
    assert {problem.kind for problem in table.problems} == {"symlink_loop", "missing_file"}


def test_case_duplicates_are_named(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    miniatures.write_picture(tmp_path / "train" / "bee" / "A.png", 900)
    miniatures.write_picture(tmp_path / "train" / "bee" / "a.png", 901)
    with pytest.warns(DatasetWarning, match=r"a\.png: differs from A\.png only"):
        read_samples("folder", tmp_path)
