"""Images per second of five networks: plain timm, with the head, and with a narrow head.

python tools/benchmark.py throughput [--backbones resnet50 ...] [--device cuda]

Forward pass and training step, peak memory of the step and parameters. On the CPU the rate is
images a second of CPU time, which other programs on the machine disturb little.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from agnet_vision import AGNet
from agnet_vision.export.latency import time_in_turn
from benchmarks import model
from benchmarks.conditions import conditions, ratio, summarize, write_report

WIDTH = 256  # of the narrow head
BACKBONES = (
    "mobilenetv3_small_100",
    "mobilenetv2_100",
    "efficientnet_b0",
    "resnet18",
    "resnet50",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: those of ``benchmarks.model``, for several backbones."""
    model.add_arguments(parser)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, help="any timm names")
    parser.set_defaults(threads=1, repeats=5, cpu_time=True)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print and write."""
    torch.set_num_threads(arguments.threads)
    rows = {name: measure(name, arguments) for name in arguments.backbones}
    report = {"rows": rows, "threads": arguments.threads, "conditions": conditions(arguments.seed)}
    print_table(rows)
    write_report(report, arguments.output)
    return report


def measure(backbone: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a backbone with its own classifier, with the head, and with the narrow head."""
    options = argparse.Namespace(**{**vars(arguments), "backbone": backbone, "naive": False})
    models = model.make_models(options)
    narrow = AGNet(
        backbone,
        options.num_classes,
        num_clusters=options.num_clusters,
        head_kwargs={"width": WIDTH},
    )
    case = model.Case(options, {**models, "narrow": narrow.to(options.device)})
    row: dict[str, Any] = {
        name: {"parameters": sum(p.numel() for p in each.parameters())}
        for name, each in case.models.items()
    }

    for part, make in (("forward", case.forward), ("training_step", case.step)):
        functions = {name: make(each) for name, each in case.models.items()}
        seconds = time_in_turn(functions, options.repeats, clock=model.clock_of(options))
        for name, function in functions.items():
            memory = model.peak_memory(function, options.device)
            row[name][part] = {
                "images_a_second": summarize([options.batch_size / s for s in seconds[name]]),
                "working_memory_mib": round(memory / 2**20, 1),
            }
        for name in ("agnet", "narrow"):
            row[name][part]["times_the_backbone"] = ratio(seconds[name], seconds["backbone"])
    return row


def print_table(rows: dict[str, Any]) -> None:
    """Print a row per backbone: plain timm, with the head, with the narrow head."""
    table = Table(
        "backbone",
        "parameters, M",
        "forward, images/s",
        "training, images/s",
        "memory of a step, MiB",
        title=f"plain timm / AGNet / AGNet with width={WIDTH}",
    )

    for backbone, row in rows.items():
        three = [row["backbone"], row["agnet"], row["narrow"]]
        table.add_row(
            backbone,
            " / ".join(f"{each['parameters'] / 1e6:.1f}" for each in three),
            *(
                " / ".join(f"{each[part]['images_a_second']['median']:.1f}" for each in three)
                + " (x "
                + ", ".join(
                    f"{each[part]['times_the_backbone']['median']:.2f}" for each in three[1:]
                )
                + ")"
                for part in ("forward", "training_step")
            ),
            " / ".join(f"{each['training_step']['working_memory_mib']:.0f}" for each in three),
        )

    Console(width=120).print(table)
