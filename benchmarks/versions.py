"""The network of two checkouts, timed in turn.

python tools/benchmark.py versions ../before . [--backbone resnet50] [--output out.json]

Each checkout runs in a process of its own; a round asks one after the other. CPU time, so that what
else the machine does disturbs little, and the ratio of each round's pair.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.conditions import conditions, ratio, summarize, write_report

PARTS = ("forward", "training_step")
# Run inside a checkout: it prints the sum of the logits, then CPU seconds for each word it is sent.
WORKER = """
import sys, time
import torch
from torch import nn
from agnet_vision import AGNet, Regions
backbone, batch, side, seed = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(1)
torch.manual_seed(seed)
model = AGNet(backbone, 40)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
images, labels = torch.randn(batch, 3, side, side), torch.arange(batch) % 40
corners = torch.rand(batch, 37, 2, 2).sort(dim=2).values * 0.9 + torch.tensor([[0.0], [0.1]])
boxes = corners.flatten(2)
boxes[:, -1] = torch.tensor([0.0, 0.0, 1.0, 1.0])
regions = Regions(boxes, torch.ones(batch, 37, dtype=torch.bool))

@torch.no_grad()
def forward():
    return model.eval()(images, regions)

def training_step():
    nn.functional.cross_entropy(model.train()(images, regions), labels).backward()
    optimizer.step()
    optimizer.zero_grad()

parts = {"forward": forward, "training_step": training_step}
print(forward().sum().item(), flush=True)
for word in sys.stdin:
    started = time.process_time()
    parts[word.strip()]()
    print(time.process_time() - started, flush=True)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkouts", nargs=2, type=Path, help="before and after")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time, print and write."""
    workers = [_start(checkout, arguments) for checkout in arguments.checkouts]
    sums = [_read(worker) for worker in workers]
    report: dict[str, Any] = {
        "backbone": arguments.backbone,
        "batch_size": arguments.batch_size,
        "image_size": arguments.image_size,
        "repeats": arguments.repeats,
        "sum_of_logits": sums,
    }
    for part in PARTS:
        rounds = [
            [_time(worker, part) for worker in workers] for _ in range(arguments.repeats + 1)
        ][1:]  # the first warms caches
        before, after = (list(column) for column in zip(*rounds, strict=True))
        report[part] = {
            "before_ms": summarize([1e3 * seconds for seconds in before]),
            "after_ms": summarize([1e3 * seconds for seconds in after]),
            "ratio": ratio(after, before),
        }
    for worker in workers:
        worker.communicate()  # the end of its input ends it
    report["conditions"] = conditions(arguments.seed)
    Console().print_json(data=report)
    write_report(report, arguments.output)
    return report


def _start(checkout: Path, arguments: argparse.Namespace) -> subprocess.Popen[str]:
    """Start the worker of a checkout."""
    numbers = (arguments.batch_size, arguments.image_size, arguments.seed)
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, arguments.backbone, *map(str, numbers)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout.absolute()), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _time(worker: subprocess.Popen[str], part: str) -> float:
    """Let a worker do its part once.

    Returns CPU seconds.
    """
    assert worker.stdin is not None
    worker.stdin.write(f"{part}\n")
    worker.stdin.flush()
    return _read(worker)


def _read(worker: subprocess.Popen[str]) -> float:
    """Read the next number of a worker.

    Its own error stands on the terminal.
    """
    assert worker.stdout is not None
    return float(worker.stdout.readline())
