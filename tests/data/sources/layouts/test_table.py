"""Tables of images with several labels each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agnet_vision.data.sources.listing import Listing
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import read_samples
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.task import MultiLabel
from tests.data import miniatures

# Each label has images with it and without.
ROWS = ("0.png,open|short", "1.png,", "2.png,short", "3.png,open | spur", "4.png,spur")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    miniatures.write_images(tmp_path / f"{k}.png" for k in range(8))
    return tmp_path


def read(root: Path, *lines: str, **options: object) -> Listing:
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    return read_listing("folder", root, csv=root / "labels.csv", **options)


def test_value_labels_in_one_column(root: Path) -> None:
    listing = read(root, "Path, Labels", *ROWS)
    assert listing.task.name == "multi_label"
    assert listing.classes == ("open", "short", "spur")
    labels = [sample.label for sample in listing.splits["train"]]
    assert labels == [(1, 1, 0), (0, 0, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1)]
    assert not listing.problems
    assert listing.counts() == {"train": {"open": 2, "short": 2, "spur": 2}}


def test_value_another_separator(root: Path) -> None:
    rows = [row.replace("|", ";") for row in ROWS]
    listing = read(root, "path,labels", *rows, label_separator=";")
    assert listing.classes == ("open", "short", "spur")
    (problem,) = read(root, "path,labels", *rows).problems
    assert str(problem).endswith(
        "labels.csv: line 2: 'open;short' is one label, since no row has the separator '|'; "
        "if these are several, give dataset.label_separator=';'"
    )


def test_value_a_column_per_label(root: Path) -> None:
    lines = ("path,spur,Open,note", "0.png,1,0,x", "1.png,0,1.0,", "2.png,?,,", "3.png,0,0,")
    listing = read(root, *lines, label_columns=["spur", "open"])
    assert listing.classes == ("spur", "open")
    labels = [sample.label for sample in listing.splits["train"]]
    assert labels == [(1, 0), (0, 1), (-1, -1), (0, 0)]
    assert [problem.kind for problem in listing.problems] == ["unused_column"]


def test_value_a_network_to_be_scored(root: Path) -> None:
    """Labels have the network's numbers; those that have no column are unknown."""
    known = ("spur", "short", "open")
    listing = read(root, "path,labels", *ROWS, known=known)
    assert listing.splits["train"][3].label == (1, 0, 1)
    columns = ("path,open,spur", "0.png,1,0")
    listing = read(root, *columns, label_columns=["open", "spur"], known=known)
    assert listing.splits["train"][0].label == (0, -1, 1)
    (problem,) = read(root, "path,labels", "0.png,open|crack", known=known).fatal()
    assert "line 2: the network has no class 'crack'; it has spur, short, open" in str(problem)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("path,labels", "0.png,open||short"), "line 2: a label has no name"),
        (("path,labels", "0.png,open", "1.png,open|open"), "line 3: the label 'open' is there 2"),
        (("path,labels", "0.png,open|?open"), "line 2: the label 'open' is there 2 times"),
        (("path,labels", "0.png,??open"), "line 2: the name of a label must not have"),
        (("path,labels", "0.png,", "1.png,"), "no row names a label in its column labels"),
        (("path,labels", "0.png," + "x|" * 100_000), "line 2: cannot be read as CSV"),
        (("path,labels", ",open"), "line 2: it has no path"),
        (("path,labels,split", "0.png,open,holdout"), "line 2: split 'holdout' must be"),
    ],
)
def test_raises_damaged_labels(root: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read(root, *lines)


@pytest.mark.parametrize(
    ("lines", "columns", "words"),
    [
        (("path,open", "0.png,1", "1.png,yes"), ["open"], "line 3: open must be 1, 0, or .* 'yes'"),
        (("path,open", "0.png,1"), ["open", "spur"], "label_columns names spur, which it lacks"),
        (("path,open", "0.png,1"), ["open", "open"], "the label 'open' is there 2 times"),
        (("path,a|b", "0.png,1"), ["a|b"], r"must not have \| in it or \? before it, got 'a\|b'"),
    ],
)
def test_raises_damaged_columns(
    root: Path, lines: tuple[str, ...], columns: list[str], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        read(root, *lines, label_columns=columns)


def test_raises_columns_of_nothing(root: Path) -> None:
    with pytest.raises(ConfigError, match="label_columns=open needs a csv"):
        read_listing("folder", root, label_columns=["open"])


def test_value_contradictions_and_constant_labels_are_named(root: Path) -> None:
    lines = ("path,labels", "0.png,open", "1.png,open|spur", "0.png,open|spur")
    (problem,) = read(root, *lines).fatal()
    assert "listed in line 2 of labels.csv and in line 4 of labels.csv" in str(problem)

    lines = ("path,labels,split", "0.png,open,train", "1.png,open,", "2.png,spur,test")
    listing = read(root, *lines)
    assert not listing.fatal()
    assert {problem.detail for problem in listing.problems} == {
        "train: the class spur has no image",
        "test: the class open has no image",
        "train: no image is without the label open, so it cannot be learned",
    }


def test_value_splits_are_read_back(root: Path) -> None:
    (root / "labels.csv").write_text("\n".join(["path,labels", *ROWS, "5.png,?open|spur"]))
    options = {"csv": root / "labels.csv", "val_fraction": 0.3}
    table = read_samples("folder", root, **options)
    table.write_splits(root / "splits.csv")
    again = read_samples("folder", root, **options).read_splits(root / "splits.csv")
    assert again.splits == table.splits
    assert (-1, 0, 1) in {sample.label for each in again.splits.values() for sample in each}
    listed = read_listing("folder", root, csv=root / "splits.csv")
    assert listed.splits == {split: each for split, each in table.splits.items() if each}
    assert isinstance(listed.task, MultiLabel)

    lines = (root / "labels.csv").read_text().replace("4.png,spur", "4.png,open")
    (root / "labels.csv").write_text(lines)
    with pytest.raises(DatasetError, match="1 are in another class now"):
        read_samples("folder", root, **options).read_splits(root / "splits.csv")


def test_value_coco(root: Path) -> None:
    """Categories are labels, those of no object too; an image without objects has none."""
    pytest.importorskip("pycocotools")
    content = {
        "images": [{"id": k, "file_name": f"{k}.png"} for k in range(3)],
        "categories": [
            {"id": 7, "name": "spur"},
            {"id": 3, "name": "open"},
            {"id": 4, "name": "x"},
        ],
        "annotations": [
            {"id": number, "image_id": image, "category_id": category}
            for number, (image, category) in enumerate([(0, 7), (0, 7), (2, 3), (2, 7)])
        ],
    }
    (root / "objects.json").write_text(json.dumps(content))
    listing = read_listing("folder", root, csv=root / "objects.json")
    assert listing.classes == ("open", "spur", "x")
    assert [sample.label for sample in listing.splits["train"]] == [(0, 1, 0), (0, 0, 0), (1, 1, 0)]
    with pytest.raises(ConfigError, match="is COCO's JSON, which has no columns to name"):
        read_listing("folder", root, csv=root / "objects.json", label_columns=["open"])
    for text in ("{}", "no", '{"images": [], "annotations": [{"id": 1}], "categories": []}'):
        (root / "objects.json").write_text(text)
        with pytest.raises(DatasetError, match=r"objects\.json"):
            read_listing("folder", root, csv=root / "objects.json")
