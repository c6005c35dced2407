"""What people really have on their disks: lists with holes, links in circles, archives half unpacked."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from agnet_vision.data.prepare.check import check_dataset
from agnet_vision.data.sources.samples import DatasetWarning, read_listing, read_samples
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError
from tests.data.miniatures import WRITERS, aucd_v1, aucd_v2, folder, stanford40, write_picture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder with train, val and test."""
    folder(tmp_path / "set", per_class=2)
    return tmp_path / "set"


def rename_to_bytes(path: Path, name: bytes) -> None:
    """Give a file a name that is no UTF-8, or skip where the disk refuses it."""
    try:
        os.rename(path, os.path.join(os.fsencode(path.parent), name))
    except OSError:
        pytest.skip("this disk holds UTF-8 names only")


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


def test_one_file_in_two_spellings_is_named(root: Path) -> None:
    (root / "list.csv").write_text("path,label\ntrain/ant/001.png,ant\n./train/ant/001.png,ant\n")
    with pytest.raises(
        DatasetError, match=r"line 3: \./train/ant/001\.png is listed a second time"
    ) as raised:
        read_samples("folder", root, csv=root / "list.csv")
    command = (
        f"dataset=folder dataset.root={root} dataset.csv={root / 'list.csv'} report=problems.json"
    )
    assert str(raised.value).endswith(command)


def test_group_on_both_sides_of_a_given_split_is_named(root: Path) -> None:
    result = read_listing("folder", root, group_regex=r"/(ant|bee|шмель)/")
    named = [problem.detail for problem in result.problems if problem.kind == "group_overlap"]
    assert len(named) == 6
    assert named[0] == "the group ant is in train, and 2 times in val"
    assert not check_dataset(
        "folder", root, workers=1, show_progress=False, group_regex="(ant|bee|шмель)"
    ).agrees


def test_class_folders_that_are_links_in_circles(root: Path) -> None:
    expected = read_listing("folder", root).counts()
    (root / "train" / "around").symlink_to(root / "train")
    (root / "train" / "itself").symlink_to(root / "train" / "itself")
    listing = read_listing("folder", root)
    assert listing.counts() == expected
    assert [(p.kind, Path(p.path).name) for p in listing.problems] == [
        ("symlink_loop", "around"),
        ("symlink_loop", "itself"),
    ]


def test_a_name_that_is_no_unicode_is_named_and_left_out(root: Path, tmp_path: Path) -> None:
    rename_to_bytes(root / "train" / "ant" / "001.png", b"caf\xe9.png")
    result = check_dataset("folder", root, workers=1, show_progress=False)
    result.write(tmp_path / "out.json")
    (problem,) = json.loads((tmp_path / "out.json").read_text())["problems"]
    assert problem["kind"] == "bad_name"
    assert os.path.exists(problem["path"])
    assert str(result.problems[0]).isprintable()
    rename_to_bytes(root / "train" / "bee", b"ab\xe9ille")
    with pytest.raises(DatasetError, match="the name of this class is no valid UTF-8"):
        read_listing("folder", root)


def test_a_folder_that_cannot_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "bee":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("agnet_vision.data.sources.layouts.scan.os.scandir", refuse)
    problems = read_listing("folder", root).problems
    assert "this folder cannot be read: Permission denied" in problems[0].detail


@pytest.mark.timeout(20)
def test_a_pipe_named_jpg_is_named_and_never_read(root: Path) -> None:
    os.mkfifo(root / "train" / "ant" / "pipe.jpg")
    (root / "train" / "ant" / "folder.jpg").mkdir()
    (problem,) = check_dataset("folder", root, workers=1, show_progress=False).problems
    assert (problem.kind, Path(problem.path).name) == ("undecodable", "pipe.jpg")


