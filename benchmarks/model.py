"""What the head costs beside its backbone: AGNet against the same backbone with its own classifier.

python tools/benchmark.py model [--backbone resnet50] [--batch-size 8] [--naive] [--table]
python tools/benchmark.py model --device cuda --dtype bfloat16 --channels-last --compile

With ResNet-50 on two cores: about 3 minutes with ``--naive``, and 5 more with ``--table``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import timm
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from agnet_vision.export.latency import time_in_turn
from agnet_vision.models import reference
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.boxes import random_boxes
from agnet_vision.structures import Regions
from benchmarks.conditions import conditions, ratio, summarize, write_report

NAIVE_ROUNDS = 3  # it takes many times as long, and its ratio needs no second decimal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--backbone", default="resnet50", help="any timm name")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--num-clusters", type=int, default=8)
    parser.add_argument("--num-classes", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16: autocast"
    )
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile all networks")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="CPU instead of wall time, where the machine does other work",
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="timed rounds; medians and quartiles are reported"
    )
    parser.add_argument(
        "--naive", action="store_true", help="also the plain version of models/reference.py"
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="also the forward pass over clusters, image and batch sizes",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print and write."""
    torch.set_num_threads(arguments.threads)
    report: dict[str, Any] = {
        "options": {
            key: str(value) if isinstance(value, Path) else value
            for key, value in vars(arguments).items()
        },
        "device": torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "cpu",
        "timm": timm.__version__,
        "conditions": conditions(arguments.seed),
    }
    case = Case(arguments, make_models(arguments))
    report["forward"] = compare(
        {name: case.forward(model) for name, model in case.models.items()}, arguments
    )
    report["training_step"] = compare(
        {name: case.step(model) for name, model in case.models.items()}, arguments
    )
    Console().print_json(data=report)
    if arguments.table:
        from benchmarks.model_table import fill_table  # it builds on this file

        report["table"] = fill_table(arguments)
    write_report(report, arguments.output)
    return report


def make_models(arguments: argparse.Namespace) -> dict[str, nn.Module]:
    """Make the networks: bare backbone, AGNet and, if asked for, the plain version of AGNet."""
    torch.manual_seed(arguments.seed)
    memory = torch.channels_last if arguments.channels_last else torch.contiguous_format
    agnet = AGNet(arguments.backbone, arguments.num_classes, num_clusters=arguments.num_clusters)
    models: dict[str, nn.Module] = {
        "backbone": timm.create_model(arguments.backbone, num_classes=arguments.num_classes),
        "agnet": agnet,
    }
    if arguments.naive:
        models["naive"] = _Naive(agnet)
    for model in models.values():
        model.to(arguments.device, memory_format=memory)  # type: ignore[call-overload]
        if arguments.compile:
            model.compile()
    return models


class Case:
    """The networks to compare, and their input."""

    def __init__(self, arguments: argparse.Namespace, models: dict[str, nn.Module]) -> None:
        torch.manual_seed(arguments.seed)
        self.arguments, self.models = arguments, models
        batch, side = arguments.batch_size, arguments.image_size
        memory = torch.channels_last if arguments.channels_last else torch.contiguous_format
        rng = np.random.default_rng(arguments.seed)
        boxes, mask = zip(
            *(random_boxes(arguments.num_clusters, rng) for _ in range(batch)), strict=True
        )
        regions = Regions(torch.from_numpy(np.stack(boxes)), torch.from_numpy(np.stack(mask)))
        self.regions = regions.to(arguments.device)
        self.images = torch.randn(batch, 3, side, side).to(arguments.device, memory_format=memory)
        self.labels = torch.arange(batch, device=arguments.device) % arguments.num_classes

    def logits(self, model: nn.Module) -> Tensor:
        """Run a network as its user would."""
        narrow = self.arguments.dtype == "bfloat16"
        device = self.arguments.device.split(":")[0]
        inputs = (self.images,) if model is self.models["backbone"] else (self.images, self.regions)
        with torch.autocast(device, torch.bfloat16) if narrow else nullcontext():
            logits: Tensor = model(*inputs)
        return logits

    def forward(self, model: nn.Module) -> Callable[[], object]:
        """Make the function that classifies one batch."""

        def classify() -> None:
            """Run the network as for a prediction."""
            model.eval()
            with torch.no_grad():
                self.logits(model)

        return classify

    def step(self, model: nn.Module) -> Callable[[], object]:
        """Make the function that trains on one batch, by SGD with momentum."""
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

        def train() -> None:
            """Take one step and forget the gradients."""
            model.train()
            nn.functional.cross_entropy(self.logits(model).float(), self.labels).backward()
            optimizer.step()
            optimizer.zero_grad()

        return train


def compare(
    functions: dict[str, Callable[[], object]], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Time the functions in turn, also as multiples of the backbone's, and measure their memory."""
    clock = clock_of(arguments)
    pair = {name: function for name, function in functions.items() if name != "naive"}
    seconds = time_in_turn(pair, arguments.repeats, clock=clock)
    results = {name: _summarize(seconds, name) for name in pair}

    # Apart: its gigabytes come and go, and what runs after it pays for that.
    if "naive" in functions:
        versus = {name: functions[name] for name in ("backbone", "naive")}
        seconds = time_in_turn(versus, min(NAIVE_ROUNDS, arguments.repeats), clock=clock)
        results["naive"] = _summarize(seconds, "naive")

    for name, function in functions.items():
        memory = peak_memory(function, arguments.device)
        results[name]["working_memory_mib"] = round(memory / 2**20, 1)
    return results


def clock_of(arguments: argparse.Namespace) -> Callable[[], float]:
    """Choose the clock that is right for the device."""

    def synchronized() -> float:
        """Wait for the device before the clock is read."""
        torch.cuda.synchronize()
        return time.perf_counter()

    if arguments.device.startswith("cuda"):
        return synchronized
    return time.process_time if arguments.cpu_time else time.perf_counter


def _summarize(seconds: dict[str, list[float]], name: str) -> dict[str, Any]:
    """Reduce the times of a function, and those of the backbone beside it."""
    return {
        "milliseconds": summarize([1e3 * each for each in seconds[name]]),
        "ratio": ratio(seconds[name], seconds["backbone"]),
    }


def peak_memory(function: Callable[[], object], device: str) -> int:
    """Measure the bytes that a function holds at its peak: activations, gradients, results."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]

    changes = sorted(
        (event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]"
    )
    return int(np.cumsum([change for _, change in changes]).max(initial=0))


class _Naive(nn.Module):
    """The weights of an AGNet, run by the readable definition."""

    def __init__(self, model: AGNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, regions: Regions) -> Tensor:
        """Return the logits of the plain version."""
        return reference.logits(self.model.head, self.model.forward_features(images), regions)
