from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from agnet_vision.data.sources.listing import SPLITS, Listing
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import DatasetError, DatasetNotFoundError
from tests.data import miniatures

ROWS = "train/ant/001.png,ant\ntrain/bee/003.png,bee"


def read(root: Path, text: str, **options: str) -> Listing:
    """Read a dataset that a CSV describes."""
    (root / "list.csv").write_text(text, encoding="utf-8")
    return read_listing("folder", root, csv=root / "list.csv", **options)


def test_folder_from_csv(tmp_path: Path) -> None:
    miniatures.write_images(tmp_path / f"{i}.png" for i in range(8))
    lines = [
        f"{i}.png,{'xy'[i % 2]}{' ' * (i % 3)},{'test' if i < 2 else 'train'},p{i // 2}"
        for i in range(8)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split,patient", *lines]))
    options = {"csv": str(tmp_path / "list.csv"), "group_column": "patient"}
    table = read_samples("folder", tmp_path, val_fraction=0.3, **options)
    assert table.classes == ("x", "y")
    assert [sample.path.name for sample in table.splits["test"]] == ["0.png", "1.png"]
    train, val = ({sample.group for sample in table.splits[split]} for split in ("train", "val"))
    assert not train & val


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,who\na.png\n", "line 2: it has no label and no who"),
        ("path,label,who\na.png,ant,1\nb.png,bee,\n", "line 3: it has no who"),
        ("path,label,who\n" + "x" * 200_000 + ",ant,1\n", "line 2: cannot be read as CSV"),
        ("path,label\na.png,ant\n", "has the columns path, label; missing: who"),
        ("path,label,who,split\na.png,ant,1,holdout\n", "line 2: split 'holdout' must be"),
        ("path,label,who,Label\na.png,ant,1,bee\n", "two columns called label"),
        ("path,label,who\na.png,ant,1\nb.png,bee, red,2\n", "line 3: it has 4 values, the header"),
        ("path,label,who\nTRAIN/ant/001.png,ant,1\n", "1 of 1 listed files are not on disk, first"),
    ],
)
def test_raises_damaged_csv(root: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read(root, text, group_column="who")


def test_raises_no_text(root: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"other\.csv does not exist; it must be a CSV"):
        read_listing("folder", root, csv=root / "other.csv")
    (root / "list.csv").write_bytes("path,label\nschön.png,a\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"list\.csv is not a UTF-8 text file"):
        read_listing("folder", root, csv=root / "list.csv")


@pytest.mark.parametrize(
    "again", ["train/ant/001.png", "./train/ant/001.png", "a/../train/ant/001.png"]
)
def test_a_file_in_two_rows_is_refused(root: Path, again: str) -> None:
    (root / "list.csv").write_text(f"path,label,split\n{ROWS}\n{again},ant,test\n")
    with pytest.raises(DatasetError, match=r"for train in line 2 .* for test in line 4") as raised:
        read_samples("folder", root, csv=root / "list.csv")
    options = f"dataset.root={root} dataset.csv={root / 'list.csv'} report=problems.json"
    assert str(raised.value).endswith(f"dataset=folder {options}")


@pytest.mark.parametrize(
    "header", ["path,label, split", "PATH,Label,Split", '" Path ",LABEL,SPLIT,,']
)
def test_a_header_may_have_blanks_and_capitals(root: Path, header: str) -> None:
    lines = [f"{split}/{split}{name}.png,{name},{split}" for split in SPLITS for name in "ab"]
    miniatures.write_images(root / line.partition(",")[0] for line in lines)
    listing = read(root, "\n".join(["\ufeff" + header, *lines, ",,"]))
    assert {split: len(samples) for split, samples in listing.splits.items()} == dict.fromkeys(
        SPLITS, 2
    )
    assert not listing.problems


def test_columns_that_are_not_used_are_named(root: Path) -> None:
    lines = [f"{number},{line},test," for number, line in enumerate(ROWS.split())]
    listing = read(root, "\n".join([",path,label,splits,empty", *lines]))
    details = [p.detail for p in listing.problems if p.kind == "unused_column"]
    assert details == [
        "columns that are not used: one without a name, splits; used: path, label, split"
    ]


def test_paths_of_other_systems(root: Path) -> None:
    files = {"train/été/1.png": "train\\été\\1.png", "train/ant/ö.png": "train/ant/o\u0308.png"}
    for number, name in enumerate(files):
        miniatures.write_image(root / normalize("NFD" if "é" in name else "NFC", name), number)
    lines = [f"{listed},{label}" for listed, label in zip(files.values(), "ab", strict=True)]
    listing = read(root, "\n".join(["path,label", *lines]))
    assert all(sample.path.is_file() for sample in listing.splits["train"])
    assert len(listing.splits["train"]) == 2


@pytest.mark.parametrize(
    ("name", "text", "kind", "detail"),
    [
        (
            "reading_test",
            "reading_001.jpg\n",
            "overlap",
            "listed for train in reading_train.txt and for test in reading_test.txt",
        ),
        (
            "reading_train",
            "reading_001.jpg\nreading_001.jpg\n",
            "overlap",
            "listed for train in reading_train.txt and for train in reading_train.txt",
        ),
        (
            "reading_train",
            "reading_001.jpg\napplauding_001.jpg\n",
            "wrong_list",
            "listed in applauding_train.txt and in reading_train.txt, with different labels",
        ),
    ],
)
def test_a_file_in_two_published_lists_is_named(
    tmp_path: Path, name: str, text: str, kind: str, detail: str
) -> None:
    miniatures.stanford40(tmp_path)
    (tmp_path / "ImageSplits" / f"{name}.txt").write_text(text)
    listing = read_listing("stanford40", tmp_path)
    assert [s.path.name for s in listing.splits["train"]].count("reading_001.jpg") == 1
    assert (kind, detail) in [(problem.kind, problem.detail) for problem in listing.problems]
