"""The paper's network on one GPU: its speed, and what choosing the epoch on test images adds.

python tools/benchmark.py paper dataset=stanford40 dataset.root=... backbone=mobilenetv2_100

First the speed of two backbones with and without the head. Then ``full`` and ``backbone_only`` are
trained by ``experiment=paper``, batch and learning rate times eight, at 160 pixels for 150 epochs;
other options of agnet train may follow. After each epoch validation and test images are scored: the
best test score less that of the epoch chosen on validation images is the optimism of choosing on
test images. Images are decoded once, into the device's memory, and augmented there. It is made for
12 minutes on one GPU; without one it runs on 200 images for two epochs, as a test.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.data.cache.store import RegionCache, default_cache_folder
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig
from agnet_vision.training.build import build_model, build_table
from agnet_vision.training.optim import build_optimizer, schedule_factor
from benchmarks import throughput
from benchmarks.conditions import conditions, training_words, write_report
from benchmarks.in_memory import Batch, Images, decode, random_views

BACKBONES = ("resnet50", "mobilenetv2_100")  # of the speed
RECIPE = {
    "experiment": "paper",
    "image_size": 160,
    "epochs": 150,
    "batch_size": 64,
    "optimizer.lr": 8e-4,
    "optimizer.backbone_lr": 8e-4,
}
SMALL_EPOCHS = 2
SMALL = {"train": 100, "val": 50, "test": 50}  # images, without a GPU


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("words", nargs="+", metavar="NAME=VALUE", help="options of agnet train")
    parser.add_argument("--output", type=Path, default=None, help="write the raw numbers as JSON")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print and write, after each training anew."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    small = {"epochs": SMALL_EPOCHS} if device.type == "cpu" else {}
    configs = {
        variant: training_words(arguments.words, {**RECIPE, **small, "model": variant})
        for variant in ("backbone_only", "full")
    }
    report: dict[str, Any] = {"is_a_test": bool(small), "words": arguments.words, "training": {}}
    report["speed"] = measure_speed(device)

    for variant, config in configs.items():
        report["training"][variant] = train(config, device)
        report["conditions"] = conditions(config.seed)
        write_report(report, arguments.output)
    print_table(report)
    return report


def measure_speed(device: torch.device) -> dict[str, Any]:
    """Measure images per second of the backbones, with and without the head."""
    words = "--device cuda --dtype bfloat16 --channels-last --batch-size 64 --repeats 20"
    if device.type == "cpu":
        words = "--batch-size 2 --image-size 160 --repeats 1"
    parser = argparse.ArgumentParser()
    throughput.add_arguments(parser)
    rows = {name: throughput.measure(name, parser.parse_args(words.split())) for name in BACKBONES}
    throughput.print_table(rows)
    return rows


def train(config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """Train a network, and score validation and test images after each epoch."""
    table = build_table(config.dataset, config.seed)
    model = build_model(config, table.classes).to(device)
    images = load(table, model, config, device)
    fraction = config.augmentation.crop_fraction
    views = {split: images[split].middles(fraction, model) for split in ("val", "test")}

    count = len(images["train"].labels)
    batch = min(config.batch_size, count)
    steps = count // batch
    optimizer = build_optimizer(model, config.optimizer)
    factor = schedule_factor(config.schedule, steps_per_epoch=steps, epochs=config.epochs)
    schedule = LambdaLR(optimizer, factor)
    rng = np.random.default_rng(config.seed)

    history: dict[str, list[float]] = {"val": [], "test": []}
    began = time.perf_counter()
    for _ in range(config.epochs):
        model.train()
        for chosen in rng.permutation(count)[: steps * batch].reshape(steps, batch):
            matrices = random_views(batch, fraction, rng)
            pixels, regions, labels = images["train"].view(chosen, matrices, model)
            with precision(device):
                logits = model(pixels, regions)
            cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()

        for split, values in history.items():
            values.append(mean_ap(model, views[split], table.classes, device))
    return {
        **chosen_scores(**history),
        "seconds_an_epoch": round((time.perf_counter() - began) / config.epochs, 2),
        "images": {split: len(each.labels) for split, each in images.items()},
        "history": history,
    }


def load(
    table: SampleTable, model: AGNet, config: TrainConfig, device: torch.device
) -> dict[str, Images]:
    """Read all splits into memory, without a GPU a few images of each, spread over the classes."""
    splits = table.splits
    if device.type == "cpu":
        splits = {k: splits[k][:: -(-len(splits[k]) // count)] for k, count in SMALL.items()}
    paths = [sample.path for samples in splits.values() for sample in samples]
    folder = config.cache_dir or default_cache_folder(table.root)
    cache = RegionCache.build(paths, model.proposer, folder, workers=config.workers)
    side = round(config.image_size / config.augmentation.crop_fraction)
    return {split: decode(samples, cache, side, device) for split, samples in splits.items()}


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Compute in bfloat16 on a GPU."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@torch.no_grad()
def mean_ap(
    model: AGNet, batches: Sequence[Batch], classes: Sequence[str], device: torch.device
) -> float:
    """Compute the mAP over batches."""
    model.eval()
    with precision(device):
        logits = torch.cat([model(pixels, regions) for pixels, regions, _ in batches])
    probability = logits.float().softmax(dim=1).cpu()
    labels = torch.cat([each for _, _, each in batches]).cpu()
    return float(score(Predictions(torch.arange(len(labels)), labels, probability), classes)["mAP"])


def chosen_scores(val: Sequence[float], test: Sequence[float]) -> dict[str, Any]:
    """Compare the test scores of the epochs chosen on validation and on test images."""
    on_val, on_test = int(np.argmax(val)), int(np.argmax(test))
    return {
        "chosen_on_val": {"epoch": on_val + 1, "test_mAP": test[on_val]},
        "chosen_on_test": {"epoch": on_test + 1, "test_mAP": test[on_test]},
        "last_epoch": {"epoch": len(test), "test_mAP": test[-1]},
        "optimism": test[on_test] - test[on_val],
    }


def print_table(report: dict[str, Any]) -> None:
    """Print a row per training."""
    title = "test mAP %, of the epoch chosen on"
    if report["is_a_test"]:
        title = f"A test on some 200 images, no result: {title}"
    kinds = ("chosen_on_val", "chosen_on_test", "last_epoch")
    heads = ("validation images", "test images", "the last", "optimism", "s an epoch")
    table = Table("network", *heads, title=title)

    for variant, row in report["training"].items():
        scores = [f"{100 * row[kind]['test_mAP']:.1f} ({row[kind]['epoch']})" for kind in kinds]
        optimism = f"{100 * row['optimism']:+.1f}"
        table.add_row(variant, *scores, optimism, str(row["seconds_an_epoch"]))
    Console(width=120).print(table)
