"""Heads and controls, trained on stored maps.

The maps are those of a backbone that was trained with average pooling.

python tools/benchmark.py heads --root STANFORD40 --weights plain.pt --output FILE.json

The weights are those that the benchmark ``ideas`` keeps of its plain network. The figures are of
the held-out images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import ImageTransform, evaluation_transform, move_points
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import training_transform
from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig
from agnet_vision.structures import Keypoints, Regions
from agnet_vision.training.build import build_model, build_table
from agnet_vision.training.optim import schedule_factor
from benchmarks.conditions import conditions, write_report
from benchmarks.controls import HEADS, SOURCES, Head, smooth_loss
from benchmarks.ideas import IMAGE_SIZE, study_config

VIEWS = 4  # augmented views of each training image; a head sees each once
BATCH = 32


class Stored(NamedTuple):
    """Maps of views, and their regions by source."""

    maps: Tensor
    labels: Tensor
    regions: dict[str, Regions]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("heads", nargs="*", default=list(HEADS), help=", ".join(HEADS))
    parser.add_argument("--root", required=True, help="of Stanford-40")
    parser.add_argument("--weights", type=Path, required=True, help="of the trained plain network")
    parser.add_argument("--cache", type=Path, default=None, help="folder of the stored keypoints")
    parser.add_argument("--maps", type=Path, default=None, help="file where the maps are kept")
    parser.add_argument("--epochs", type=int, default=8, help=argparse.SUPPRESS)
    parser.add_argument(
        "--split-seed", type=int, default=0, help="that the network was trained with"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the heads")
    parser.add_argument("--output", type=Path, default=None, help="figures so far, and the new")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and score each head."""
    report: dict[str, Any] = {"heads": {}}
    if arguments.output is not None and arguments.output.exists():
        report = json.loads(arguments.output.read_text())
    parts, classes = stored_maps(arguments)
    for seed in arguments.seeds:
        for name in arguments.heads:
            figures = report["heads"].setdefault(name, {})
            if str(seed) in figures:
                continue
            torch.manual_seed(seed)
            head = HEADS[name]()
            started = time.process_time()
            train(head, parts["train"], seed)
            seconds = time.process_time() - started
            scores = evaluate(head, parts["val"], classes)
            figures[str(seed)] = {
                "parameters": sum(each.numel() for each in head.parameters()),
                "train_cpu_seconds": round(seconds),
                **{key: scores[key] for key in ("acc", "mAP")},
            }
            report["conditions"] = conditions(seed)
            write_report(report, arguments.output)
    Console().print(as_table(report["heads"]))
    return report


def stored_maps(arguments: argparse.Namespace) -> tuple[dict[str, Stored], tuple[str, ...]]:
    """Compute the maps, or read them."""
    arguments.seed = arguments.split_seed
    config = study_config(arguments)
    table = build_table(config.dataset, config.seed)
    if arguments.maps is not None and arguments.maps.exists():
        parts = torch.load(arguments.maps, weights_only=True)
        named = {
            split: Stored(maps, labels, {key: Regions(*pair) for key, pair in regions.items()})
            for split, (maps, labels, regions) in parts.items()
        }
        return named, table.classes
    model = build_model(config, table.classes)
    model.load_state_dict(torch.load(arguments.weights, weights_only=True))
    model.eval()
    inputs = model.data_config
    augmented = training_transform(
        IMAGE_SIZE,
        **config.augmentation.model_dump(),
        mean=inputs["mean"],
        std=inputs["std"],
        interpolation=inputs["interpolation"],
    )
    parts = {
        "train": store(model, table.splits["train"], augmented, VIEWS, config, arguments.cache),
        "val": store(
            model, table.splits["val"], evaluation_transform(inputs), 1, config, arguments.cache
        ),
    }
    if arguments.maps is not None:
        plain = {
            split: (
                part.maps,
                part.labels,
                {key: tuple(each) for key, each in part.regions.items()},
            )
            for split, part in parts.items()
        }
        torch.save(plain, arguments.maps)
    return parts, table.classes


