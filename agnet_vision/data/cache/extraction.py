"""Find the keypoints of many images in parallel, on this machine or on a Dask cluster.

Workers only compute. The process that started them alone saves, every few seconds, so a cluster
needs no shared place to write to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from rich.console import Console
from rich.progress import Progress

from agnet_vision.data.image import RGBImage, read_image
from agnet_vision.errors import ConfigError, ImageReadError, extra_needed
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

# Enough images per task for the batched mixtures, few enough to share the work evenly.
TASK_IMAGES = 32
SAVE_SECONDS = 10.0  # at most this much work is lost when the process is killed


class FileContent(NamedTuple):
    """A file's path, what the file system says of it, and the digest of its bytes.

    What the file system says changes whenever the bytes do.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: bytes


Found = tuple[FileContent, Keypoints]


def file_state(path: str) -> tuple[int, int, int]:
    """Return what the file system says of a file: size and times of its last changes."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise ImageReadError(path, error.strerror or str(error)) from error
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def read_file(path: str) -> tuple[FileContent, bytes]:
    """Read and digest a file.

    Raises:
        ImageReadError: the file cannot be read.
    """
    state = file_state(path)  # asked first: a file replaced while it is read will not match later
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageReadError(path, error.strerror or str(error)) from error
    return FileContent(path, *state, blake2b(content, digest_size=16).digest()), content


def extract_all(
    paths: Sequence[str],
    proposer: RegionProposer,
    save: Callable[[list[Found]], None],
    *,
    workers: int | None,
    scheduler: str | None,
    progress: bool,
) -> list[ImageReadError]:
    """Find the keypoints of files; ``save`` gets them every few seconds and when interrupted.

    Returns:
        The images that cannot be read.

    Raises:
        ConfigError: the scheduler does not answer.
    """
    if not paths:
        return []
    tasks = [paths[start : start + TASK_IMAGES] for start in range(0, len(paths), TASK_IMAGES)]
    unsaved: list[Found] = []
    failures: list[ImageReadError] = []
    bar = Progress(console=Console(stderr=True), disable=not progress)
    try:
        with bar, _executor(workers, scheduler) as run:
            job = bar.add_task("extracting regions", total=len(paths))
            saved_at = time.monotonic()
            for found, failed in run(delayed(_extract)(task, proposer) for task in tasks):
                unsaved += found
                failures += failed
                bar.advance(job, len(found) + len(failed))

                if unsaved and time.monotonic() - saved_at > SAVE_SECONDS:
                    save(unsaved)
                    unsaved, saved_at = [], time.monotonic()
    finally:
        if unsaved:
            save(unsaved)
    return failures


def _extract(
    paths: Sequence[str], proposer: RegionProposer
) -> tuple[list[Found], list[ImageReadError]]:
    """Find the keypoints of a few images, in a worker and with one thread."""
    read = [_read(path) for path in paths]
    failures = [result for result in read if isinstance(result, ImageReadError)]
    readable = [result for result in read if not isinstance(result, ImageReadError)]

    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        keypoints = proposer.keypoints_many([image for _, image in readable])
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return list(zip([file for file, _ in readable], keypoints, strict=True)), failures


def _read(path: str) -> tuple[FileContent, RGBImage] | ImageReadError:
    """Read an image, or return what is wrong: one bad file does not stop a long run."""
    try:
        file, content = read_file(path)
        return file, read_image(content)
    except ImageReadError as error:
        return ImageReadError(path, error.reason)


@contextmanager
def _executor(workers: int | None, scheduler: str | None) -> Iterator[Parallel]:
    """Make what runs tasks, on processes here or on Dask, and yields results when ready."""
    if scheduler is None:
        try:
            with Parallel(n_jobs=workers or cpu_count(), return_as="generator_unordered") as run:
                yield run
        finally:
            if workers != 1:  # joblib keeps idle processes, even after this one was killed
                get_reusable_executor().shutdown(wait=False)
        return

    with extra_needed("cluster"):
        from distributed import Client
    try:
        client = Client(scheduler, timeout=30)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at scheduler={scheduler}: {error}") from error
    with client, parallel_config(backend="dask"), Parallel(return_as="generator_unordered") as run:
        yield run
