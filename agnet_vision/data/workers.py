"""How loader processes start and end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

import cv2
import torch
from threadpoolctl import threadpool_limits

# What a cluster sends to all processes of a run. The main process decides what follows; it needs
# its workers to finish and save the step. Only where a worker can tell who has sent a signal.
LEFT_TO_MAIN_PROCESS = ("SIGTERM", "SIGUSR1") if hasattr(signal, "sigwaitinfo") else ()


def worker_context() -> multiprocessing.context.BaseContext:
    """Choose how to start workers without forking this process, whose threads would not survive."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")

    context = multiprocessing.get_context("forkserver")
    # The server imports once what workers need, the script that started them included; each worker
    # is then a fork of it, ready in milliseconds instead of seconds.
    context.set_forkserver_preload(
        ["__main__", "agnet_vision.data.dataset", "agnet_vision.data.workers"]
    )
    with _signals_ignored():  # what is started now, and what that starts, ignores them for good
        forkserver.ensure_running()
    return context


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore and block the signals that are left to the main process.

    Blocked from a worker's birth, they reach none of its threads.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows it there alone
        yield
        return

    numbers = [getattr(signal, name) for name in LEFT_TO_MAIN_PROCESS]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    resource_tracker.ensure_running()  # the fork server needs it; its start unblocks SIGTERM
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)


def start_worker(worker: int) -> None:
    """Keep a worker to one thread, and let it end with the main process or on its SIGTERM."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    threadpool_limits(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main_process = multiprocessing.parent_process()
    if main_process is None:
        return
    if LEFT_TO_MAIN_PROCESS:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # before there are threads
        threading.Thread(target=_exit_on_sigterm, args=[main_process.pid], daemon=True).start()
    # A worker's parent is the fork server, which lives as long as its workers: without this, all of
    # them would stay forever after the main process was killed.
    threading.Thread(target=_exit_after, args=[main_process], daemon=True).start()


def _exit_after(main_process: multiprocessing.process.BaseProcess) -> None:
    """Wait for the main process's end, then exit at once."""
    main_process.join()
    os._exit(1)


def _exit_on_sigterm(sender: int | None) -> None:
    """Exit on a SIGTERM of the main process, and of no other."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != sender:
        pass
    os._exit(1)
