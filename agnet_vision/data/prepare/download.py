"""Fetch an archive: resumable, checksummed, with progress, mirrors in order."""

from __future__ import annotations

import errno
import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from agnet_vision.data.prepare.unpack import is_archive
from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import FULL, DatasetError, DatasetNotFoundError

ATTEMPTS = 3  # ours: per mirror; each one resumes where the last one stopped
TIMEOUT_S = 30.0  # ours: without a single byte
_CHUNK = 1 << 20
# The disk's fault: no other mirror will help.
_DISK = (*FULL, errno.EACCES, errno.EROFS)


def download(
    file: RemoteFile, folder: Path, *, timeout_s: float = TIMEOUT_S, show_progress: bool = True
) -> Path:
    """Download a file into ``folder`` and verify it.

    A file that is there already is not downloaded. An interrupted download leaves ``<name>.part``,
    which the next call continues. Mirrors are tried in order.

    Args:
        file: name, addresses and, where known, the checksum.
        folder: created if need be.
        timeout_s: give a connection up after so long without a byte.
        show_progress: draw a bar on the terminal.

    Returns:
        The path of the verified file.

    Raises:
        DatasetError: a file of that name is there, but it is another one.
        DatasetNotFoundError: no mirror gave the file; says why, one by one, and what to do by hand.
        OSError: the disk is full or cannot be written.
    """
    target = folder / file.name
    if target.exists():
        if reason := _mismatch(file, target):
            raise DatasetError(
                f"{target} is not the published file ({reason}); delete it and run this again"
            )
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = []
    with _progress_bar(show_progress) as progress:
        task = progress.add_task(file.name, total=file.bytes)
        for url in file.urls:
            for _ in range(ATTEMPTS):
                try:
                    _fetch(url, part, timeout_s, progress, task)
                # ValueError: a Content-Length or Location that makes no sense.
                except (OSError, http.client.HTTPException, ValueError) as error:
                    if isinstance(error, OSError) and error.errno in _DISK:
                        raise
                    failures.append(f"{url}: {_reason(error)}")
                    if (
                        isinstance(error, urllib.error.HTTPError)
                        and 400 <= error.code < 500
                        and error.code != 429
                    ):
                        break  # asking again will not help
                    continue
                reason = _mismatch(file, part)
                if reason is None:
                    return part.rename(target)
                part.unlink()
                failures.append(f"{url}: {reason}")
    tried = "\n  ".join(dict.fromkeys(failures))
    raise DatasetNotFoundError(
        f"{file.name} could not be downloaded:\n  {tried}\n"
        f"  Run the command again to continue, or get the file by other means and "
        f"save it as {target}"
    )


def _fetch(url: str, part: Path, timeout_s: float, progress: Progress, task: object) -> None:
    """Append to ``part`` what it lacks.

    Raises:
        OSError: the connection fails or ends early.
    """
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "agnet_vision", "Accept-Encoding": "identity"}
    )
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return  # it was complete already
            part.unlink()
        raise
    with response:
        if start and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # a server that cannot resume sends all of it again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        progress.update(task, total=total, completed=start)  # type: ignore[arg-type]
        with part.open("ab" if start else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                progress.update(task, advance=len(chunk))  # type: ignore[arg-type]
            written = stream.tell()
    if total is not None and written < total:
        raise ConnectionError(f"the connection ended after {written:,} of {total:,} bytes")


def _mismatch(file: RemoteFile, path: Path) -> str | None:
    """Say how ``path`` differs from what is published, or None."""
    if file.bytes is not None and path.stat().st_size != file.bytes:
        return f"{path.stat().st_size:,} bytes instead of {file.bytes:,}"
    if file.md5 is None:
        # What a server sends instead of an archive is most often a page to log in at.
        return None if is_archive(path) else "it is neither a zip nor a tar archive"
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return (
        None
        if digest.hexdigest() == file.md5
        else f"md5 {digest.hexdigest()} instead of {file.md5}"
    )


def _reason(error: Exception) -> str:
    """Say what went wrong in a few words."""
    match error:
        case urllib.error.HTTPError():
            return f"the server answers {error.code} {error.reason}"
        case urllib.error.URLError():
            return f"no connection ({error.reason})"
        case TimeoutError():
            return "no answer in time"
        case _:
            return str(error) or type(error).__name__


def _progress_bar(show: bool) -> Progress:
    """Draw name, bar, size, speed and time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not show)
