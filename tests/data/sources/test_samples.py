from __future__ import annotations

import os
from pathlib import Path

import pytest

from agnet_vision.data.sources.samples import DatasetWarning, SampleTable, read_samples
from agnet_vision.errors import DatasetError, DatasetNotFoundError
from tests.data import miniatures


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


@pytest.mark.parametrize("name", sorted(miniatures.WRITERS.keys() - {"caltech256"}))
def test_every_layout(tmp_path: Path, name: str, incomplete: None) -> None:
    miniatures.WRITERS[name](tmp_path)
    table = read_samples(name, tmp_path)
    paths = {split: {sample.path for sample in samples} for split, samples in table.splits.items()}
    assert list(paths) == ["train", "val", "test"]
    assert all(path.is_file() for split in paths.values() for path in split)
    assert not paths["train"] & paths["test"]
    assert not paths["train"] & paths["val"]
    assert not paths["val"] & paths["test"]
    assert {sample.label for sample in table.splits["train"]} == set(range(len(table.classes)))
    again = read_samples(name, str(tmp_path))
    assert again.splits == table.splits


def test_half_unpacked(tmp_path: Path) -> None:
    miniatures.food101(tmp_path / "a")
    for folder in sorted((tmp_path / "a" / "food-101" / "images").iterdir())[60:]:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    with pytest.raises(DatasetError, match=r"hot_dog|ice_cream|no image"):
        read_samples("food101", tmp_path / "a")
    miniatures.stanford40(tmp_path / "b")
    for path in (tmp_path / "b" / "ImageSplits").iterdir():
        path.unlink()
    (tmp_path / "b" / "ImageSplits").rmdir()
    with pytest.raises(DatasetNotFoundError, match="Stanford-40"):
        read_samples("stanford40", tmp_path / "b")


def test_a_fraction_of_the_set_is_used_with_a_warning(root: Path) -> None:
    (root / "train" / "ant" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.warns(DatasetWarning, match="a link to a file that does not exist"):
        read_samples("folder", root)


def test_folder_without_splits_is_split_by_seed(tmp_path: Path) -> None:
    miniatures.folder(tmp_path, split=False, per_class=20)
    table = read_samples("folder", tmp_path, test_fraction=0.2, val_fraction=0.25)
    sizes = [len(table.splits[split]) for split in ("train", "val", "test")]
    assert sum(sizes) == 60
    assert sizes == pytest.approx([36, 12, 12], abs=10)
    for samples in table.splits.values():
        assert {sample.label for sample in samples} == {0, 1, 2}
    assert (
        read_samples("folder", tmp_path, seed=1).splits
        != read_samples("folder", tmp_path, seed=2).splits
    )


def test_home_folder_in_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    miniatures.folder(tmp_path / "photos")
    assert read_samples("folder", "~/photos").root == tmp_path / "photos"


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match="no training image"):
        read_samples("folder", tmp_path)


@pytest.mark.slow
def test_stanford40_whole() -> None:
    root = os.environ.get("AGNET_SHARED")
    if not root or not Path(root, "stanford40").is_dir():
        pytest.skip("set AGNET_SHARED to a folder that holds stanford40")
    table = read_samples("stanford40", Path(root, "stanford40"))
    assert len(table.splits["test"]) == 5532
    assert len(table.splits["train"]) + len(table.splits["val"]) == 4000
    assert len(table.splits["val"]) == pytest.approx(400, abs=4 * 19)
    assert table.problems == []


def test_adding_an_image_moves_no_other(tmp_path: Path) -> None:
    miniatures.folder(tmp_path, split=False, per_class=40)
    before = read_samples("folder", tmp_path)
    miniatures.write_image(tmp_path / "ant" / "000.png", 999)
    after = read_samples("folder", tmp_path)
    for split, samples in before.splits.items():
        assert [s for s in after.splits[split] if s.path.name != "000.png"] == samples


@pytest.mark.parametrize("make", ["empty", "loose", "one class", "empty folders"])
def test_what_cannot_be_trained_on_is_refused(tmp_path: Path, make: str) -> None:
    match make:
        case "loose":
            miniatures.write_images(tmp_path / f"{i}.png" for i in range(3))
        case "one class":
            miniatures.write_images(tmp_path / "ant" / f"{i}.png" for i in range(9))
        case "empty folders":
            (tmp_path / "ant").mkdir()
            (tmp_path / "bee").mkdir()
    expected = (
        "at least two classes, there is one: 'ant'" if make == "one class" else "no training image"
    )
    with pytest.raises(DatasetError, match=expected) as raised:
        read_samples("folder", tmp_path)
    assert ("3 images lie outside the class folders" in str(raised.value)) == (make == "loose")
