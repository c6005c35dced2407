from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
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
    for target in ("/etc/passwd", "good.txt"):
        links = make_tar(tmp_path / "a.tar.gz", {"good.txt": b"x"}, {"link": target})
        with pytest.raises(DatasetError, match="'link' is a link or a device"):
            unpack(links, tmp_path / "out")
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
    """A member that outgrows its header stops at the limit."""
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
    with pytest.raises(DatasetError, match="must be a zip or tar"):
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


def test_a_hard_link_is_refused(tmp_path: Path) -> None:
    """A chain of harmless names has left the folder before."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = tarfile.LNKTYPE, "b"
        tar.addfile(info)
    with pytest.raises(DatasetError, match="is a link or a device"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_zip_names_that_are_not_utf8_end_in_a_message(tmp_path: Path) -> None:
    make_zip(tmp_path / "a.zip", {"é.txt": b"x"})
    content = (tmp_path / "a.zip").read_bytes().replace("é".encode(), b"\xe9x")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


UNPACK = """
import sys, time
from pathlib import Path
from agnet_vision.data.prepare import unpack
unpack._CHUNK = 10
original = unpack._Writer.write
def slow(self, *arguments):
    original(self, *arguments)
    print("one", flush=True)
    time.sleep(60)
unpack._Writer.write = slow
unpack.unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_process_left_goes_away(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"x" * 50, "b.txt": b"y"})
    command = [sys.executable, "-c", UNPACK, str(archive), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DatasetError, match="another process is unpacking into"):
            unpack(archive, tmp_path / "out")
        process.kill()
    assert os.listdir(tmp_path / "out") == [".unpacking"]
    unpack(archive, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.txt", "b.txt"]


def test_mutated_archives_end_in_a_message(tmp_path: Path) -> None:
    members = {"a/x.txt": bytes(range(100)), "ä.txt": b"y"}
    for make in (make_tar, make_zip):
        content = make(tmp_path / "a", members).read_bytes()
        for seed in range(100):
            rng = random.Random(seed)
            mutated = bytearray(content)
            for _ in range(3):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
            (tmp_path / "a").write_bytes(mutated)
            with contextlib.suppress(DatasetError):
                unpack(tmp_path / "a", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "out"}
