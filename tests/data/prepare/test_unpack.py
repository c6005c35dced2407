from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from agnet_vision.data.prepare.unpack import unpack
from agnet_vision.errors import AGNetError, DatasetError


def make_tar(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_value(tmp_path: Path, make) -> None:
    archive = make(tmp_path / "a.archive", {"top/a.txt": b"a", "top/deep/ä b.txt": b"b"})
    (tmp_path / "out" / "top").mkdir(parents=True)
    (tmp_path / "out" / "top" / "mine.txt").write_text("stays")
    (tmp_path / "out" / "top" / "a.txt").write_text("damaged")
    unpack(archive, tmp_path / "out")
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_text()
        for p in (tmp_path / "out").rglob("*.txt")
    }
    assert found == {"top/a.txt": "a", "top/deep/ä b.txt": "b", "top/mine.txt": "stays"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["top"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_raises_outside(tmp_path: Path, make, name: str) -> None:
    archive = make(tmp_path / "a.archive", {"good.txt": b"x", name: b"x"})
    if make is make_tar and name.startswith("/"):  # the filter takes the slash away, which is safe
        unpack(archive, tmp_path / "out" / "in")
    else:
        with pytest.raises(DatasetError, match="not safe to unpack"):
            unpack(archive, tmp_path / "out" / "in")
        assert list((tmp_path / "out" / "in").iterdir()) == []
    assert not list(tmp_path.glob("**/out/evil.txt"))
    assert not Path("/evil.txt").exists()


@pytest.mark.parametrize("name", ["..\\evil.txt", "C:\\evil.txt"])
def test_raises_windows_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="outside the folder"):
        unpack(make_zip(tmp_path / "a.zip", {name: b"x"}), tmp_path / "out")


def test_raises_links(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not safe"):
        unpack(make_tar(tmp_path / "a.tar.gz", {}, {"link": "/etc/passwd"}), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(DatasetError, match="is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_raises_bomb(tmp_path: Path, make) -> None:
    archive = make(tmp_path / "a.archive", {f"{i}": bytes(50_000) for i in range(4)})
    with pytest.raises(DatasetError, match="more than 150,000 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=150_000)
    with pytest.raises(DatasetError, match="more than 3 files"):
        unpack(archive, tmp_path / "out", max_files=3)
    assert list((tmp_path / "out").iterdir()) == []


def test_raises_lying_zip(tmp_path: Path) -> None:
    """A member that is larger than its header says stops where the limit is."""
    archive = make_zip(tmp_path / "a.zip", {"a": bytes(300_000)})
    content = archive.read_bytes().replace(
        (300_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    )
    archive.write_bytes(content)
    with pytest.raises(DatasetError):
        unpack(archive, tmp_path / "out", max_bytes=100_000)


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_raises_damaged(tmp_path: Path, make) -> None:
    archive = make(tmp_path / "a.archive", {f"{i}": bytes(range(256)) * 20 for i in range(50)})
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DatasetError, match="delete it and download it again"):
        unpack(archive, tmp_path / "out")
    archive.write_text("<html>404</html>")
    with pytest.raises(DatasetError, match="neither a zip nor a tar"):
        unpack(archive, tmp_path / "out")


def test_raises_file_onto_folder(tmp_path: Path) -> None:
    (tmp_path / "out" / "a").mkdir(parents=True)
    with pytest.raises(DatasetError, match="move the folder away"):
        unpack(make_zip(tmp_path / "a.zip", {"a": b"x"}), tmp_path / "out")


def corrupt_deflate(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(range(256)) * 40)
    content = bytearray(path.read_bytes())
    content[40:80] = bytes(range(5)) * 8
    path.write_bytes(content)


def long_name(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("n" * 300, "x")


def file_and_folder(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("a/b", "x")


def corrupt_tar(path: Path, mode: Literal["w:gz", "w:bz2", "w:xz"]) -> None:
    with tarfile.open(path, mode) as archive:
        member = tarfile.TarInfo("a")
        member.size = 2_000_000  # more than one block of bzip2
        archive.addfile(member, io.BytesIO(os.urandom(member.size)))
    content = bytearray(path.read_bytes())
    content[1_500_000:1_500_040] = bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "write",
    [
        corrupt_deflate,
        partial(corrupt_tar, mode="w:gz"),
        partial(corrupt_tar, mode="w:bz2"),
        partial(corrupt_tar, mode="w:xz"),
        long_name,
        file_and_folder,
    ],
)
def test_damaged_archives_end_in_a_message(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "archive")
    with pytest.raises(AGNetError, match=r"is damaged|cannot be unpacked here"):
        unpack(tmp_path / "archive", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_archive_with_its_own_folder_as_a_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("./", "")
        archive.writestr("images/a.txt", "x")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "images" / "a.txt").is_file()
    shutil.rmtree(tmp_path / "out" / "images")
    (tmp_path / "out" / "images").write_text("a file in the way")
    with pytest.raises(
        DatasetError, match="is a file, but the archive holds a folder of that name"
    ):
        unpack(tmp_path / "a.zip", tmp_path / "out")
