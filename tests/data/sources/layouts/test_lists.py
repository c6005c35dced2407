from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import DatasetWarning, read_samples
from agnet_vision.data.sources.split_list import SPLITS
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


@pytest.mark.parametrize(
    "header", ["path,label, split", "PATH,Label,Split", '" Path ",LABEL,SPLIT,,']
)
def test_a_header_may_have_blanks_and_capitals(root: Path, header: str) -> None:
    lines = [
        f"{split}/{name}/001.png,{name},{split}" for split in SPLITS for name in ("ant", "bee")
    ]
    for number, line in enumerate(lines):
        miniatures.write_image(root / line.partition(",")[0], number)
    (root / "list.csv").write_text("\n".join(["\ufeff" + header, *lines, ",,"]), encoding="utf-8")
    listing = read_listing("folder", root, csv=root / "list.csv")
    assert {split: len(samples) for split, samples in listing.splits.items()} == dict.fromkeys(
        SPLITS, 2
    )
    assert not listing.problems


def test_columns_that_are_not_used_are_named(root: Path) -> None:
    text = (
        ",path,label,splits,empty\n0,train/ant/001.png,ant,test,\n1,train/bee/007.png,bee,test,\n"
    )
    (root / "list.csv").write_text(text)
    (problem,) = [
        p
        for p in read_listing("folder", root, csv=root / "list.csv").problems
        if p.kind == "unused_column"
    ]
    assert problem.detail == (
        "columns that are not used: one without a name, splits; used: path, label, split"
    )
    (root / "list.csv").write_text("path,label,Label\ntrain/ant/001.png,ant,bee\n")
    with pytest.raises(DatasetError, match="two columns called label"):
        read_listing("folder", root, csv=root / "list.csv")


def test_a_row_with_more_values_than_the_header_is_refused(root: Path) -> None:
    rows = "train/ant/001.png,ant,,\ntrain/bee/007.png,bee"
    (root / "list.csv").write_text(f"path,label\n{rows}, red\n")
    with pytest.raises(DatasetError, match="line 3: it has 3 values, the header has 2; put quotes"):
        read_listing("folder", root, csv=root / "list.csv")
    (root / "list.csv").write_text(f"path,label,\n{rows}\n")
    assert read_listing("folder", root, csv=root / "list.csv").classes == ("ant", "bee")


def test_paths_of_other_systems(root: Path) -> None:
    files = {"train/été/1.png": "train\\été\\1.png", "train/ant/ö.png": "train/ant/o\u0308.png"}
    for number, name in enumerate(files):
        miniatures.write_image(root / normalize("NFD" if "é" in name else "NFC", name), number)
    lines = [f"{listed},{label}" for listed, label in zip(files.values(), "ab", strict=True)]
    (root / "list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    listing = read_listing("folder", root, csv=root / "list.csv")
    assert all(sample.path.is_file() for sample in listing.splits["train"])
    assert len(listing.splits["train"]) == 2

    (root / "list.csv").write_text(
        "path,label\ndata/train/ant/001.png,ant\nTRAIN/bee/007.png,bee\n"
    )
    with pytest.raises(
        DatasetError, match=r"2 of 2 listed files are not on disk, first: .*/data/tr"
    ):
        read_listing("folder", root, csv=root / "list.csv")
