"""Ideas of guided training, screened on held-out training images.

One of them, ``crop``, is an option of the library.

python tools/benchmark.py ideas --root STANFORD40 --weights mobilenetv2.pth --output FILE.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, default_collate

from agnet_vision.data.cache.store import RegionCache
from agnet_vision.data.image import read_image
from agnet_vision.data.preprocessing import Matrix
from agnet_vision.data.sampler import Draw, EpochSampler
from agnet_vision.data.sources.listing import Sample
from agnet_vision.data.transforms import training_transform
from agnet_vision.data.views import TestTimeViews
from agnet_vision.evaluation.metrics import PredictionStore, score
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import TrainConfig
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints
from agnet_vision.training.build import build_model, build_table
from agnet_vision.training.optim import build_optimizer, schedule_factor
from benchmarks.conditions import conditions, write_report
from benchmarks.guidance import IDEAS, IMAGE_SIZE, Idea, Source


class TrainingViews(Dataset):
    """The views that an idea makes of the samples."""

    def __init__(self, idea: Idea, seed: int) -> None:
        self.idea = idea
        self.seed = seed

    def __getitems__(self, draws: Sequence[Draw]) -> list[tuple[Tensor, int, int, Matrix]]:
        """Load pixels, label, sample and matrix of each view."""
        items = []
        for draw in draws:
            rng = np.random.default_rng([self.seed, draw.epoch, draw.sample])
            label = self.idea.source.samples[draw.sample].label
            views = self.idea(draw.sample, rng)
            items += [(pixels, label, draw.sample, matrix) for pixels, matrix in views]
        return items


class TestViews(Dataset):
    """The two views of ``tta="whole"`` of the samples."""

    def __init__(self, samples: Sequence[Sample], views: TestTimeViews) -> None:
        self.samples = samples
        self.views = views

    def __getitems__(self, numbers: Sequence[int]) -> list[tuple[Tensor, int, int]]:
        """Load a batch: pixels, label and sample of each view."""
        items = []
        for number in numbers:
            sample = self.samples[number]
            points = Keypoints(np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0))
            for pixels, _ in self.views(read_image(sample.path), points):
                items.append((pixels, sample.label, number))
        return items

    def __len__(self) -> int:
        return len(self.samples)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("ideas", nargs="*", default=list(IDEAS), help=", ".join(IDEAS))
    parser.add_argument("--root", required=True, help="of Stanford-40")
    parser.add_argument("--weights", required=True, help="of MobileNetV2 from ImageNet")
    parser.add_argument("--cache", type=Path, default=None, help="folder of the stored keypoints")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "--per-class", type=int, default=None, help="training images; all by default"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for the trained weights")
    parser.add_argument("--output", type=Path, default=None, help="figures so far, and the new")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train the backbone with each idea, and score it."""
    report: dict[str, Any] = {"ideas": {}}
    if arguments.output is not None and arguments.output.exists():
        report = json.loads(arguments.output.read_text())
    for name in arguments.ideas:
        key = f"{name}, seed {arguments.seed}"
        if arguments.per_class is not None:
            key += f", {arguments.per_class} images a class, {arguments.epochs} epochs"
        if key in report["ideas"]:
            continue
        model, result = screen(name, arguments)
        report["ideas"][key] = result
        report["conditions"] = conditions(arguments.seed)
        write_report(report, arguments.output)
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            torch.save(model.state_dict(), arguments.keep / f"{key}.pt")
    Console().print(as_table(report["ideas"]))
    return report


def study_config(arguments: argparse.Namespace) -> TrainConfig:
    """Return the study's options; a quarter is held out."""
    return TrainConfig.model_validate(
        {
            "dataset": {"name": "stanford40", "root": arguments.root, "val_fraction": 0.25},
            "backbone": {
                "name": "mobilenetv2_100",
                "checkpoint": arguments.weights,
                "kwargs": {"pad_type": "same"},
                "freeze_at": 3,
            },
            "model": {"variant": "backbone_only"},
            "image_size": IMAGE_SIZE,
            "epochs": arguments.epochs,
            "schedule": {"warmup_epochs": 1.0},
            "seed": arguments.seed,
        }
    )


