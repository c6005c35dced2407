"""Fetch an archive: verified, with progress, going on where a connection ended."""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.progress import wrap_file

from agnet_vision.data.prepare.unpack import is_archive
from agnet_vision.data.sources.card import RemoteFile
from agnet_vision.errors import FULL, DatasetError, DatasetNotFoundError

ATTEMPTS = 3  # ours: per address; each goes on where the last one stopped
TIMEOUT_S = 30.0  # ours: without a single byte
_DISK = (*FULL, errno.EACCES, errno.EROFS)  # no other address will help


def download(
    file: RemoteFile, folder: Path, *, timeout_s: float = TIMEOUT_S, show_progress: bool = True
) -> Path:
    """Download a file into ``folder`` and verify it, unless it is there already.

    An interrupted download leaves ``<name>.part``, which the next call continues.

    Args:
        file: name, addresses in order of preference and, where known, size and checksum.
        folder: destination, created if need be.
        timeout_s: seconds without a byte after which a connection is given up.
        show_progress: whether a bar is drawn on the terminal.

    Raises:
        DatasetError: a file of that name is there, but it is another one.
        DatasetNotFoundError: no address gave the file; says why, and what to do by hand.
        OSError: the disk is full or cannot be written.
    """
    target = folder / file.name
    if target.exists():
        if wrong := _mismatch(file, target):
            raise DatasetError(
                f"{target} is not the published file ({wrong}); delete it and run this again"
            )
        return target

    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = []
    for url in [url for url in file.urls for _ in range(ATTEMPTS)]:
        try:
            _fetch(url, part, timeout_s, show_progress)
        # ValueError: an answer whose headers make no sense.
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            failures.append(f"{url}: {error or type(error).__name__}")
            continue

        wrong = _mismatch(file, part)
        if not wrong:
            return part.rename(target)
        part.unlink()
        failures.append(f"{url}: {wrong}")

    tried = "\n  ".join(dict.fromkeys(failures))
    raise DatasetNotFoundError(
        f"{file.name} could not be downloaded:\n  {tried}\n  Run the command again to continue, "
        f"or get the file by other means and save it as {target}"
    )


def _fetch(url: str, part: Path, timeout_s: float, show_progress: bool) -> None:
    """Append to ``part`` what it lacks.

    Raises:
        OSError: the connection fails or ends early.
    """
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "agnet_vision", "Range": f"bytes={start}-"}
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout_s
        )
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return  # it was complete already
            part.unlink(missing_ok=True)
        raise

    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            start = 0  # a server that cannot resume sends all of it again
        lacking = int(answer.headers.get("Content-Length") or 0)
        bar = wrap_file(
            answer,
            lacking,
            description=part.stem,
            console=Console(stderr=True),
            disable=not show_progress,
        )
        with bar as source, part.open("ab" if start else "wb") as sink:
            shutil.copyfileobj(source, sink)
            written = sink.tell() - start

    if written < lacking:
        raise ConnectionError(f"the connection ended after {written:,} of {lacking:,} bytes")


def _mismatch(file: RemoteFile, path: Path) -> str:
    """Say how a file differs from what is published; empty: it does not."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"{size:,} bytes instead of {file.bytes:,}"
    if file.md5 is None:  # what comes instead of an archive is most often a page to log in at
        return "" if is_archive(path) else "it is neither a zip nor a tar archive"
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    return "" if found == file.md5 else f"md5 {found} instead of {file.md5}"
