from __future__ import annotations

import csv
from pathlib import Path

import pytest

from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import DatasetWarning, SampleTable, read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures
from tests.data.miniatures import aucd_v2


def names(table: SampleTable, split: str) -> list[str]:
    return [sample.path.name for sample in table.splits[split]]


def test_value_aucd_v1(tmp_path: Path) -> None:
    miniatures.aucd_v1(tmp_path)
    with pytest.warns(DatasetWarning, match=r"2\.jpg: listed in Train_data_list\.csv, not on disk"):
        table = read_samples("aucd_v1", tmp_path, val_fraction=0)
    assert len(table.splits["train"]) == 19  # one listed file is missing
    assert {problem.kind for problem in table.problems} == {"missing_file", "wrong_count"}
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
    with pytest.raises(DatasetError, match="labeled 2, not 1"):
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


def test_clean_still_counts_what_should_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aucd_v2(tmp_path)
    listing = read_listing("aucd_v2", tmp_path, clean=True)
    assert [sample.path.stem for sample in listing.left_out] == ["322", "415"]
    details = [p.detail for p in listing.problems if p.kind == "wrong_count"]
    assert "test: 44 images, the card says 1,923" in details


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


def test_a_driver_list_without_rows_is_refused(tmp_path: Path) -> None:
    aucd_v2(tmp_path)
    (tmp_path / "drivers.csv").write_text("path,driver\n")
    with pytest.raises(DatasetError, match="names no driver for 40 images"):
        read_samples("aucd_v2", tmp_path, drivers=tmp_path / "drivers.csv")


def test_a_driver_in_both_official_splits_is_named(tmp_path: Path) -> None:
    aucd_v2(tmp_path)
    top = tmp_path / "v2_cam1_cam2_ split_by_driver"
    paths = [path.relative_to(top).as_posix() for path in sorted(top.rglob("*.jpg"))]
    rows = [
        (path, "shared" if Path(path).stem in ("322", "415") else f"of {'/train/' in path}")
        for path in paths
    ]
    rows[paths.index("Camera 1/train/c0/1001.jpg")] = ("Camera 1/train/c0/1001.jpg", "shared")
    with (tmp_path / "drivers.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "driver"), *rows])
    listing = read_listing("aucd_v2", tmp_path, drivers=tmp_path / "drivers.csv")
    details = [p.detail for p in listing.problems if p.kind == "group_overlap"]
    assert details == ["the group shared is in train, and 2 times in test"]
    listing = read_listing("aucd_v2", tmp_path, drivers=tmp_path / "drivers.csv", clean=True)
    assert not [p for p in listing.problems if p.kind == "group_overlap"]
