from __future__ import annotations

import os
from pathlib import Path

import pytest

from agnet_vision.files import open_atomically, write_atomically


def test_value_text_and_bytes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "шмель\n")
    assert (tmp_path / "a.txt").read_bytes() == "шмель\n".encode()
    write_atomically(tmp_path / "a.txt", b"\0other")
    assert (tmp_path / "a.txt").read_bytes() == b"\0other"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_keeps_the_old_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.txt", "old")

    def write_half() -> None:
        with open_atomically(tmp_path / "a.txt") as file:
            file.write(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_half()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_others_may_read_it_as_umask_says(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a.txt", "x")
    finally:
        os.umask(umask)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
