"""What goes wrong on real machines, and what survives.

Here it is done on purpose.

python tools/benchmark.py faults [--output docs/benchmarks/faults.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.conditions import conditions, write_report
from benchmarks.faults import endurance, files, images, kills, ranks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--kills", type=int, default=20, help="runs that are killed")
    parser.add_argument("--images", type=int, default=10_000, help="mutated images that are read")
    parser.add_argument("--cut", type=int, default=40, help="checkpoints that are cut off")
    parser.add_argument("--epochs", type=int, default=50, help="of the run whose memory is watched")
    parser.add_argument("--predictions", type=int, default=2_000, help="whose memory is watched")
    parser.add_argument("--seed", type=int, default=0, help="of moments, lengths and mutations")
    parser.add_argument(
        "--only", nargs="*", default=[], help="parts to do; the output keeps what it says of others"
    )
    parser.add_argument("--output", type=Path, default=None, help="write the results as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do all parts in turn, and print a line each."""
    seed = arguments.seed
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "kills": lambda folder: kills.kill_runs(folder, arguments.kills, seed),
        "signals": kills.stop_runs,
        "worker processes": kills.kill_with_workers,
        "dead rank": ranks.kill_a_rank,
        "several processes": ranks.compare_processes,
        "full disk": files.fill_disk,
        "cut checkpoints": lambda folder: files.cut_checkpoints(folder, arguments.cut, seed),
        "mutated images": lambda folder: images.read_mutated(folder, arguments.images, seed),
        "long training": lambda folder: endurance.train_long(folder, arguments.epochs),
        "many predictions": lambda folder: endurance.predict_many(folder, arguments.predictions),
    }
    torch.set_num_threads(1)  # a process with threads of its own cannot be forked safely
    output = arguments.output
    before = json.loads(output.read_text()) if output and output.is_file() else {}
    report: dict[str, Any] = {**conditions(seed), "faults": before.get("faults", {})}
    for name, part in parts.items():
        if arguments.only and name not in arguments.only:
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="agnet_faults_") as folder:
            result = part(Path(folder))
        result["seconds"] = round(time.perf_counter() - started, 1)
        report["faults"][name] = result
        print(f"{name}: {json.dumps(result)}", flush=True)  # noqa: T201
        write_report(report, output)
    return report
