"""From options to a dataset's lists, the network and the loaders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from agnet_vision.choices import Look
from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.marks import MarkTable, read_marks
from agnet_vision.data.preprocessing import (
    EvaluationTransform,
    ImageTransform,
    change_view,
    data_config,
)
from agnet_vision.data.sampler import Order
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.data.transforms import training_transform
from agnet_vision.data.views import TestTimeViews
from agnet_vision.errors import CheckpointError, ConfigError, DatasetError
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.dataset import Dataset
from agnet_vision.options.run import EvaluateConfig, LossConfig, TrainConfig
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.task import SINGLE_LABEL, Task
from agnet_vision.training.pretrained import check_backbone_options, load_backbone, weights_fetched


@contextmanager
def options_checked() -> Iterator[None]:
    """Turn an option's wrong value into a user's error."""
    try:
        yield
    except (ValueError, TypeError, MisconfigurationException, ModuleNotFoundError) as error:
        message = " ".join(str(error).split())
        if "accelerator" in message or "backend found" in message:
            message += " Choose trainer=auto, which takes what this machine has, or trainer=cpu"
        raise ConfigError(message) from error


def build_table(dataset: Dataset, seed: int, known: tuple[str, ...] = ()) -> SampleTable:
    """Read a dataset's lists, and hold images out by ``seed`` where it has no split of its own.

    Args:
        dataset: options of the dataset.
        seed: seed of what is held out.
        known: classes of a network that is to be scored on other images than its run's; nothing is
            held out of these.

    Raises:
        AGNetError: an option is wrong, or the dataset cannot be used.
    """
    options = dataset.model_dump()
    with options_checked():
        return read_samples(
            options.pop("name"), options.pop("root"), seed=seed, known=known, **options
        )


def require_samples(table: SampleTable, split: str) -> None:
    """Refuse an empty split.

    Raises:
        DatasetError: names the split.
    """
    if not table.splits[split]:
        others = [name for name, samples in table.splits.items() if samples]
        cure = f"; it has {' and '.join(others)}" if others else ""
        raise DatasetError(
            f"dataset={table.name} has no images in its {split} split ({table.root}){cure}"
        )


def require_classes(
    table: SampleTable, known: tuple[str, ...], where: Path | str, task: Task = SINGLE_LABEL
) -> None:
    """Refuse a dataset whose classes or task are not those of the network from ``where``.

    Raises:
        CheckpointError: says how they differ.
    """
    if task.name != table.task.name:
        raise CheckpointError(
            f"{where} is a network of the task {task.name}, dataset={table.name} has labels of "
            f"the task {table.task.name}; take the dataset it was trained on, or start a training "
            "on this one"
        )
    if known != table.classes:
        pairs = zip_longest(known, table.classes)
        own, other = next(pair for pair in pairs if pair[0] != pair[1])
        raise CheckpointError(
            f"{where} has {len(known)} classes, dataset={table.name} has {len(table.classes)}, "
            f"{other!r} instead of {own!r}; take the dataset it was trained on, or start a "
            "training on this one"
        )


def build_model(
    config: TrainConfig,
    classes: tuple[str, ...],
    task: Task = SINGLE_LABEL,
    *,
    with_weights: bool = True,
) -> AGNet:
    """Create the network of a training.

    Args:
        config: all options, most of which say something of the network.
        task: what its logits mean.
        with_weights: whether to fetch or load the weights that the options ask for; a run that goes
            on has its own.

    Raises:
        AGNetError: an option is wrong, or the weights cannot be had.
    """
    backbone = config.backbone
    name = backbone.name
    checkpoint = backbone.checkpoint if with_weights else None
    pretrained = backbone.pretrained and with_weights and checkpoint is None
    options = dict(backbone.kwargs)
    if backbone.output_stride is not None:
        options["output_stride"] = backbone.output_stride
    check_backbone_options(name, options)

    # Initial weights come from the global generator; steps have seeds of their own, by
    # SeededSteps.
    torch.manual_seed(int(np.random.SeedSequence(config.seed).generate_state(1)[0]))
    with options_checked(), weights_fetched(name) if pretrained else nullcontext():
        proposer = RegionProposer(**dict(config.regions))
        model = AGNet(
            name,
            len(classes),
            num_clusters=proposer.num_clusters,
            variant=config.model.variant,
            pretrained=pretrained,
            taps=backbone.taps,
            backbone_kwargs=options,
            head_kwargs=config.model.head.model_dump(exclude_none=True),
            classes=classes,
            proposer=proposer,
            image_size=config.image_size,
            task=task,
        )
    if checkpoint is not None:
        load_backbone(model.backbone.model, checkpoint)

    inputs = config.augmentation
    with options_checked():
        model.data_config |= data_config(
            inputs.preset,
            config.image_size,
            view=inputs.view,
            crop_fraction=inputs.crop_fraction,
            test_scale=inputs.test_scale,
        )
        model.backbone.freeze_stages(backbone.freeze_at)

    side = -(-config.image_size // model.backbone.stride)
    pool_size = model.head.pool_size
    if side < pool_size and model.head.needs_regions:
        raise ConfigError(
            f"image_size={config.image_size} gives a map of {side} x {side} cells, the head pools "
            f"regions to {pool_size} x {pool_size}; use a larger image_size, "
            f"backbone.output_stride=16, or model.head.pool_size={side}"
        )
    return model


def build_marks(path: str, look: Look, table: SampleTable) -> MarkTable:
    """Read marks on the images of a dataset.

    Raises:
        DatasetError: they are damaged, or on no training image.
    """
    marks = read_marks(Path(path), table, look)
    samples = table.splits["train"]
    if not marks.count(samples):
        raise DatasetError(
            f"the marks in {path} are on none of the {len(samples):,} training images"
        )
    return marks


def build_data(
    table: SampleTable,
    model: AGNet,
    config: TrainConfig | EvaluateConfig,
) -> AGNetDataModule:
    """Create the loaders, without regions for a network without them.

    Args:
        model: the network, which knows its regions and the input of validation and test.
        config: all options; those of an evaluation change and shuffle no image.
    """
    inputs = model.data_config
    transform = EvaluationTransform(inputs)
    views = TestTimeViews(inputs, config.tta) if config.tta != "none" else None

    train_transform: ImageTransform = transform
    sampler: Order = "shuffle"
    if isinstance(config, TrainConfig):
        sampler = config.sampler
        train_transform = training_transform(
            change_view(inputs, image_size=config.image_size),
            **config.augmentation.model_dump(exclude={"view", "test_scale"}),
        )

    return AGNetDataModule(
        table,
        train_transform,
        transform,
        model.proposer if model.head.needs_regions else None,
        views=views,
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        sampler=sampler,
        seed=config.seed,
    )


def build_loss(options: LossConfig, table: SampleTable) -> nn.Module:
    """Make the loss that goes with the labels of a dataset."""
    weights = None
    if options.class_weights == "balanced":
        labels = [sample.label for sample in table.splits["train"]]
        weights = table.task.class_weights(labels, len(table.classes))
    return table.task.loss(
        name=options.name, label_smoothing=options.label_smoothing, class_weights=weights
    )
