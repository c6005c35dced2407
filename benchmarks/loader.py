"""What stored regions add to a training loader: the same images with and without points and boxes.

python tools/benchmark.py loader --images FOLDER [--output docs/benchmarks/loader.json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.dataset import RegionDataset, collate
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import training_transform
from agnet_vision.data.workers import start_worker, worker_context
from agnet_vision.predict.files import find_images
from agnet_vision.regions.boxes import boxes_from_keypoints
from agnet_vision.regions.proposer import RegionProposer
from benchmarks.conditions import conditions, measure_interleaved, ratio, summarize, write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of images, searched with its subfolders"
    )
    parser.add_argument("--count", type=int, default=256, help="images per epoch")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7, help="timed epochs, in turn")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes of the loader that is timed as a whole"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of images and augmentation")
    parser.add_argument("--output", type=Path, default=None, help="write the raw numbers as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure epochs in this process, in CPU time as a worker spends it, and with workers."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    paths = find_images(arguments.images)
    chosen = np.random.default_rng(arguments.seed).permutation(len(paths))[: arguments.count]
    samples = [Sample(paths[i], 0) for i in chosen]
    report: dict[str, Any] = {
        "images": len(samples),
        "conditions": conditions(arguments.seed),
        "presets": {},
    }

    with tempfile.TemporaryDirectory() as folder:
        proposer = RegionProposer()
        cache = RegionCache.build([sample.path for sample in samples], proposer, folder, workers=1)
        for preset in ("paper", "modern"):
            report["presets"][preset] = compare_epochs(samples, proposer, cache, preset, arguments)

    Console().print_json(data=report)
    write_report(report, arguments.output)
    return report


def compare_epochs(
    samples: list[Sample],
    proposer: RegionProposer,
    cache: RegionCache,
    preset: Any,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Time epochs without regions and with them, and their parts: the look-up and the boxes."""
    gray = (0.5, 0.5, 0.5)
    config = {"input_size": (3, 224, 224), "mean": gray, "std": gray, "interpolation": "bilinear"}
    transform = training_transform(config, preset)
    datasets = {
        name: RegionDataset(samples, transform, source, cache=cache, seed=arguments.seed)
        for name, source in (("without_regions", None), ("with_regions", proposer))
    }

    stored = [cache[sample.path] for sample in samples]
    alone = {
        name: DataLoader(one, arguments.batch_size, collate_fn=collate)
        for name, one in datasets.items()
    }

    one_process = measure_interleaved(
        {
            **{name: partial(list, loader) for name, loader in alone.items()},
            "look_up": lambda: [cache[sample.path] for sample in samples],
            "boxes": lambda: [
                boxes_from_keypoints(points.xy, points.group, (500, 375)) for points in stored
            ],
        },
        repeats=arguments.repeats,
        items=len(samples),
    )

    added = [
        a - b
        for a, b in zip(one_process["with_regions"], one_process["without_regions"], strict=True)
    ]
    epochs = time_loaders(datasets, arguments)

    return {
        "cpu_ms_per_image": {name: summarize(values) for name, values in one_process.items()},
        "points_and_boxes_cpu_ms_per_image": summarize(added),
        "speed_with_over_without": ratio(
            one_process["without_regions"], one_process["with_regions"]
        ),
        "loader": {
            "workers": arguments.workers,
            "wall_ms_per_image": {name: summarize(values) for name, values in epochs.items()},
            "speed_with_over_without": ratio(epochs["without_regions"], epochs["with_regions"]),
        },
    }


def time_loaders(
    datasets: dict[str, RegionDataset], arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Time epochs of loaders whose workers have started."""
    loaders = {
        name: DataLoader(
            one,
            arguments.batch_size,
            collate_fn=collate,
            num_workers=arguments.workers,
            multiprocessing_context=worker_context(),
            worker_init_fn=start_worker,
            persistent_workers=True,
        )
        for name, one in datasets.items()
    }

    return measure_interleaved(
        {name: partial(_drain, loader) for name, loader in loaders.items()},
        repeats=arguments.repeats,
        items=len(datasets["with_regions"]),
        clock=time.perf_counter,
    )


def _drain(loader: DataLoader) -> None:
    """Go through an epoch and hold one batch at a time, as training does."""
    for _ in loader:
        pass
