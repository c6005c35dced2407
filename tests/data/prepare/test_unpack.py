"""Archives that are hostile, damaged or interrupted leave nothing outside and nothing half."""

from __future__ import annotations

import contextlib
import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agnet_vision.data.prepare.archives import unpack
from agnet_vision.errors import DatasetError


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content))
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


both = pytest.mark.parametrize("make", [make_tar, make_zip])


@both
def test_value(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "a", {"./": b"", "top/a.txt": b"a", "top/deep/ä b.txt": b"b"})
    (tmp_path / "out" / "top").mkdir(parents=True)
    (tmp_path / "out" / "top" / "mine.txt").write_text("stays")
    (tmp_path / "out" / "top" / "a.txt").write_text("damaged")
    unpack(archive, tmp_path / "out")
    found = {
        p.relative_to(tmp_path / "out").as_posix(): p.read_text()
        for p in (tmp_path / "out").rglob("*.txt")
    }
    assert found == {"top/a.txt": "a", "top/deep/ä b.txt": "b", "top/mine.txt": "stays"}
    assert os.listdir(tmp_path / "out") == ["top"]
    unpack(archive, tmp_path / "stripped", strip=("top",))
    assert (tmp_path / "stripped" / "deep" / "ä b.txt").read_text() == "b"


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
@both
def test_raises_outside(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    archive = make(tmp_path / "a.archive", {"good.txt": b"x", name: b"x"})
    with pytest.raises(DatasetError, match=r"not safe to unpack.*(outside|absolute)"):
        unpack(archive, tmp_path / "out" / "in")
    assert not list((tmp_path / "out" / "in").iterdir())
    assert not list(tmp_path.glob("**/evil.txt"))
    assert not Path("/evil.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "good.txt"])
def test_raises_links_and_devices(tmp_path: Path, kind: bytes, target: str) -> None:
    with tarfile.open(make_tar(tmp_path / "a.tar", {"good.txt": b"x"}, "w"), "a") as tar:
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, target
        tar.addfile(info)
    with pytest.raises(DatasetError, match=r"not safe to unpack.*odd"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, target)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()


def not_utf8(path: Path) -> None:
    content = make_zip(path, {"é.txt": b"x"}).read_bytes()
    path.write_bytes(content.replace("é".encode(), b"\xe9x"))


def with_zeros(make: Callable[..., Path], path: Path) -> None:
    content = make(path, {"a": random.Random(0).randbytes(2_000_000)}).read_bytes()
    path.write_bytes(content[:1_500_000] + bytes(40) + content[1_500_040:])


def truncated(make: Callable[..., Path], path: Path) -> None:
    content = make(path, {f"{i}": bytes(range(256)) * 20 for i in range(50)}).read_bytes()
    path.write_bytes(content[:-200])


@pytest.mark.parametrize(
    "write",
    [
        partial(with_zeros, partial(make_tar, mode="w:bz2")),  # of more than one block
        partial(with_zeros, make_zip),
        partial(truncated, make_tar),
        partial(truncated, make_zip),
        lambda path: path.write_text("<html>404</html>"),
        not_utf8,
    ],
)
def test_raises_damaged(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "archive")
    with pytest.raises(DatasetError, match="delete it and download it again"):
        unpack(tmp_path / "archive", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("names", [["n" * 300], ["a", "a/b"], ["here"], ["file/b"]])
def test_raises_names_that_do_not_fit(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "out" / "here").mkdir(parents=True)
    (tmp_path / "out" / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"directory|exists|too long"):
        unpack(make_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x")), tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "in the way"


UNPACK = """
import sys, time
from pathlib import Path
from agnet_vision.data.prepare.archives import shutil, unpack
def wait(*source, **target):
    print("unpacked", flush=True)
    time.sleep(60)
shutil.copytree = wait
unpack(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_process_left_goes_away(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"in/a.txt": b"x" * 50, "in/b.txt": b"y"})
    command = [sys.executable, "-c", UNPACK, str(archive), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert os.listdir(tmp_path / "out") == [".unpacking"]
    unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["in"]
    assert sorted(os.listdir(tmp_path / "out" / "in")) == ["a.txt", "b.txt"]


@both
def test_mutated_archives_end_in_a_message(tmp_path: Path, make: Callable[..., Path]) -> None:
    content = make(tmp_path / "a", {"a/x.txt": bytes(range(100)), "ä.txt": b"y"}).read_bytes()
    for seed in range(100):
        rng = random.Random(seed)
        mutated = bytearray(content)
        for _ in range(3):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        (tmp_path / "a").write_bytes(mutated)
        with contextlib.suppress(DatasetError):
            unpack(tmp_path / "a", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"a", "out"}
