"""What workers do, on this machine or on a Dask cluster, to find the keypoints of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path

import cv2
import torch

from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError, ImageReadError, extra_needed
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints

Found = tuple[str, str, bytes, Keypoints]  # the second and third as read_file returns them


def file_state(path: str) -> str:
    """Return what changes whenever a file's bytes do: its size, and the times of its changes."""
    stat = os.stat(path)
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def read_file(path: str) -> tuple[str, bytes, bytes]:
    """Return a file's state, the digest of its bytes, and these."""
    state = file_state(path)  # asked first: a file replaced while it is read will not match later
    content = Path(path).read_bytes()
    return state, blake2b(content, digest_size=16).digest(), content


def find_keypoints(paths: Sequence[str], proposer: RegionProposer) -> list[Found]:
    """Find the keypoints of a few images, in a worker and with one thread."""
    files, images = [], []
    for path in paths:
        state, digest, content = read_file(path)
        files.append((path, state, digest))
        try:
            images.append(read_image(content))
        except ImageReadError as error:
            raise ImageReadError(path, error.reason) from error

    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        keypoints = proposer.keypoints_many(images)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return [(*file, points) for file, points in zip(files, keypoints, strict=True)]


def connect_cluster(scheduler: str) -> AbstractContextManager[object]:
    """Connect to a Dask cluster."""
    with extra_needed("cluster"):
        from distributed import Client
    try:
        return Client(scheduler, timeout=30)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at scheduler={scheduler}: {error}") from error
