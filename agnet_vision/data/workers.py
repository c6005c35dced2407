"""How loader processes start and end, and what they use."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2
import torch
from threadpoolctl import threadpool_limits


def worker_context() -> multiprocessing.context.BaseContext:
    """Choose how to start workers without forking this process.

    torch's threads do not survive a fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The server imports once what workers need, the script that started them included; each worker
    # is then a fork of it, ready in milliseconds instead of seconds.
    context.set_forkserver_preload(
        ["__main__", "agnet_vision.data.dataset", "agnet_vision.data.workers"]
    )
    return context


def start_worker(worker: int) -> None:
    """Keep a worker to one thread.

    It leaves Ctrl-C to the main process, and ends with it.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_main_process, daemon=True).start()


def _end_with_main_process() -> None:
    """Wait for the main process's end, then end at once.

    A worker's parent is the fork server, which lives as long as its workers: without this, all of
    them would stay forever after the main process was killed.
    """
    main_process = multiprocessing.parent_process()
    if main_process is not None:
        main_process.join()
        os._exit(1)
