"""What it costs to extract a folder's regions once.

Images a second, bytes an image, one process against two.

python tools/benchmark.py extraction --images FOLDER [--output docs/benchmarks/extraction.json]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from joblib.externals.loky import get_reusable_executor
from rich.console import Console

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.predict.files import find_images
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.proposer import RegionProposer
from benchmarks.conditions import conditions, ratio, summarize, write_report

FOOD101_IMAGES = 101_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        help="folder of images, searched with its subfolders",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        help="processes of the full run and of the comparison with one",
    )
    parser.add_argument(
        "--compare",
        type=int,
        default=600,
        help="images of each timed pass of that comparison; 0: none",
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed passes of it, in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the images")
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare process counts, then extract everything and read it."""
    paths = find_images(arguments.images)
    paths = [paths[i] for i in np.random.default_rng(arguments.seed).permutation(len(paths))]
    report = {
        "images": len(paths),
        "workers": arguments.workers,
        "conditions": conditions(arguments.seed),
    }

    if arguments.compare:
        report |= compare_processes(
            paths[: arguments.compare], arguments.workers, arguments.repeats
        )
    with tempfile.TemporaryDirectory() as folder:
        report |= extract_everything(paths, arguments.workers, Path(folder))

    Console().print_json(data=report)
    write_report(report, arguments.output)
    return report


def compare_processes(paths: list[Path], workers: int, repeats: int) -> dict[str, Any]:
    """Time one process and several in turn.

    They are started and have imported before.
    """
    seconds: dict[int, list[float]] = {1: [], workers: []}
    with tempfile.TemporaryDirectory() as folder:
        timed_build(paths[:64], workers, Path(folder, "warm"))
        for repeat in range(repeats):
            for number, times in seconds.items():
                times.append(timed_build(paths, number, Path(folder, f"{repeat}-{number}"))[1])
    return {
        "compared_images": len(paths),
        "wall_seconds_one_process": summarize(seconds[1]),
        "wall_seconds_workers": summarize(seconds[workers]),
        "one_process_over_workers": ratio(seconds[1], seconds[workers]),
    }


def timed_build(paths: list[Path], workers: int, folder: Path) -> tuple[RegionCache, float]:
    """Extract into an empty folder and return the wall time."""
    started = time.perf_counter()
    cache = RegionCache.build(paths, RegionProposer(), folder, workers=workers, progress=False)
    return cache, time.perf_counter() - started


def extract_everything(paths: list[Path], workers: int, folder: Path) -> dict[str, Any]:
    """Extract all images from a cold start, and read them."""
    get_reusable_executor().shutdown()
    cpu_before = _cpu_seconds()
    cache, seconds = timed_build(paths, workers, folder)
    get_reusable_executor().shutdown()  # the processes' time counts when they have ended
    cpu_seconds = _cpu_seconds() - cpu_before
    stored = cache.path.stat().st_size

    started = time.perf_counter()
    again = RegionCache.build(paths, RegionProposer(), folder, workers=workers, progress=False)
    reopened, started = time.perf_counter() - started, time.process_time()
    for path in paths:
        points = again[path]
        boxes_from_keypoints(points.xy, points.group, (640, 480))
    read = time.process_time() - started

    scale = FOOD101_IMAGES / len(paths)
    return {
        "wall_seconds": round(seconds, 1),
        "cpu_seconds_all_processes": round(cpu_seconds, 1),
        "cpu_ms_per_image": round(cpu_seconds * 1e3 / len(paths), 2),
        "bytes_per_image": round(stored / len(paths)),
        "seconds_to_open_a_complete_cache": round(reopened, 2),
        "read_and_draw_cpu_ms_per_image": round(read * 1e3 / len(paths), 4),
        "food101_minutes_by_wall": round(seconds * scale / 60, 1),
        "food101_minutes_by_cpu_on_free_cores": round(cpu_seconds * scale / 60 / workers, 1),
        "food101_megabytes": round(stored * scale / 1e6, 1),
    }


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
    )
