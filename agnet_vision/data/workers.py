"""Loader processes: how they start, and what they may use."""

from __future__ import annotations

import multiprocessing
import signal

import cv2
import torch
from threadpoolctl import threadpool_limits


def worker_context() -> multiprocessing.context.BaseContext:
    """Choose a way to start workers that never forks this process: torch's threads do not survive a fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The server imports once what workers need, the script that started them included; each worker is then a fork of it,
    # ready in milliseconds instead of seconds.
    context.set_forkserver_preload(
        ["__main__", "agnet_vision.data.dataset", "agnet_vision.data.workers"]
    )
    return context


def start_worker(worker: int) -> None:
    """Keep a worker to one thread, and leave Ctrl-C to the main process."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
