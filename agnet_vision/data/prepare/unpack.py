"""The unpacking of archives that are not trusted.

Nothing is written outside the folder, no bomb is unpacked, and an archive is unpacked whole or not
at all.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock, Timeout

from agnet_vision.errors import DatasetError

MAX_RATIO = 20  # ours: photographs hardly compress; more than this is a bomb
MIN_LIMIT_BYTES = 100_000_000  # ours: small archives may hold lists that compress well
MAX_FILES = 1_000_000  # ours: ten times the largest of the six benchmarks
_CHUNK = 1 << 20

# A name too long for this disk, or one that is a file and a folder.
_BAD_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


def is_archive(path: Path) -> bool:
    """Tell a zip or tar archive by its content.

    A tar may have any of Python's compressions.
    """
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(
    archive: Path,
    folder: Path,
    *,
    strip: Collection[str] = (),
    max_bytes: int | None = None,
    max_files: int = MAX_FILES,
) -> None:
    """Unpack an archive into ``folder``.

    Files already there are replaced, and others stay. The archive is unpacked into ``.unpacking``
    inside its destination and moved when it is complete. What a killed process left there goes away
    with the next call.

    Args:
        archive: a zip, or a tar with any of Python's compressions.
        folder: the destination, created if need be.
        strip: folders at the archive's top whose content goes straight into ``folder``.
        max_bytes: refuse more than this; None: 20 times the archive's size, at least 100 MB (ours).
        max_files: refuse more files than this; 1,000,000 (ours).

    Raises:
        DatasetError: not an archive, damaged, a member that is too large, a link or outside the
            folder, or another process is unpacking here.
    """
    if max_bytes is None:
        max_bytes = max(MAX_RATIO * archive.stat().st_size, MIN_LIMIT_BYTES)
    folder.mkdir(parents=True, exist_ok=True)
    with _scratch_folder(folder) as scratch:
        writer = _Writer(archive, scratch, max_bytes, max_files)
        try:
            if zipfile.is_zipfile(archive):
                _unpack_zip(writer)
            elif tarfile.is_tarfile(archive):
                _unpack_tar(writer)
            else:
                raise DatasetError(
                    f"{archive} must be a zip or tar archive; delete it and download it again"
                )
        except DatasetError:
            raise
        except Exception as error:  # the decompressors have no common error
            code = error.errno if isinstance(error, OSError) else None
            if code in (None, errno.EINVAL):  # EINVAL: a position before the start of the file
                raise DatasetError(
                    f"{archive} is damaged ({error}); delete it and download it again"
                ) from error
            if code not in _BAD_NAMES:
                raise
            raise DatasetError(f"{archive} cannot be unpacked here: {error}") from error
        for entry in sorted(os.listdir(scratch)):
            _move(scratch / entry, folder if entry in strip else folder / entry)


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder for one process, removed afterwards."""
    place = folder / ".unpacking"
    place.mkdir(exist_ok=True)
    try:
        with FileLock(place / "lock", timeout=0):
            files = place / "files"
            shutil.rmtree(files, ignore_errors=True)  # of a process that was killed
            files.mkdir()
            try:
                yield files
            finally:
                shutil.rmtree(place, ignore_errors=True)
    except Timeout as error:
        raise DatasetError(
            f"another process is unpacking into {folder}; wait until it has finished"
        ) from error


@dataclass
class _Writer:
    """Writes members below a folder, as far as limits allow.

    Attributes:
        archive: for the messages.
        scratch: where members go.
        max_bytes: of all members together.
        max_files: of the archive.
        written: bytes so far, as announced: no reader gives more than a member announces.
        files: members so far.
    """

    archive: Path
    scratch: Path
    max_bytes: int
    max_files: int
    written: int = 0
    files: int = 0

    def write(
        self, name: str, size: int, is_folder: bool, open_member: Callable[[], IO[bytes] | None]
    ) -> None:
        """Write a folder or a plain file, unless unsafe."""
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
            raise self.unsafe(f"{name!r} lies outside the folder")
        self.files += 1
        if self.files > self.max_files:
            raise self.unsafe(f"it holds more than {self.max_files:,} files")
        if not 0 <= size <= self.max_bytes - self.written:
            raise self.unsafe(f"with {name} it holds more than {self.max_bytes:,} bytes")

        self.written += size
        target = self.scratch.joinpath(*path.parts)
        if is_folder or not path.parts:
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        source = open_member()
        assert source is not None  # it is a plain file
        with source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)

    def unsafe(self, reason: str) -> DatasetError:
        """Make the error that refuses the archive."""
        return DatasetError(f"{self.archive} is not safe to unpack: {reason}")


def _unpack_tar(writer: _Writer) -> None:
    """Unpack folders and plain files, no links or devices."""
    with tarfile.open(writer.archive) as tar:
        for member in tar:
            if not member.isreg() and not member.isdir():
                raise writer.unsafe(f"{member.name!r} is a link or a device")
            open_member = partial(tar.extractfile, member)
            writer.write(member.name, member.size, member.isdir(), open_member)
        while tar.fileobj is not None and tar.fileobj.read(_CHUNK):
            pass  # the compressor's check sum comes after the last member


def _unpack_zip(writer: _Writer) -> None:
    """Unpack folders and plain files."""
    with zipfile.ZipFile(writer.archive) as zipped:
        for member in zipped.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise writer.unsafe(f"{member.filename!r} is a link")
            open_member = partial(zipped.open, member)
            writer.write(member.filename, member.file_size, member.is_dir(), open_member)


def _move(source: Path, target: Path) -> None:
    """Move a file or tree, replacing files, keeping others."""
    if not source.is_dir() or not target.is_dir():
        if target.is_dir():
            raise DatasetError(
                f"{target} is a folder, but the archive holds a file of that name; "
                "move the folder away"
            )
        if source.is_dir() and os.path.lexists(target):
            raise DatasetError(
                f"{target} is a file, but the archive holds a folder of that name; "
                "move the file away"
            )
        os.replace(source, target)
        return
    for entry in os.listdir(source):
        _move(source / entry, target / entry)
