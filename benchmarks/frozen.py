"""Average pooling against the paper's mix of max and average, on the maps of a frozen network.

python tools/benchmark.py frozen dataset=stanford40 dataset.root=... [options of agnet train]

The maps are computed once, without augmentation. Heads without regions are trained on them, each
with several seeds, and scored on the validation images after the last epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR

from agnet_vision.evaluation.metrics import Predictions, score
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import CLASSIFIERS, AGNetHead
from agnet_vision.training.build import build_data, build_model, build_table
from benchmarks.conditions import conditions, summarize, training_words, write_report

BATCH_SIZE = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("words", nargs="+", metavar="NAME=VALUE", help="options of agnet train")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print and write."""
    config = training_words(arguments.words, {"model": "backbone_only"})
    table = build_table(config.dataset, config.seed)
    model = build_model(config, table.classes).eval()
    data = build_data(table, model, config)
    train, held_out = (
        stored_maps(model, loader) for loader in (data.train_dataloader(), data.val_dataloader())
    )

    rows = {
        pooling: [
            fit(pooling, train, held_out, table.classes, seed, arguments)
            for seed in range(arguments.seeds)
        ]
        for pooling in CLASSIFIERS
    }
    shown = Table("pooling", *(f"seed {seed}" for seed in range(arguments.seeds)), title="mAP %")
    for pooling, values in rows.items():
        shown.add_row(pooling, *(f"{100 * value:.2f}" for value in values))
    Console().print(shown)
    report = {
        "mAP": {name: {"seeds": values, **summarize(values)} for name, values in rows.items()},
        "words": arguments.words,
        "images": {"train": len(train[1]), "val": len(held_out[1])},
        "map": list(train[0].shape[1:]),
        "conditions": conditions(config.seed),
    }
    write_report(report, arguments.output)
    return report


@torch.no_grad()
def stored_maps(model: AGNet, loader: Iterable[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Compute the maps and labels of all images of a loader."""
    batches = [(model.forward_features(each["image"]), each["label"]) for each in loader]
    maps, labels = zip(*batches, strict=True)
    return torch.cat(maps), torch.cat(labels)


def fit(
    pooling: str,
    train: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    classes: tuple[str, ...],
    seed: int,
    arguments: argparse.Namespace,
) -> float:
    """Train a head on stored maps, and return its mAP."""
    torch.manual_seed(seed)
    maps, labels = train
    head = AGNetHead(maps.shape[1], len(classes), variant="backbone_only", pooling=pooling)
    optimizer = torch.optim.AdamW(head.parameters(), lr=arguments.lr, weight_decay=0.05)
    batch = min(BATCH_SIZE, len(labels))
    batches = len(labels) // batch
    schedule = CosineAnnealingLR(optimizer, arguments.epochs * batches)

    for _ in range(arguments.epochs):
        for chosen in torch.randperm(len(labels))[: batch * batches].split(batch):
            logits = head(maps[chosen])
            cross_entropy(logits, labels[chosen], label_smoothing=0.1).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()

    with torch.no_grad():
        probability = head.eval()(held_out[0]).softmax(dim=1)
    return float(
        score(Predictions(torch.arange(len(probability)), held_out[1], probability), classes)["mAP"]
    )
