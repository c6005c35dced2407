from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agnet_vision.data.prepare.check import check_dataset
from agnet_vision.data.sources.readers import read_listing
from agnet_vision.data.sources.samples import DatasetWarning, read_samples
from agnet_vision.errors import DatasetError
from tests.data import miniatures


def rename_to_bytes(path: Path, name: bytes) -> None:
    """Give a file a name that is not UTF-8, or skip the test where the disk refuses it."""
    try:
        os.rename(path, os.path.join(os.fsencode(path.parent), name))
    except OSError:
        pytest.skip("this disk holds UTF-8 names only")


def test_odd_names(tmp_path: Path) -> None:
    for number, name in enumerate(["ä ö.PNG", "猫" * 60, "a" * 240, "-rf", "100%_#1"]):
        for i in range(4):
            path = (
                tmp_path
                / ("x", "y")[number % 2]
                / f"{i}{name if name.endswith('PNG') else name + '.png'}"
            )
            if len(path.name.encode()) < 256:
                miniatures.write_image(path, 10 * number + i)
    (tmp_path / "x" / "._0.png").write_text("metadata of another system")
    (tmp_path / "x" / "Thumbs.db").write_text("of yet another")
    table = read_samples("folder", tmp_path, val_fraction=0)
    assert sum(map(len, table.splits.values())) == 20


def test_symlinks(tmp_path: Path) -> None:
    miniatures.folder(tmp_path / "data", split=False)
    os.symlink(tmp_path / "data", tmp_path / "data" / "ant" / "loop")
    os.symlink(tmp_path / "data" / "bee" / "self", tmp_path / "data" / "bee" / "self")
    os.symlink(tmp_path / "gone.png", tmp_path / "data" / "bee" / "gone.png")
    miniatures.write_image(tmp_path / "elsewhere" / "1.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "шмель" / "linked")
    with pytest.warns(DatasetWarning, match="a link back to"):
        table = read_samples("folder", tmp_path / "data", val_fraction=0)
    assert sum(map(len, table.splits.values())) == 19
    assert {problem.kind for problem in table.problems} == {"symlink_loop", "missing_file"}


def test_case_duplicates_are_named(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    miniatures.write_image(tmp_path / "train" / "bee" / "A.png", 900)
    miniatures.write_image(tmp_path / "train" / "bee" / "a.png", 901)
    with pytest.warns(DatasetWarning, match=r"a\.png: differs from A\.png only"):
        read_samples("folder", tmp_path)


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
    with pytest.raises(DatasetError, match="the name of this class is not valid UTF-8"):
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


def test_files_that_are_not_read_are_named_once(root: Path) -> None:
    for name in ("a.heic", "b.HEIC", "c.jp2", "notes.txt", "labels.json", "README"):
        (root / "train" / "ant" / name).write_text("anything")
    (root / "train" / "bee" / "003.png").rename(root / "train" / "bee" / "no_suffix")
    with pytest.warns(DatasetWarning, match=r"4 files in all \(2 with \.heic, .*convert them"):
        table = read_samples("folder", root)
    (problem,) = table.problems
    assert problem.kind == "skipped"
    assert "1 with no suffix" in problem.detail


def test_images_outside_class_folders_are_named(root: Path) -> None:
    for name in ("1.png", "2.png"):
        miniatures.write_image(root / "train" / name)
    (problem,) = read_listing("folder", root).problems
    assert (problem.kind, problem.path) == ("skipped", str(root / "train"))
    assert "2 images lie outside the class folders" in problem.detail
