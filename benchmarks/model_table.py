"""The head's cost over regions, image size and batch size.

``python tools/benchmark.py model --table``
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agnet_vision.export.latency import time_in_turn
from agnet_vision.structures import num_regions
from benchmarks.conditions import ratio, summarize
from benchmarks.model import Case, clock_of, make_models, peak_memory

NUM_CLUSTERS = (2, 4, 8, 12, 16)
SHAPES = (
    (1, 224),
    (1, 320),
    (1, 448),
    (8, 224),
    (8, 320),
    (8, 448),
    (64, 224),
)  # batch, side of the images
ROUNDS = 3


def fill_table(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all points, or say which are too large for the memory, and print them as a table."""
    table = Table(
        "regions", "batch", "side", "backbone ms", "AGNet ms", "ratio", "ms more a region and image"
    )

    points = []
    for point in measure_points(arguments):
        points.append(point)
        where = [str(point[name]) for name in ("regions", "batch_size", "image_size")]
        if "skipped" in point:
            table.add_row(*where, point["skipped"])
            continue
        times = [
            f"{point[name]['median']:.0f}"
            for name in ("backbone_milliseconds", "agnet_milliseconds")
        ]
        table.add_row(
            *where, *times, f"{point['ratio']['median']:.3f}", f"{point['more_a_region']:.3f}"
        )

    Console().print(table)
    return points


def measure_points(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time the forward pass at every point, with networks made once per number of clusters."""
    for num_clusters in NUM_CLUSTERS:
        changed = {**vars(arguments), "num_clusters": num_clusters, "naive": False}
        models, regions = make_models(argparse.Namespace(**changed)), num_regions(num_clusters)
        small = Case(
            argparse.Namespace(**{**changed, "batch_size": 1, "image_size": SHAPES[0][1]}), models
        )
        needed = peak_memory(small.forward(models["agnet"]), arguments.device)

        for batch, side in SHAPES:
            point: dict[str, Any] = {"regions": regions, "batch_size": batch, "image_size": side}
            # At most proportional to the pixels of the batch: the head works on a few images at a
            # time.
            estimate = needed * batch * (side / SHAPES[0][1]) ** 2
            free = free_memory(arguments.device)
            if estimate > free:
                yield {
                    **point,
                    "skipped": f"needs {estimate / 2**30:.1f} GiB, {free / 2**30:.1f} are free",
                }
                continue

            options = argparse.Namespace(**{**changed, "batch_size": batch, "image_size": side})
            case = Case(options, models)
            functions = {name: case.forward(model) for name, model in models.items()}
            seconds = time_in_turn(functions, ROUNDS, clock=clock_of(options))

            summary = {
                f"{name}_milliseconds": summarize([1e3 * s for s in seconds[name]])
                for name in models
            }
            more = (
                summary["agnet_milliseconds"]["median"] - summary["backbone_milliseconds"]["median"]
            )
            yield {
                **point,
                **summary,
                "ratio": ratio(seconds["agnet"], seconds["backbone"]),
                "more_a_region": round(more / regions / batch, 4),
            }


def free_memory(device: str) -> float:
    """Return the bytes that are free on the device, infinity where the system does not tell."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return float("inf")
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
