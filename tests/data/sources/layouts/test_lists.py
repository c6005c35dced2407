from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import DatasetWarning, read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures


def test_overlap_of_official_lists_is_named(tmp_path: Path) -> None:
    miniatures.stanford40(tmp_path)
    (tmp_path / "ImageSplits" / "reading_test.txt").write_text("reading_001.jpg\n")
    with pytest.warns(
        DatasetWarning,
        match=r"reading_001\.jpg: listed for train in reading_train\.txt and for test",
    ):
        read_samples("stanford40", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,patient\ntrain/ant/001.png\n", "line 2: it has no label and no patient"),
        (
            "path,label,patient\ntrain/ant/001.png,ant,1\ntrain/bee/007.png,bee,\n",
            "line 3: it has no patient",
        ),
        ("path,label,patient\n" + "x" * 200_000 + ",ant,1\n", "line 2: cannot be read as CSV"),
        ("path,label\ntrain/ant/001.png,ant\n", "missing: patient"),
    ],
)
def test_raises_csv_with_holes(root: Path, text: str, message: str) -> None:
    (root / "list.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_listing("folder", root, csv=root / "list.csv", group_column="patient")


def test_raises_csv_of_another_encoding(root: Path) -> None:
    (root / "list.csv").write_bytes("path,label\nschön.png,a\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.csv is not a UTF-8 text file"):
        read_listing("folder", root, csv=root / "list.csv")


def test_a_line_listed_twice_counts_once_and_is_named(tmp_path: Path) -> None:
    miniatures.stanford40(tmp_path)
    path = tmp_path / "ImageSplits" / "reading_train.txt"
    path.write_text("reading_001.jpg\nreading_001.jpg\n")
    listing = read_listing("stanford40", tmp_path)
    assert [s.path.name for s in listing.splits["train"]].count("reading_001.jpg") == 1
    (problem,) = [p for p in listing.problems if p.kind == "listed_twice"]
    assert problem.detail == "listed twice in reading_train.txt; it counts once"


def test_a_file_listed_for_two_classes_is_refused(tmp_path: Path) -> None:
    miniatures.stanford40(tmp_path)
    (tmp_path / "ImageSplits" / "reading_train.txt").write_text("applauding_001.jpg\n")
    with pytest.raises(
        DatasetError, match=r"in applauding_train\.txt and in reading_train\.txt, as two classes"
    ):
        read_samples("stanford40", tmp_path)
