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
    names = ["ä ö.PNG", "猫" * 60 + ".png", "a" * 240 + ".png", "-rf.png", "100%_#1.png"]
    miniatures.write_images(tmp_path / label / name for label in "xy" for name in names)
    (tmp_path / "x" / "._0.png").write_text("metadata of another system")
    (tmp_path / "x" / "Thumbs.db").write_text("of yet another")
    listing = read_listing("folder", tmp_path)
    assert len(listing.splits["train"]) == 10
    assert not listing.problems


def test_links_are_followed_without_loops(tmp_path: Path) -> None:
    root = tmp_path / "data"
    miniatures.folder(root, split=False)
    miniatures.write_image(tmp_path / "elsewhere" / "1.png")
    links = {
        "ant/loop": root,
        "bee/self": root / "bee" / "self",
        "bee/gone.png": tmp_path / "gone.png",
        "шмель/linked": tmp_path / "elsewhere",
        "around": root,
        "itself": root / "itself",
    }
    for link, target in links.items():
        (root / link).symlink_to(target)
    with pytest.warns(DatasetWarning, match="a link back to"):
        table = read_samples("folder", root, val_fraction=0)
    assert table.classes == ("ant", "bee", "шмель")
    assert sum(map(len, table.splits.values())) == 19
    assert {Path(p.path).name: p.kind for p in table.problems} == {
        "around": "symlink_loop",
        "itself": "symlink_loop",
        "loop": "symlink_loop",
        "gone.png": "missing_file",
        "self": "symlink_loop",
    }


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
    assert (problem.kind, Path(problem.path).name) == ("missing_file", "pipe.jpg")


def test_files_that_are_not_read_are_named_once(root: Path) -> None:
    for name in ("a.heic", "b.HEIC", "c.jp2", "notes.txt", "labels.json", "README"):
        (root / "train" / "ant" / name).write_text("anything")
    (root / "train" / "bee" / "003.png").rename(root / "train" / "bee" / "no_suffix")
    (problem,) = read_listing("folder", root).problems
    assert problem.kind == "skipped"
    assert "4 files in all (2 with .heic, 1 with .jp2, 1 with no suffix)" in problem.detail
