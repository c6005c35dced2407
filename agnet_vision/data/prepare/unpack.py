"""Unpack archives that are not trusted: whole or not at all, and nothing outside the folder."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from agnet_vision.errors import DatasetError

MAX_RATIO = 20  # ours: photographs hardly compress; more than this is a bomb
MIN_LIMIT_BYTES = 100_000_000  # ours: small archives may hold lists that compress well
MAX_FILES = 1_000_000  # ours: ten times the largest of the six benchmarks


def is_archive(path: Path) -> bool:
    """Tell a zip or tar archive, of any of Python's compressions, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(
    archive: Path,
    folder: Path,
    *,
    strip: Collection[str] = (),
    max_bytes: int | None = None,
    max_files: int = MAX_FILES,
) -> None:
    """Unpack a zip or tar archive into ``folder``, where other files stay.

    It is unpacked into ``.unpacking`` there and moved when it is complete. What a killed process
    left in that place goes away with the next call.

    Args:
        archive: source of the files.
        folder: destination, created if need be.
        strip: folders at the archive's top whose content goes straight into ``folder``.
        max_bytes: limit on the size of all files; None: 20 times the archive's, at least 100 MB.
        max_files: limit on their number.

    Raises:
        DatasetError: the archive is none, is damaged, is not safe, or another process is unpacking
            into the folder.
    """
    place = folder / ".unpacking"
    files = place / "files"
    place.mkdir(parents=True, exist_ok=True)

    try:
        with FileLock(place / "lock", timeout=0):
            shutil.rmtree(files, ignore_errors=True)  # of a process that was killed
            try:
                limit = max_bytes or max(MAX_RATIO * archive.stat().st_size, MIN_LIMIT_BYTES)
                _extract(archive, files, limit, max_files)
                for entry in files.iterdir():
                    _move(entry, folder if entry.name in strip else folder / entry.name)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    except Timeout as error:
        raise DatasetError(
            f"another process is unpacking into {folder}; wait until it has finished"
        ) from error


def _extract(archive: Path, folder: Path, max_bytes: int, max_files: int) -> None:
    """Extract all files of an archive, unless it is damaged or not safe."""
    if not is_archive(archive):
        raise DatasetError(
            f"{archive} must be a zip or tar archive; delete it and download it again"
        )
    total = number = 0

    def check(name: str, size: int) -> None:
        """Refuse a file that lies outside the folder or breaks a limit."""
        nonlocal total, number
        total, number = total + size, number + 1
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]:
            raise tarfile.FilterError(f"{name!r} lies outside the folder")
        if size < 0 or total > max_bytes or number > max_files:
            raise tarfile.FilterError(
                f"with {name} it holds more than {max_bytes:,} bytes or {max_files:,} files"
            )

    def keep(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo:
        check(member.name, member.size)
        if member.islnk() or member.issym():
            raise tarfile.FilterError(f"{member.name!r} is a link")
        return tarfile.data_filter(member, place)

    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for each in zipped.infolist():
                    check(each.filename, each.file_size)
                zipped.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter=keep)
                while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                    pass  # the compressor's checksum comes after the last file
    except tarfile.FilterError as error:
        raise DatasetError(f"{archive} is not safe to unpack: {error}") from error
    except Exception as error:  # the decompressors have no common error
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DatasetError(
            f"{archive} is damaged ({error}); delete it and download it again"
        ) from error


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder, replacing files and keeping others."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=os.replace)
    else:
        os.replace(source, target)
