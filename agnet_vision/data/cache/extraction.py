"""Find keypoints in parallel, here or on a Dask cluster.

Workers only compute; this process alone writes, every few seconds, so a cluster needs no shared
place to write to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from agnet_vision.data.cache.rows import (
    Signature,
    encode_row,
    hash_content,
    signature_of,
    write_rows,
)
from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError, ImageReadError, extra_needed
from agnet_vision.regions.proposer import RegionProposer

# images a worker takes at once: enough for the batched mixtures, few enough to share the work
# evenly
TASK_IMAGES = 32
SAVE_SECONDS = 10.0  # at most this much work is lost when the process is killed

Row = dict[str, Any]


def extract_all(
    paths: Sequence[str],
    proposer: RegionProposer,
    store: Path,
    workers: int | None,
    scheduler: str | None,
    progress: bool,
) -> list[ImageReadError]:
    """Extract in parallel and save every few seconds.

    Work is also saved when interrupted.

    Args:
        paths: absolute, each once.
        proposer: finds and groups the keypoints.
        store: folder for the shards; it must be there.
        workers: processes on this machine; None: one a core.
        scheduler: address of a Dask scheduler instead.
        progress: draw a bar on stderr.

    Returns:
        The images that cannot be read.

    Raises:
        ConfigError: the scheduler does not answer.
    """
    rows: list[Row] = []
    failures: list[ImageReadError] = []
    if not paths:
        return failures
    tasks = [paths[start : start + TASK_IMAGES] for start in range(0, len(paths), TASK_IMAGES)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with (
            Progress(*columns, console=Console(stderr=True), disable=not progress) as bar,
            executor(workers, scheduler) as run,
        ):
            job, saved_at = bar.add_task("extracting regions", total=len(paths)), time.monotonic()
            for done, failed in run(delayed(_extract)(task, proposer) for task in tasks):
                rows += done
                failures += failed
                bar.advance(job, len(done) + len(failed))
                if rows and time.monotonic() - saved_at > SAVE_SECONDS:
                    write_rows(store, rows)
                    rows, saved_at = [], time.monotonic()
    finally:
        if rows:
            write_rows(store, rows)
    return failures


def _extract(
    paths: Sequence[str], proposer: RegionProposer
) -> tuple[list[Row], list[ImageReadError]]:
    """Read a few images and pack their keypoints.

    This runs in a worker, with one thread.
    """
    found = [_read(path) for path in paths]
    failures = [result for result in found if isinstance(result, ImageReadError)]
    readable = [result for result in found if not isinstance(result, ImageReadError)]
    with _one_thread():
        points = proposer.keypoints_many([image for image, *_ in readable])
    rows = [
        encode_row(path, signature, content, image.shape[1::-1], keypoints)
        for (image, path, signature, content), keypoints in zip(readable, points, strict=True)
    ]
    return rows, failures


def _read(path: str) -> tuple[np.ndarray, str, Signature, bytes] | ImageReadError:
    """Read one image.

    What went wrong is a result, so that one bad file does not stop a long run.
    """
    try:
        # The signature is taken first: a file replaced while it is read will not match it later.
        signature, content = signature_of(path), hash_content(path)
        return read_image(path), path, signature, content
    except ImageReadError as error:
        return error
    except OSError as error:
        return ImageReadError(path, str(error))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV and torch to one thread for a while."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


@contextlib.contextmanager
def executor(workers: int | None, scheduler: str | None) -> Iterator[Parallel]:
    """Run tasks here or on Dask, yielding results when ready.

    Args:
        workers: processes on this machine; None: one a core.
        scheduler: address of a Dask scheduler instead; None: this machine.

    Raises:
        ConfigError: the scheduler does not answer.
    """
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
