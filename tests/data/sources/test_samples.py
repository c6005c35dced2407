from __future__ import annotations

import csv
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agnet_vision.data.sources.card import load_card
from agnet_vision.data.sources.layouts.caltech256 import draw_training_paths, split_list
from agnet_vision.data.sources.samples import (
    DatasetWarning,
    SampleTable,
    read_listing,
    read_samples,
)
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError
from tests.data import miniatures


@pytest.fixture
def incomplete() -> Iterator[None]:
    """Miniatures have fewer images than their cards say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        yield


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def kinds(table: SampleTable) -> set[str]:
    return {problem.kind for problem in table.problems}


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


def test_value_aucd_v1(tmp_path: Path) -> None:
    miniatures.aucd_v1(tmp_path)
    with pytest.warns(DatasetWarning, match=r"2\.jpg: listed in Train_data_list\.csv, not on disk"):
        table = read_samples("aucd_v1", tmp_path, val_fraction=0)
    assert len(table.splits["train"]) == 19  # one listed file is missing
    assert kinds(table) == {"missing_file", "wrong_count"}
    for samples in table.splits.values():
        assert all(sample.path.parent.name == table.classes[sample.label] for sample in samples)


def test_aucd_v1_lists_that_contradict_the_folders(tmp_path: Path) -> None:
    miniatures.aucd_v1(tmp_path)
    path = tmp_path / "v1_cam1_no_split" / "Train_data_list.csv"
    path.write_text(
        path.read_text().replace(
            "/distracted.driver/Text Left/3.jpg,1", "/distracted.driver/Text Left/3.jpg,2"
        )
    )
    with pytest.raises(DatasetError, match="labelled 2, not 1"):
        read_samples("aucd_v1", tmp_path)


@pytest.mark.parametrize(
    "folder", ["v2_cam1_cam2_ split_by_driver", "v2_cam1_cam2_split_by_driver"]
)
def test_value_aucd_v2(tmp_path: Path, folder: str, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path, folder)
    official = read_samples("aucd_v2", tmp_path)
    clean = read_samples("aucd_v2", tmp_path, clean=True)
    assert set(names(official, "test")) - set(names(clean, "test")) == {"322.jpg", "415.jpg"}
    assert {"321.jpg", "416.jpg"} <= set(names(clean, "test"))
    assert len(official.splits["train"]) + len(official.splits["val"]) == 40
    assert {s.path.parent.name: official.classes[s.label] for s in official.splits["test"]}[
        "c7"
    ] == "Reaching Behind"
    assert (
        read_samples("aucd_v2", tmp_path / folder).splits["test"][0].label == 0
    )  # the root may be the inner folder


def test_aucd_v2_validation_by_driver(tmp_path: Path, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path)
    top = tmp_path / "v2_cam1_cam2_ split_by_driver"
    paths = [path.relative_to(top).as_posix() for path in sorted(top.rglob("train/*/*.jpg"))]
    rows = [(path, f"driver {int(Path(path).stem) % 5}") for path in paths]
    with (tmp_path / "drivers.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "driver"), *rows])
    table = read_samples("aucd_v2", tmp_path, val_fraction=0.2, drivers=tmp_path / "drivers.csv")
    groups = {split: {sample.group for sample in table.splits[split]} for split in ("train", "val")}
    assert groups["val"]
    assert not groups["train"] & groups["val"]
    with (tmp_path / "drivers.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "driver"), *rows[1:]])
    with pytest.raises(DatasetError, match="names no driver for 1 images"):
        read_samples("aucd_v2", tmp_path, drivers=tmp_path / "drivers.csv")


def test_value_stanford40(tmp_path: Path, incomplete: None) -> None:
    miniatures.stanford40(tmp_path)
    table = read_samples("stanford40", tmp_path, val_fraction=0)
    assert names(table, "train")[0] == "applauding_001.jpg"  # despite its Windows line end
    assert names(table, "test")[-1] == "writing_on_a_book_002.jpg"


def test_overlap_of_official_lists_is_named(tmp_path: Path) -> None:
    miniatures.stanford40(tmp_path)
    (tmp_path / "ImageSplits" / "reading_test.txt").write_text("reading_001.jpg\n")
    with pytest.warns(
        DatasetWarning,
        match=r"reading_001\.jpg: listed for train in reading_train\.txt and for test",
    ):
        read_samples("stanford40", tmp_path)


def test_value_ppmi(tmp_path: Path, incomplete: None) -> None:
    miniatures.ppmi(tmp_path)
    table = read_samples("ppmi", tmp_path, val_fraction=0)
    assert table.classes[0] == "play_bassoon"
    assert {
        s.path.parts[-3]
        for s in table.splits["train"]
        if table.classes[s.label] == "with_french_horn"
    } == {"frenchhorn"}


def test_value_food101(tmp_path: Path, incomplete: None) -> None:
    miniatures.food101(tmp_path)
    table = read_samples("food101", tmp_path, val_fraction=0)
    assert all(
        sample.path.parent.name == table.classes[sample.label] for sample in table.splits["test"]
    )
    miniatures.write_picture(tmp_path / "food-101" / "images" / "gruel" / "1.jpg")
    assert "extra_class" in {problem.kind for problem in read_listing("food101", tmp_path).problems}


def test_value_caltech256(tmp_path: Path) -> None:
    miniatures.caltech256(tmp_path)
    for seed in (0, 4):
        table = read_samples("caltech256", tmp_path, val_fraction=0, split_seed=seed)
        train = {s.path.relative_to(tmp_path).as_posix() for s in table.splits["train"]}
        test = {s.path.relative_to(tmp_path).as_posix() for s in table.splits["test"]}
        assert not train & test
        assert (len(train), len(test)) == (256 * 60, 29_780 - 256 * 60)
        assert not any(
            "clutter" in path or "greg" in path or "RENAME2" in path for path in train | test
        )
    with pytest.raises(ConfigError, match=r"split_seed must be one of \(0, 1, 2, 3, 4\), got 7"):
        read_samples("caltech256", tmp_path, split_seed=7)


def test_caltech256_lists() -> None:
    """Five different lists, each of 60 different paths a class, as drawn."""
    card = load_card("caltech256")
    lists = [split_list(seed).read_text().split() for seed in range(5)]
    assert lists == [draw_training_paths(card.classes, card.totals, seed) for seed in range(5)]
    late = sum(int(line[-8:-4]) > 80 for line in lists[0])
    expected = sum(60 * (total - 80) / total for total in card.totals)
    assert abs(late - expected) < 4 * expected**0.5  # no part of a class is preferred
    assert len({tuple(lines) for lines in lists}) == 5
    for lines in lists:
        assert len(set(lines)) == len(lines) == 256 * 60
        assert set(Counter(line.split("/")[0] for line in lines).values()) == {60}
        assert all(re.fullmatch(r"(\d{3})\.[a-z0-9-]+/\1_\d{4}\.jpg", line) for line in lines)


def test_demo_is_drawn_when_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(root: Path) -> None:
        miniatures.folder(root)
        (root / "demo.json").write_text("{}")

    monkeypatch.setattr("agnet_vision.data.sources.samples.generate_demo", draw)
    table = read_samples("demo", tmp_path / "demo")
    assert len(table.classes) == 3
    monkeypatch.setattr(
        "agnet_vision.data.sources.samples.generate_demo", None
    )  # not called a second time
    assert read_samples("demo", tmp_path / "demo").splits == table.splits


@pytest.mark.parametrize("name", [*miniatures.WRITERS])
def test_missing_root_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError) as error:
        read_samples(name, tmp_path / "nowhere")
    for part in (
        str(tmp_path / "nowhere"),
        f"tools/prepare_dataset.py dataset={name}",
        "dataset.root=",
    ):
        assert part in str(error.value)


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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "stanford40",
            {"clean": True},
            "dataset=stanford40 does not take clean; it has no options of its own",
        ),
        ("aucd_v2", {"split_seed": 1}, "does not take split_seed; its options are clean, drivers"),
        ("food101", {"test_fraction": 0.3}, r"test_fraction is for dataset=folder"),
        ("folder", {"val_fraction": 1.5}, r"val_fraction must be in \[0, 1\), got 1\.5"),
        ("folder", {"group_regex": "("}, "is not a regular expression"),
        ("folder", {"group_regex": "nobody"}, "finds nothing in train/ant/001.png"),
        ("imagenet", {}, "dataset=imagenet is not known"),
    ],
)
def test_raises_wrong_options(
    tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    miniatures.folder(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read_samples(name, tmp_path, **options)


@pytest.mark.slow
def test_stanford40_whole() -> None:
    root = os.environ.get("AGNET_SHARED")
    if not root or not Path(root, "stanford40").is_dir():
        pytest.skip("set AGNET_SHARED to a folder that holds stanford40")
    table = read_samples("stanford40", Path(root, "stanford40"))
    assert [len(table.splits[split]) for split in ("train", "val", "test")] == [3600, 400, 5532]
    assert table.problems == []