def make_source(
    config: TrainConfig, model: AGNet, samples: Sequence[Sample], cache: Path | None
) -> Source:
    """Read the keypoints of the samples, and make the transforms."""
    inputs = model.data_config
    options = {
        **config.augmentation.model_dump(),
        "mean": inputs["mean"],
        "std": inputs["std"],
        "interpolation": inputs["interpolation"],
    }
    folder = cache or Path(str(config.dataset.root)) / ".agnet_cache"
    keypoints = RegionCache.build([sample.path for sample in samples], model.proposer, folder)
    return Source(
        samples,
        keypoints,
        training_transform(IMAGE_SIZE, **options),
        training_transform(IMAGE_SIZE, **options, cropped=True),
        model.proposer,
        RegionProposer(source="random", num_clusters=model.proposer.num_clusters),
    )


def screen(name: str, arguments: argparse.Namespace) -> tuple[AGNet, dict[str, Any]]:
    """Train with one idea and score it."""
    config = study_config(arguments)
    table = build_table(config.dataset, config.seed)
    model = build_model(config, table.classes)
    samples = first_of_class(table.splits["train"], arguments.per_class)
    idea = IDEAS[name](make_source(config, model, samples, arguments.cache))
    started = time.process_time()
    train(model, idea, config)
    seconds = time.process_time() - started
    scores = {
        views: {key: result[key] for key in ("acc", "mAP")}
        for views, result in evaluate(model, table.splits["val"], table.classes).items()
    }
    return model, {"train_images": len(samples), "train_cpu_seconds": round(seconds), **scores}


def train(model: AGNet, idea: Idea, config: TrainConfig) -> None:
    """Train as the library does.

    Of added views an epoch takes half of the images.
    """
    labels = [sample.label for sample in idea.source.samples]
    sampler = EpochSampler(labels, "shuffle", seed=config.seed)
    loader = DataLoader(
        TrainingViews(idea, config.seed),
        batch_size=config.batch_size // idea.views,
        sampler=sampler,
        drop_last=True,
        collate_fn=lambda items: [
            *default_collate([item[:3] for item in items]),
            [item[3] for item in items],
        ],
    )
    steps = len(labels) // config.batch_size
    optimizer = build_optimizer(model, **config.optimizer.model_dump())
    course = schedule_factor(
        steps_per_epoch=steps, epochs=config.epochs, **config.schedule.model_dump()
    )
    scheduler = LambdaLR(optimizer, course)
    loss = nn.CrossEntropyLoss(label_smoothing=config.loss.label_smoothing)
    model.to(memory_format=torch.channels_last).train()

    for epoch in range(config.epochs):
        sampler.set_epoch(epoch)
        for _, (pixels, label, numbers, matrices) in zip(range(steps), loader, strict=False):
            feature_map = model.forward_features(
                pixels.contiguous(memory_format=torch.channels_last)
            )
            optimizer.zero_grad()
            loss(model.head(feature_map), label).backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip or torch.inf)
            optimizer.step()
            scheduler.step()
            with torch.inference_mode():
                weight: Any = model.head.classifier.linear.weight
                evidence = torch.einsum("bc,bchw->bhw", weight[label], feature_map.detach())
            idea.learn(numbers.tolist(), matrices, evidence)


@torch.inference_mode()
def evaluate(
    model: AGNet, samples: Sequence[Sample], classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Score one view, and two with the whole image."""
    model.eval()
    views = TestTimeViews(model.data_config, "whole", model.proposer)
    one, both = PredictionStore(), PredictionStore()
    for pixels, label, number in DataLoader(TestViews(samples, views), batch_size=32):
        logits = model(pixels.contiguous(memory_format=torch.channels_last))
        both.update(logits, label, number)
        one.update(logits[::2], label[::2], number[::2])
    return {
        "one view": score(one.predictions(), classes),
        "two views": score(both.predictions(), classes),
    }


def first_of_class(samples: Sequence[Sample], count: int | None) -> Sequence[Sample]:
    """Keep so many samples of each class, or all."""
    if count is None:
        return samples
    seen: Counter[int] = Counter()
    kept = []
    for sample in samples:
        seen[sample.label] += 1
        if seen[sample.label] <= count:
            kept.append(sample)
    return kept


def as_table(results: dict[str, Any]) -> Table:
    """Show the figures."""
    table = Table("idea", "mAP %, one view", "mAP %, two views", "CPU s", title="held-out images")
    for name, result in results.items():
        figures = (f"{result[views]['mAP'] * 100:.1f}" for views in ("one view", "two views"))
        table.add_row(name, *figures, str(result["train_cpu_seconds"]))
    return table
