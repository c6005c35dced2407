from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agnet_vision.data.image import read_image
from agnet_vision.data.prepare.check import CheckResult, check_dataset
from agnet_vision.data.prepare.contact_sheet import draw_sheet
from agnet_vision.data.prepare.duplicates import fingerprint, near_duplicates
from agnet_vision.errors import DatasetNotFoundError
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


def test_text_named_jpg_and_truncated_file(root: Path) -> None:
    (root / "train" / "ant" / "x.jpg").write_text("hello")
    path = root / "train" / "bee" / "007.png"
    path.write_bytes(path.read_bytes()[:200])
    result = check("folder", root)
    assert not result.agrees
    assert found(result, "undecodable") == ["x.jpg", "007.png"]
    assert "not an image" in result.problems[0].detail


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
    assert [pair.first.name for pair in result.twins] == ["001.png", "008.png"]
    assert check("folder", root, find_near_duplicates=False).twins == result.twins[:1]


def test_damaged_copies_are_named_but_not_drawn(root: Path) -> None:
    for split in ("train", "test"):
        (root / split / "bee" / "notes.jpg").write_text("the same text")
    result = check("folder", root)
    assert found(result, "undecodable") == ["notes.jpg", "notes.jpg"]
    assert found(result, "duplicate") == ["notes.jpg"]
    assert result.twins == []


def test_a_placeholder_repeated_often_is_cheap(tmp_path: Path) -> None:
    """Web collections hold "no longer available" pictures by the thousand: each is named once, not once a pair."""
    source = miniatures.write_image(tmp_path / "source.png")
    for split, number in (("train", 400), ("test", 300)):
        for label in ("a", "b"):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for i in range(number // 2):
                (tmp_path / "data" / split / label / f"{i}.png").hardlink_to(source)
    result = check("folder", tmp_path / "data")
    assert len(found(result, "duplicate")) == len(result.twins) == 300


def test_near_duplicates_alone_contradict_no_card(root: Path) -> None:
    Image.open(root / "train" / "bee" / "008.png").save(
        root / "test" / "bee" / "again.jpg", quality=80
    )
    assert check("folder", root).agrees


def test_report_and_sheet(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "train" / "шмель" / "013.png", root / "test" / "ant" / "013.png")
    result = check("folder", root)
    result.write(tmp_path / "out" / "report.json")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["splits"] == result.splits
    assert [set(problem) for problem in report["problems"]] == [{"kind", "path", "detail"}]
    draw_sheet(result.twins, tmp_path / "out" / "sheet.png")
    sheet = read_image(tmp_path / "out" / "sheet.png")
    left, right = sheet[8:168, 8:208], sheet[8:168, 216:416]
    assert left.std() > 20
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", ["aucd_v1", "aucd_v2", "stanford40", "ppmi", "food101"])
def test_miniatures_of_the_benchmarks(tmp_path: Path, name: str) -> None:
    """The counts of a miniature are not the card's: said for every class and split that has counts."""
    miniatures.WRITERS[name](tmp_path)
    result = check(name, tmp_path)
    wrong = found(result, "wrong_count")
    assert wrong
    assert not result.agrees
    if name in ("food101", "ppmi"):
        assert len(wrong) == 2 + 2 * len(result.splits["train"])
    if name == "aucd_v1":
        assert found(result, "missing_file") == ["2.jpg"]


def test_raises_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        check("food101", tmp_path)


def noise(seed: int, side: int = 64) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def test_near_duplicates_equal_a_slow_loop() -> None:
    first = [fingerprint(noise(seed)) for seed in range(30)]
    second = [
        fingerprint(np.clip(noise(seed, 50) * 0.9 + 5, 0, 255).astype(np.uint8))
        for seed in range(20, 50)
    ]
    pairs = near_duplicates(first, second)
    slow = [
        (i, j)
        for j, b in enumerate(second)
        for i, a in enumerate(first)
        if (a.bits != b.bits).sum() <= 10 and np.corrcoef(a.thumbnail, b.thumbnail)[0, 1] >= 0.96
    ]
    assert sorted((pair.first, pair.second) for pair in pairs) == sorted(slow)
    assert {(20 + k, k) for k in range(10)} <= set(slow)


def test_flat_pictures_and_none() -> None:
    flat = [fingerprint(np.full((32, 32, 3), value, np.uint8)) for value in (0, 128, 255)]
    assert near_duplicates(flat, flat) == []
    assert near_duplicates([], flat) == []