def test_an_empty_class_is_named_by_its_folder(root: Path, tmp_path: Path) -> None:
    (root / "train" / "cicada").mkdir()
    problems = read_listing("folder", root).problems
    assert [(p.kind, p.path) for p in problems] == [
        ("empty_class", str(root / "train" / "cicada")),
        ("absent_class", str(root / "val" / "cicada")),
        ("absent_class", str(root / "test" / "cicada")),
    ]
    WRITERS["food101"](tmp_path)
    shutil.rmtree(tmp_path / "food-101" / "images" / "waffles")
    problems = read_listing("food101", tmp_path).problems
    (empty,) = [p for p in problems if p.kind == "empty_class"]
    assert empty.path == str(tmp_path / "food-101" / "images" / "waffles")


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
    WRITERS[name](tmp_path)
    path = tmp_path / part
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing(name, tmp_path)
    assert f"{path} missing" in str(raised.value).splitlines()[0]


def test_the_command_in_a_message_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(DatasetNotFoundError, match=f"'dataset.root={tmp_path}/a file'") as raised:
        read_listing("ppmi", tmp_path / "a file")
    assert "a file is not a folder" in str(raised.value)
    odd = tmp_path / "my (photos), é"
    with pytest.raises(DatasetNotFoundError) as raised:
        read_listing("ppmi", odd)
    (_, _, option) = shlex.split(str(raised.value).rpartition("python ")[2])
    (override,) = OverridesParser.create().parse_overrides([option])
    assert override.value() == str(odd)


def test_extra_classes_of_the_benchmarks_are_named(tmp_path: Path) -> None:
    for name, write in (("aucd_v1", aucd_v1), ("aucd_v2", aucd_v2), ("stanford40", stanford40)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    extra = {
        "aucd_v1": tmp_path / "aucd_v1" / "v1_cam1_no_split" / "Sleeping",
        "aucd_v2": tmp_path
        / "aucd_v2"
        / "v2_cam1_cam2_ split_by_driver"
        / "Camera 2"
        / "test"
        / "c10",
        "stanford40": tmp_path / "stanford40" / "ImageSplits" / "dancing_train.txt",
    }
    for name, path in extra.items():
        path.write_text("x.jpg\n") if path.suffix else write_picture(path / "1.jpg")
        problems = read_listing(name, tmp_path / name).problems
        assert [p.path for p in problems if p.kind == "extra_class"] == [str(path)]


def test_clean_still_counts_what_should_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aucd_v2(tmp_path)
    listing = read_listing("aucd_v2", tmp_path, clean=True)
    assert [sample.path.stem for sample in listing.left_out] == ["322", "415"]
    details = [p.detail for p in listing.problems if p.kind == "wrong_count"]
    assert "test: 44 images, the card says 1,923" in details


def test_a_driver_list_without_rows_is_refused(tmp_path: Path) -> None:
    aucd_v2(tmp_path)
    (tmp_path / "drivers.csv").write_text("path,driver\n")
    with pytest.raises(DatasetError, match="names no driver for 40 images"):
        read_samples("aucd_v2", tmp_path, drivers=tmp_path / "drivers.csv")


@pytest.mark.filterwarnings("ignore::agnet_vision.data.sources.samples.DatasetWarning")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("aucd_v2", {"clean": "maybe"}, "dataset.clean must be true or false, got 'maybe'"),
        (
            "caltech256",
            {"split_seed": True},
            r"dataset.split_seed must be one of \(0, 1, 2, 3, 4\), got True",
        ),
        ("caltech256", {"split_seed": 1.0}, "dataset.split_seed must be one of"),
        (
            "folder",
            {"val_fraction": "a tenth"},
            r"dataset.val_fraction must be in \[0, 1\), got a tenth",
        ),
    ],
)
def test_raises_option_of_another_type(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "001.ak47").mkdir()
    aucd_v2(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read_samples(name, tmp_path, **options)


def test_a_fraction_of_the_set_is_used_with_a_warning(root: Path) -> None:
    (root / "train" / "ant" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.warns(DatasetWarning, match="a link to a file that does not exist"):
        read_samples("folder", root)
