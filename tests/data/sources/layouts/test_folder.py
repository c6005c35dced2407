from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import matplotlib.pyplot as plt
import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import ConfigError, DatasetError
from tests.data import miniatures


def write(root: Path, *paths: str) -> None:
    miniatures.write_images(root / path for path in paths)


def test_folder_with_splits_keeps_them(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    table = read_samples("folder", tmp_path)
    assert table.classes == ("ant", "bee", "шмель")
    assert [len(samples) for samples in table.splits.values()] == [18, 18, 18]


def test_raises_parts_that_are_no_splits(root: Path) -> None:
    (root / "train").rename(root / "tarin")
    with pytest.raises(DatasetError, match="holds test and val, but no folder train"):
        read_listing("folder", root)
    (root / "tarin").rename(root / "train")
    write(root, "training/ant/1.png")
    with pytest.raises(DatasetError, match=r"set/train and .*/training are both the train split"):
        read_listing("folder", root)


@pytest.mark.parametrize("name", ["testing", "eval", "dev", "Test_set", "extra", "test"])
@pytest.mark.parametrize("inner", ["ant", "."])
def test_a_folder_beside_train_that_is_not_read_is_named(
    tmp_path: Path, name: str, inner: str
) -> None:
    write(tmp_path, "train/x/1.png", "train/y/1.png", f"{name}/{inner}/1.png")
    (tmp_path / "notes").mkdir()
    problem = read_listing("folder", tmp_path).problems[0]
    if (name, inner) == ("test", "ant"):
        assert problem.path == str(tmp_path / "test" / "ant")
        assert "no such class in training, which has x, y" in problem.detail
    else:
        assert problem.path == str(tmp_path / name)
        assert "is not read: a split is a folder train, training" in problem.detail


@pytest.mark.parametrize(
    ("paths", "classes"),
    [
        (("train/steam/1.png", "train/diesel/1.png", "bus/1.png", "car/1.png"), "bus car train"),
        (("train/steam/1.png", "train/1.png", "bus/1.png"), "bus train"),
        (("train/1.png", "bus/1.png"), "bus train"),
    ],
)
def test_a_class_called_train_hides_no_other(
    tmp_path: Path, paths: tuple[str, ...], classes: str
) -> None:
    write(tmp_path, *paths)
    listing = read_listing("folder", tmp_path)
    assert listing.classes == tuple(classes.split())
    assert len(listing.splits["train"]) == len(paths)
    is_doubtful = any("steam" in path for path in paths)
    assert ["taken for a class" in p.detail for p in listing.problems] == [True] * is_doubtful


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("seg_train/seg_train/x", "seg_test/seg_test/x"), "look like parts of a dataset"),
        (("train", "test"), "look like parts of a dataset"),
        (("images/x", "images/y", "annotations/x"), "look like parts of a dataset"),
        (("images/x", "images/y"), r"there is one: 'images'.* is it dataset\.root=.*/images\?"),
    ],
)
def test_names_of_parts_are_no_classes(
    tmp_path: Path, paths: tuple[str, ...], message: str
) -> None:
    write(tmp_path, *(f"{path}/1.png" for path in paths))
    with pytest.raises(DatasetError, match=message):
        read_samples("folder", tmp_path)


def test_a_root_one_level_too_high_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/ant/1.png", "a/bee/1.png", "b/ant/1.png", "b/bee/1.png", "c/2019/1.png")
    (problem,) = read_listing("folder", tmp_path).problems
    assert problem.detail.startswith("the classes are a, b, in which lie folders ant, bee")
    assert problem.detail.endswith(f"one level too high: dataset.root={tmp_path / 'a'}")


def test_what_this_library_wrote_is_no_class(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "train")
    run = "outputs/folder/now"
    files = (f"{run}/.lock", f"{run}/config.yaml", f"{run}/views.png")
    for path in map(Path, (*files, "runs/1/.lock", "exported/model.onnx", "explained/ant/1.txt")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    figure = plt.figure(figsize=(1, 1))
    figure.savefig("explained/ant/001.png.png")
    plt.close(figure)
    assert read_samples("folder", ".").classes == ("ant", "bee", "шмель")
    listing = read_listing("folder", root)
    assert (listing.classes, listing.problems) == (("ant", "bee", "шмель"), [])


def test_a_class_without_images_is_refused_in_train_and_named_elsewhere(root: Path) -> None:
    (root / "train" / "cicada").mkdir()
    listing = read_listing("folder", root)
    assert [(problem.kind, problem.detail) for problem in listing.problems] == [
        ("empty_class", "train: the class cicada has no image"),
        ("absent_class", "val: the class cicada has no image"),
        ("absent_class", "test: the class cicada has no image"),
    ]
    assert [problem.kind for problem in listing.fatal()] == ["empty_class"]


def test_raises_names_of_classes_that_are_nearly_the_same(root: Path) -> None:
    write(root, "train/Ant/1.png", normalize("NFC", "train/été/1.png"))
    write(root, normalize("NFD", "train/été/2.png"))
    fatal = read_listing("folder", root).fatal()
    assert [problem.kind for problem in fatal] == ["class_duplicate"] * 2
    assert "differs from Ant only by case" in fatal[0].detail


def test_raises_a_group_column_without_a_csv(root: Path) -> None:
    with pytest.raises(ConfigError, match="group_column=patient needs a csv"):
        read_samples("folder", root, group_column="patient")
