from __future__ import annotations

import csv
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
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


def problems(root: Path) -> dict[str, str]:
    listing = read_listing("folder", root)
    return {Path(problem.path).name: problem.detail for problem in listing.problems}


@pytest.mark.parametrize("name", ["testing", "eval", "dev", "Test_set", "extra", "test"])
@pytest.mark.parametrize("inner", ["ant", "."])
def test_a_folder_beside_train_that_is_not_read_is_named(
    tmp_path: Path, name: str, inner: str
) -> None:
    miniatures.write_images(tmp_path / "train" / c / f"{i}.png" for c in "xy" for i in range(3))
    miniatures.write_image(tmp_path / name / inner / "1.png")
    (tmp_path / "notes").mkdir()
    found = problems(tmp_path)
    if (name, inner) == ("test", "ant"):
        assert "no such class" in found["ant"]
        return
    assert [*found] == [name]
    assert "holds images, but is not read: a split is a folder train, training" in found[name]


@pytest.mark.parametrize("loose", [False, True])
def test_a_class_called_train_hides_no_other(tmp_path: Path, loose: bool) -> None:
    for name in ("steam", "diesel"):
        miniatures.write_image(tmp_path / "train" / name / "1.png")
    for name in ("bus",) if loose else ("bus", "car"):
        miniatures.write_image(tmp_path / name / "1.png")
    if loose:
        miniatures.write_image(tmp_path / "train" / "1.png")
    listing = read_listing("folder", tmp_path)
    assert listing.classes == (("bus", "train") if loose else ("bus", "car", "train"))
    assert len(listing.splits["train"]) == 4
    assert "taken for a class" in listing.problems[0].detail


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("seg_train/seg_train/x", "seg_test/seg_test/x"), "look like the splits of a dataset"),
        (("train", "test"), "look like the splits of a dataset"),
        (("images/x", "images/y", "annotations/x"), "look like parts of a dataset"),
        (("images/x", "images/y"), r"there is one: 'images'.* is it dataset\.root=.*/images\?"),
    ],
)
def test_names_of_parts_are_no_classes(
    tmp_path: Path, paths: tuple[str, ...], message: str
) -> None:
    miniatures.write_images(tmp_path / path / f"{i}.png" for path in paths for i in range(3))
    with pytest.raises(DatasetError, match=message):
        read_samples("folder", tmp_path)


def test_a_root_one_level_too_high_is_named(tmp_path: Path) -> None:
    for path in ("a/ant", "a/bee", "b/ant", "b/bee", "c/2019"):
        miniatures.write_image(tmp_path / path / "1.png")
    (problem,) = read_listing("folder", tmp_path).problems
    assert problem.detail.startswith("the classes are a and b, in which lie folders ant and bee")
    assert problem.detail.endswith(f"one level too high: dataset.root={tmp_path / 'a'}")


def test_what_this_library_wrote_is_no_class(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "train")
    run, figures = Path("outputs/folder/now"), Path("explained/ant")
    for path in (run, figures, Path("exported"), Path("runs/1")):
        path.mkdir(parents=True)
    for name in (".lock", "config.yaml", "views.png"):
        (run / name).touch()
    (Path("runs/1") / ".lock").touch()
    Path("exported/model.onnx").touch()
    figure = plt.figure(figsize=(1, 1))
    figure.savefig(figures / "001.png.png")
    plt.close(figure)
    assert read_samples("folder", ".").classes == ("ant", "bee", "шмель")
    listing = read_listing("folder", root)
    assert (listing.classes, listing.problems) == (("ant", "bee", "шмель"), [])


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
