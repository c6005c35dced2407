from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.prepare.check import CheckResult, check_dataset
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures


def check(name: str, root: Path, **options: object) -> CheckResult:
    return check_dataset(name, root, workers=1, show_progress=False, **options)


def found(result: CheckResult, kind: str) -> list[str]:
    return [Path(problem.path).name for problem in result.problems if problem.kind == kind]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniatures.folder(tmp_path / "data")
    return tmp_path / "data"


def test_a_good_folder_agrees(root: Path) -> None:
    result = check("folder", root)
    assert result.agrees
    assert result.problems == []
    assert result.splits["test"] == {"ant": 6, "bee": 6, "шмель": 6}


def test_report(root: Path, tmp_path: Path) -> None:
    (root / "train" / "ant" / "x.jpg").write_text("hello")
    check("folder", root).write(tmp_path / "out" / "report.json")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["splits"]["test"] == {"ant": 6, "bee": 6, "шмель": 6}
    assert [set(problem) for problem in report["problems"]] == [{"kind", "path", "detail"}]


def test_text_named_jpg_and_truncated_file(root: Path) -> None:
    (root / "train" / "ant" / "x.jpg").write_text("hello")
    path = root / "train" / "bee" / "007.png"
    path.write_bytes(path.read_bytes()[:200])
    result = check("folder", root)
    assert not result.agrees
    assert found(result, "undecodable") == ["x.jpg", "007.png"]
    assert "not an image" in result.problems[0].detail


@pytest.mark.parametrize(("name", "brightest"), [("a.png", 4_095), ("a.tif", 8_191)])
def test_sixteen_bit_images_that_look_black_are_named(
    root: Path, name: str, brightest: int
) -> None:
    values = np.linspace(0, brightest, 64 * 64, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(root / "train" / "ant" / name), values)
    cv2.imwrite(str(root / "train" / "ant" / "bright.png"), 16 * values.T)
    cv2.imwrite(str(root / "train" / "ant" / "night.png"), np.full((64, 64), 9, np.uint8))
    result = check("folder", root)
    assert found(result, "dark") == [name]
    assert not result.agrees


def test_duplicates_across_splits(root: Path) -> None:
    shutil.copy(root / "train" / "ant" / "001.png", root / "test" / "ant" / "copy.png")
    shutil.copy(root / "train" / "ant" / "002.png", root / "train" / "ant" / "same split.png")
    Image.open(root / "train" / "bee" / "008.png").resize((80, 64)).save(
        root / "val" / "bee" / "again.jpg", quality=60
    )
    result = check("folder", root)
    assert not result.agrees
    assert found(result, "duplicate") == ["copy.png"]
    assert found(result, "near_duplicate") == ["again.jpg"]
    assert [pair.first.name for pair in result.pairs] == ["001.png", "008.png"]

    (root / "test" / "ant" / "copy.png").unlink()
    assert not check("folder", root).agrees
    assert check("folder", root, find_near_duplicates=False).agrees


def test_damaged_copies_are_named_but_not_drawn(root: Path) -> None:
    for split in ("train", "test"):
        (root / split / "bee" / "notes.jpg").write_text("the same text")
    result = check("folder", root)
    assert found(result, "undecodable") == ["notes.jpg", "notes.jpg"]
    assert found(result, "duplicate") == ["notes.jpg"]
    assert result.pairs == []


def test_copies_of_one_image_in_two_classes_and_splits_are_named_once(tmp_path: Path) -> None:
    """Web collections hold thousands of "no longer available" images."""
    source = miniatures.write_image(tmp_path / "source.png")
    for split, number in (("train", 400), ("test", 300)):
        for label in ("a", "b"):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for i in range(number // 2):
                (tmp_path / "data" / split / label / f"{i}.png").hardlink_to(source)
    result = check("folder", tmp_path / "data", val_fraction=0)
    assert len(found(result, "duplicate")) == len(result.pairs) == 300
    assert len(found(result, "contradiction")) == 350
    assert not result.agrees


def test_near_duplicates_alone_contradict_no_card_of_a_benchmark(tmp_path: Path) -> None:
    miniatures.stanford40(tmp_path)
    images = tmp_path / "JPEGImages"
    Image.open(images / "reading_001.jpg").save(images / "reading_002.jpg", quality=60)
    result = check("stanford40", tmp_path)
    assert found(result, "near_duplicate") == ["reading_002.jpg"]
    result.problems = [p for p in result.problems if p.kind == "near_duplicate"]
    assert result.agrees


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A folder without splits, with smaller copies of many images."""
    miniatures.folder(tmp_path / "flat", split=False, per_class=20)
    for path in sorted((tmp_path / "flat").rglob("*.png"))[::2]:
        Image.open(path).resize((80, 64)).save(path.with_suffix(".jpg"), quality=70)
    return tmp_path / "flat"


def test_a_drawn_split_must_not_part_near_duplicates(flat: Path, tmp_path: Path) -> None:
    result = check("folder", flat)
    assert not result.agrees
    assert result.pairs
    parted = {(pair.first.stem, pair.second.stem) for pair in result.pairs}
    assert all(first == second for first, second in parted)

    result.write_groups(tmp_path / "groups.csv")
    options = {"csv": tmp_path / "groups.csv", "group_column": "group"}
    assert check("folder", flat, **options).agrees
    table = read_samples("folder", flat, **options)
    split_of = {s.path: split for split, samples in table.splits.items() for s in samples}
    assert len(split_of) == 90
    for path in split_of:
        assert split_of[path] == split_of.get(path.with_suffix(".jpg"), split_of[path])


def test_groups_join_what_is_alike_to_given_groups(flat: Path) -> None:
    result = check("folder", flat, group_regex=r"(\d)[.]...$")
    assert len(set(result.groups.values())) == 10
    assert result.agrees


@pytest.mark.parametrize("make", ["empty", "loose", "one class"])
def test_what_training_refuses_does_not_agree(tmp_path: Path, make: str) -> None:
    match make:
        case "loose":
            miniatures.write_images(tmp_path / f"{i}.png" for i in range(3))
        case "one class":
            miniatures.write_images(tmp_path / "ant" / f"{i}.png" for i in range(9))
    result = check("folder", tmp_path)
    assert not result.agrees
    assert found(result, "one_class" if make == "one class" else "no_images")
    with pytest.raises(DatasetError):
        read_samples("folder", tmp_path)


@pytest.mark.parametrize("name", ["aucd_v1", "aucd_v2", "stanford40", "ppmi", "food101"])
def test_miniatures_of_the_benchmarks(tmp_path: Path, name: str) -> None:
    """Wrong counts are said for every class and split for which the card has counts."""
    miniatures.WRITERS[name](tmp_path)
    result = check(name, tmp_path)
    wrong = found(result, "wrong_count")
    assert wrong
    assert not result.agrees
    if name in ("food101", "ppmi"):
        assert len(wrong) == 2 + 2 * len(result.splits["train"])
    if name == "aucd_v1":
        assert found(result, "missing_file") == ["2.jpg"]
