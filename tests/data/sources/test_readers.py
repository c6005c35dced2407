"""Data found, and groups read from paths."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from agnet_vision.data.prepare.check import check_dataset
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.errors import ConfigError, DatasetNotFoundError
from tests.cli.saved import given
from tests.data import miniatures


@pytest.mark.parametrize("name", miniatures.WRITERS)
def test_missing_root_says_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetNotFoundError) as error:
        read_samples(name, tmp_path / "nowhere")
    for part in (str(tmp_path / "nowhere"), f"agnet prepare dataset={name}", "dataset.root="):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("stanford40", "ImageSplits"),
        ("aucd_v1", "v1_cam1_no_split/Test_data_list.csv"),
        ("aucd_v2", "v2_cam1_cam2_ split_by_driver/Camera 2"),
        ("food101", "food-101/meta"),
    ],
)
def test_half_unpacked_names_the_missing_half(tmp_path: Path, name: str, part: str) -> None:
    miniatures.WRITERS[name](tmp_path)
    path = tmp_path / part
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing(name, tmp_path)
    assert f"{path} missing" in str(raised.value).splitlines()[0]


def test_the_command_in_a_message_can_be_pasted(tmp_path: Path) -> None:
    odd = tmp_path / "my (photos), é"
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing("ppmi", odd)
    (_, _, option) = shlex.split(str(raised.value).rpartition("agnet ")[2])
    assert given("prepare", option) == {"dataset.root": str(odd)}

    odd.write_text("")
    with pytest.raises(DatasetNotFoundError, match="is not a folder"):
        read_listing("ppmi", odd)


def test_demo_is_drawn_when_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(root: Path) -> None:
        miniatures.folder(root)
        (root / "demo.json").write_text("{}")

    monkeypatch.setattr("agnet_vision.data.sources.readers.generate_demo", draw)
    table = read_samples("demo", tmp_path / "demo")
    assert len(table.classes) == 3
    monkeypatch.setattr("agnet_vision.data.sources.readers.generate_demo", None)  # not called again
    assert read_samples("demo", tmp_path / "demo").splits == table.splits


def groups_of(table: SampleTable) -> list[set[str | None]]:
    """Return the groups of train, val and test."""
    return [{sample.group for sample in samples} for samples in table.splits.values()]


def test_folder_groups_stay_on_one_side(tmp_path: Path) -> None:
    miniatures.write_images(
        tmp_path / "ab"[number % 2] / f"patient{number // 6}_{number}.png" for number in range(60)
    )
    groups = groups_of(read_samples("folder", tmp_path, group_regex=r"patient(\d+)"))
    assert set().union(*groups) == set(map(str, range(10)))
    assert sum(map(len, groups)) == 10


def test_every_dataset_of_files_takes_groups_from_paths(tmp_path: Path, incomplete: None) -> None:
    miniatures.aucd_v2(tmp_path)
    table = read_samples("aucd_v2", tmp_path, val_fraction=0.3, group_regex=r"(\d)\.jpg")
    train, val, _ = groups_of(table)
    assert train | val == set("0123456789")
    assert not train & val


def test_group_on_both_sides_of_a_given_split_is_named(root: Path) -> None:
    result = check_dataset(
        "folder", root, workers=1, show_progress=False, group_regex="(ant|bee|шмель)"
    )
    named = [problem.detail for problem in result.problems if problem.kind == "group_overlap"]
    assert len(named) == 3
    assert named[0] == "the group ant is 2 times in train and 2 times in val and 2 times in test"
    assert not result.agrees


@pytest.mark.parametrize(
    ("pattern", "options", "message"),
    [
        ("(", {}, "must be a regular expression"),
        ("nobody", {}, "finds nothing in train/ant/001.png"),
        (".", {"csv": "list.csv", "group_column": "who"}, "must be the only source of groups"),
    ],
)
def test_raises_wrong_groups(
    root: Path, pattern: str, options: dict[str, str], message: str
) -> None:
    rows = "train/ant/001.png,ant,1\ntrain/bee/003.png,bee,2\n"
    (root / "list.csv").write_text(f"path,label,who\n{rows}")
    if options:
        options = {**options, "csv": str(root / "list.csv")}
    with pytest.raises(ConfigError, match=message):
        read_samples("folder", root, group_regex=pattern, **options)
