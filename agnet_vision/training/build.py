"""From options to dataset, network, loaders and Lightning module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.preprocessing import data_config, evaluation_transform
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.data.transforms import training_transform
from agnet_vision.data.views import TTA, TestTimeViews
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.dataset import Dataset
from agnet_vision.options.run import TrainConfig
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.pretrained import check_network_options, load_backbone


@contextmanager
def options_checked() -> Iterator[None]:
    """Turn an option's wrong value into a user's error."""
    try:
        yield
    except (ValueError, TypeError, MisconfigurationException) as error:
        message = " ".join(str(error).split())
        if "accelerator" in message or "backend found" in message:
            message += " Choose trainer=auto, which takes what this machine has, or trainer=cpu"
        raise ConfigError(message) from error


def build_table(dataset: Dataset, seed: int) -> SampleTable:
    """Read a dataset's lists, holding images out by ``seed``.

    Args:
        dataset: its options.
        seed: of what is held out.

    Raises:
        AGNetError: an option is wrong, or the dataset cannot be used.
    """
    options = dataset.model_dump()
    with options_checked():
        return read_samples(options.pop("name"), options.pop("root"), seed=seed, **options)


def build_model(config: TrainConfig, classes: tuple[str, ...]) -> AGNet:
    """Make the network, with weights if asked for."""
    backbone = config.backbone
    checkpoint = None if config.resume else backbone.checkpoint  # it has its own weights
    options = dict(backbone.kwargs)
    if backbone.output_stride is not None:
        options["output_stride"] = backbone.output_stride
    check_network_options(str(backbone.name), options)
    # Initial weights come from the global generator; the run's own state comes after it, in
    # RandomState.
    torch.manual_seed(int(np.random.SeedSequence(config.seed).generate_state(1)[0]))
    with options_checked():
        proposer = RegionProposer(**dict(config.regions))
        model = AGNet(
            str(backbone.name),
            len(classes),
            num_clusters=proposer.num_clusters,
            variant=config.model.variant,
            pretrained=backbone.pretrained and not config.resume and checkpoint is None,
            taps=backbone.taps,
            backbone_kwargs=options,
            head_kwargs=config.model.head.model_dump(exclude_none=True),
            classes=classes,
            proposer=proposer,
            image_size=config.image_size,
        )
        augmentation = config.augmentation
        model.data_config.update(
            data_config(augmentation.preset, config.image_size, augmentation.crop_fraction)
        )
    side = -(-config.image_size // model.backbone.stride)
    if side < model.head.pool_size and model.head.needs_regions:
        raise ConfigError(
            f"image_size={config.image_size} gives a map of {side} x {side} cells, the head pools "
            "regions to "
            f"{model.head.pool_size} x {model.head.pool_size}; use a larger image_size, "
            "backbone.output_stride=16, or "
            f"model.head.pool_size={side}"
        )
    if checkpoint is not None:
        load_backbone(model.backbone.model, checkpoint)
    with options_checked():
        model.backbone.freeze_stages(backbone.freeze_at)
    return model


def build_data(config: TrainConfig, table: SampleTable, model: AGNet) -> AGNetDataModule:
    """Make the loaders, without regions for a network without them."""
    input_config, augmentation = model.data_config, config.augmentation
    transform = training_transform(
        config.image_size,
        mean=input_config["mean"],
        std=input_config["std"],
        interpolation=input_config["interpolation"],
        **augmentation.model_dump(),
    )
    return AGNetDataModule(
        table,
        transform,
        evaluation_transform(input_config),
        model.proposer if model.head.needs_regions else None,
        views=build_views(model, config.tta),
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        sampler=config.sampler,
        seed=config.seed,
    )


def build_views(model: AGNet, tta: TTA) -> TestTimeViews | None:
    """Make the views of test images, None for one each."""
    if tta == "none":
        return None
    return TestTimeViews(model.data_config, tta)


def build_module(config: TrainConfig, model: AGNet, class_counts: list[int]) -> AGNetModule:
    """Make the Lightning module.

    Args:
        config: its loss, optimizer and schedule count.
        model: knows its classes.
        class_counts: training images of each class, in class order.
    """
    weights = None
    if config.loss.class_weights == "balanced":
        weights = [
            sum(class_counts) / (len(class_counts) * max(count, 1)) for count in class_counts
        ]
    return AGNetModule(
        model,
        optimizer=config.optimizer.model_dump(),
        schedule=config.schedule.model_dump(),
        label_smoothing=config.loss.label_smoothing,
        class_weights=weights,
        compile_model=config.compile,
    )


def require_samples(table: SampleTable, split: str) -> None:
    """Refuse empty splits and datasets with nothing to tell apart.

    Args:
        table: of the dataset.
        split: the one that is needed.

    Raises:
        DatasetError: it is empty, or there are fewer than two classes.
    """
    if not table.splits[split]:
        raise DatasetError(
            f"dataset={table.name} has no images in its {split} split ({table.root})"
        )
    if len(table.classes) < 2:
        raise DatasetError(
            f"dataset={table.name} must have at least two classes, got {', '.join(table.classes)} "
            f"alone ({table.root}); "
            "a class is a folder of images"
        )