@torch.inference_mode()
def store(
    model: AGNet,
    samples: Sequence[Sample],
    transform: ImageTransform,
    views: int,
    config: TrainConfig,
    cache: Path | None,
) -> Stored:
    """Compute maps and regions of some views of each sample."""
    folder = cache or Path(str(config.dataset.root)) / ".agnet_cache"
    paths = [sample.path for sample in samples]
    caches = {
        name: RegionCache.build(paths, proposer, folder)
        for name, proposer in SOURCES.items()
        if proposer.needs_keypoints
    }
    maps, labels = [], []
    boxes: dict[str, list[Tensor]] = {name: [] for name in SOURCES}
    masks: dict[str, list[Tensor]] = {name: [] for name in SOURCES}
    for number, sample in enumerate(samples):
        image = read_image(sample.path)
        done = [transform(image, seed=number * views + view) for view in range(views)]
        pixels = torch.stack([each for each, _ in done])
        maps.append(model.forward_features(pixels).half())
        labels += [sample.label] * views
        for name, proposer in SOURCES.items():
            points = caches[name][sample.path] if name in caches else empty()
            moved = [
                Keypoints(move_points(points.xy, matrix), points.response, points.group)
                for _, matrix in done
            ]
            seeds = [number * views + view for view in range(views)]
            drawn = proposer.draw_boxes(moved, (IMAGE_SIZE, IMAGE_SIZE), seeds=seeds)
            boxes[name].append(torch.from_numpy(drawn[0]))
            masks[name].append(torch.from_numpy(drawn[1]))
    regions = {name: Regions(torch.cat(boxes[name]), torch.cat(masks[name])) for name in SOURCES}
    return Stored(torch.cat(maps), torch.tensor(labels), regions)


def train(head: nn.Module, data: Stored, seed: int) -> None:
    """Train a head with the library's rates, decay and smoothing."""
    decayed = [each for each in head.parameters() if each.squeeze().ndim > 1]
    others = [each for each in head.parameters() if each.squeeze().ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": 0.05},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    steps = len(data.labels) // BATCH
    course = schedule_factor(
        "cosine", steps_per_epoch=steps, epochs=1, warmup_epochs=0.1, final_fraction=0.01
    )
    scheduler = LambdaLR(optimizer, course)
    generator = torch.Generator().manual_seed(seed)
    head.train()
    order = torch.randperm(len(data.labels), generator=generator)[: steps * BATCH]
    for rows in order.split(BATCH):
        optimizer.zero_grad()
        maps, labels, regions = batch(data, rows)
        if isinstance(head, Head):
            loss = head.loss(maps, labels, regions)
        else:
            loss = smooth_loss(head(maps, regions), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        scheduler.step()


@torch.inference_mode()
def evaluate(head: nn.Module, data: Stored, classes: Sequence[str]) -> dict[str, Any]:
    """Score a head."""
    head.eval()
    logits = [head(*batch(data, rows)[::2]) for rows in torch.arange(len(data.labels)).split(BATCH)]
    probability = torch.cat(logits).softmax(dim=1)
    return score(Predictions(torch.arange(len(data.labels)), data.labels, probability), classes)


def batch(data: Stored, rows: Tensor) -> tuple[Tensor, Tensor, dict[str, Regions]]:
    """Return maps, labels and regions of some rows."""
    regions = {
        name: Regions(each.boxes[rows], each.mask[rows]) for name, each in data.regions.items()
    }
    return data.maps[rows].float(), data.labels[rows], regions


def empty() -> Keypoints:
    """Return no keypoints; the controls look at none."""
    return Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def as_table(results: dict[str, Any]) -> Table:
    """Show means and deviations over the seeds."""
    table = Table("head", "parameters", "seeds", "mAP %", "acc %", "CPU s", title="held-out images")
    for name, seeds in results.items():
        runs = list(seeds.values())
        figures = []
        for key in ("mAP", "acc"):
            values = np.array([each[key] for each in runs]) * 100
            spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
            figures.append(f"{values.mean():.1f}{spread}")
        seconds = np.median([each["train_cpu_seconds"] for each in runs])
        table.add_row(
            name, f"{runs[0]['parameters']:,}", str(len(runs)), *figures, f"{seconds:.0f}"
        )
    return table
