"""Unpack a tar or zip archive without trusting it: nothing outside the folder, no bomb, all or nothing."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from agnet_vision.errors import DatasetError

MAX_RATIO = 20  # ours: photographs hardly compress; more than this is a bomb
MIN_LIMIT_BYTES = 100_000_000  # ours: small archives may hold lists that compress well
MAX_FILES = 1_000_000  # ours: ten times the largest of the six benchmarks

# The decompressors have no common error; RuntimeError is zipfile's word for a password.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
)
# A name too long for this disk, or one that is a file and a folder.
_BAD_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


def unpack(
    archive: Path,
    folder: Path,
    *,
    strip: Collection[str] = (),
    max_bytes: int | None = None,
    max_files: int = MAX_FILES,
) -> None:
    """Unpack into ``folder``; files already there are replaced, others stay.

    The archive is unpacked beside its destination first and moved when it is complete, so an interruption leaves nothing
    half done.

    Args:
        archive: a zip, or a tar with any of Python's compressions.
        folder: the destination, created if need be.
        strip: folders at the archive's top whose content goes straight into ``folder``.
        max_bytes: refuse more than this; None: 20 times the archive's size, at least 100 MB (ours).
        max_files: refuse more files than this.

    Raises:
        DatasetError: not an archive, damaged, or a member that is too large, a link or outside the folder.
    """
    limit = (
        max_bytes
        if max_bytes is not None
        else max(MAX_RATIO * archive.stat().st_size, MIN_LIMIT_BYTES)
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as scratch:
        try:
            if zipfile.is_zipfile(archive):
                _unpack_zip(archive, Path(scratch), limit, max_files)
            elif tarfile.is_tarfile(archive):
                _unpack_tar(archive, Path(scratch), limit, max_files)
            else:
                raise DatasetError(
                    f"{archive} is neither a zip nor a tar archive; delete it and download it again"
                )
        except _DAMAGE as error:
            raise DatasetError(
                f"{archive} is damaged ({error}); delete it and download it again"
            ) from error
        except OSError as error:
            if error.errno is None:  # bzip2 has no error of its own
                raise DatasetError(
                    f"{archive} is damaged ({error}); delete it and download it again"
                ) from error
            if error.errno not in _BAD_NAMES:
                raise
            raise DatasetError(f"{archive} cannot be unpacked here: {error}") from error
        for entry in sorted(os.listdir(scratch)):
            _move(Path(scratch, entry), folder if entry in strip else folder / entry)


def _unpack_tar(archive: Path, scratch: Path, limit: int, max_files: int) -> None:
    """Unpack member by member; Python's "data" filter refuses links out of the folder, devices and absolute paths."""
    total = 0
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar, start=1):
            total += member.size
            _check_size(archive, member.name, total, number, limit, max_files)
            try:
                tar.extract(member, scratch, filter="data")
            except tarfile.FilterError as error:
                raise DatasetError(f"{archive} is not safe to unpack: {error}") from error
        while tar.fileobj is not None and tar.fileobj.read(1 << 20):
            pass  # the compressor's check sum comes after the last member


def _unpack_zip(archive: Path, scratch: Path, limit: int, max_files: int) -> None:
    """Unpack member by member, counting the bytes that really come out."""
    total = 0
    with zipfile.ZipFile(archive) as zipped:
        for number, member in enumerate(zipped.infolist(), start=1):
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if not name.parts:
                continue  # "./", the folder itself
            if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
                raise DatasetError(
                    f"{archive} is not safe to unpack: {member.filename!r} lies outside the folder"
                )
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DatasetError(
                    f"{archive} is not safe to unpack: {member.filename!r} is a link"
                )
            _check_size(
                archive, member.filename, total + member.file_size, number, limit, max_files
            )
            target = scratch.joinpath(*name.parts)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(member) as source, target.open("wb") as sink:
                while chunk := source.read(1 << 20):
                    total += len(chunk)
                    _check_size(archive, member.filename, total, number, limit, max_files)
                    sink.write(chunk)


def _check_size(
    archive: Path, name: str, total: int, number: int, limit: int, max_files: int
) -> None:
    """Stop a bomb before it is written."""
    if total > limit:
        raise DatasetError(
            f"{archive} is not safe to unpack: with {name} it holds more than {limit:,} bytes"
        )
    if number > max_files:
        raise DatasetError(
            f"{archive} is not safe to unpack: it holds more than {max_files:,} files"
        )


def _move(source: Path, target: Path) -> None:
    """Move a file or a tree onto another, replacing files and keeping what only the other has."""
    if not source.is_dir() or not target.is_dir():
        if target.is_dir():
            raise DatasetError(
                f"{target} is a folder, but the archive holds a file of that name; move the folder away"
            )
        if source.is_dir() and os.path.lexists(target):
            raise DatasetError(
                f"{target} is a file, but the archive holds a folder of that name; move the file away"
            )
        os.replace(source, target)
        return
    for entry in os.listdir(source):
        _move(source / entry, target / entry)
