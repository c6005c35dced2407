"""Archives of a dataset: fetched from the publishers, verified, and unpacked as if by strangers.

An archive is unpacked whole or not at all, and nothing outside its folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path

import pooch
from filelock import FileLock

from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import DatasetError, DatasetNotFoundError


def download(file: RemoteFile, folder: Path, *, show_progress: bool = True) -> Path:
    """Download a file into ``folder`` and verify it, unless it is there already.

    Raises:
        DatasetError: a file of that name is there, but it is another one.
        DatasetNotFoundError: no address gave the file; says why, and what to do by hand.
        OSError: the disk is full or cannot be written.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.exists():
        if wrong := _mismatch(file, target):
            raise DatasetError(f"{target} is not the published file ({wrong}); delete it first")
        return target

    folder.mkdir(parents=True, exist_ok=True)
    fetch = pooch.HTTPDownloader(progressbar=show_progress, chunk_size=1 << 20, timeout=30)
    message = f"{file.name} could not be downloaded:"
    for url in file.urls:
        try:
            fetch(url, str(part), None)
            wrong = _mismatch(file, part)
            if not wrong:
                return part.rename(target)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None):  # the disk's errors have a number, the net's none
                raise
            wrong = str(error)
        finally:
            part.unlink(missing_ok=True)
        message += f"\n  {url}: {wrong}"
    raise DatasetNotFoundError(
        f"{message}\n  Run the command again, or get the file by other means, as {target}"
    )


def _mismatch(file: RemoteFile, path: Path) -> str:
    """Say how a file differs from what is published; empty: it does not."""
    size = path.stat().st_size
    if file.bytes not in (None, size):
        return f"{size:,} bytes instead of {file.bytes:,}"
    if file.md5 is None:  # what comes instead of an archive is most often a page to log in at
        archive = zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
        return "" if archive else "it is neither a zip nor a tar archive"
    found = pooch.file_hash(str(path), alg="md5")
    return "" if found == file.md5 else f"md5 {found} instead of {file.md5}"


def unpack(archive: Path, folder: Path, *, strip: Collection[str] = ()) -> None:
    """Unpack a zip or tar archive into ``folder``, where other files stay.

    It is unpacked into ``.unpacking`` there and moved when it is complete. What a killed process
    left in that place goes away with the next call; a second process waits. Where the archive has a
    folder of ``strip`` at its top, what is in that goes straight into ``folder``.

    Raises:
        DatasetError: the archive is damaged or not safe.
    """
    place = folder / ".unpacking"
    place.mkdir(parents=True, exist_ok=True)

    with FileLock(place / "lock"):
        files = place / "files"
        shutil.rmtree(files, ignore_errors=True)
        try:
            _extract(archive, files)
            tops = [files / name for name in strip if (files / name).is_dir()]
            for top in tops or [files]:
                shutil.copytree(top, folder, dirs_exist_ok=True, copy_function=os.replace)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                for name in zipped.namelist():
                    _check(tarfile.TarInfo(name), str(folder))
                zipped.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter=_check)
    except tarfile.FilterError as error:
        raise DatasetError(f"{archive} is not safe to unpack: {error}") from error
    except Exception as error:  # the decompressors have no common error
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        cure = "delete it and download it again"
        raise DatasetError(f"{archive} is damaged or no archive ({error}); {cure}") from error


def _check(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Refuse all but folders and plain files inside ``folder``."""
    if member.issym() or member.islnk() or member.name.startswith("/"):
        raise tarfile.FilterError(f"{member.name!r} is a link or has an absolute path")
    return tarfile.data_filter(member, folder)
