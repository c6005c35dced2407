"""From options to dataset, network, loaders, Lightning module and trainer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.data.guide import Guide
from agnet_vision.data.preprocessing import data_config, evaluation_transform
from agnet_vision.data.sources.samples import SampleTable, read_samples
from agnet_vision.data.transforms import training_transform
from agnet_vision.data.views import TTA, TestTimeViews
from agnet_vision.errors import ConfigError, DatasetError
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.training.callbacks import (
    AveragedWeights,
    BestCheckpoint,
    EarlyStop,
    FreezeBackbone,
    LastCheckpoint,
    RandomState,
)
from agnet_vision.training.checkpoint_io import AtomicCheckpointIO
from agnet_vision.training.config import EvaluateConfig, TrainConfig
from agnet_vision.training.dataset_config import Dataset
from agnet_vision.training.meter import Meter
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.pretrained import check_network_options, load_backbone
from agnet_vision.training.progress import progress_callbacks
from agnet_vision.training.stop import StopRequest


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
    """Read a dataset's lists.

    The held-out images are drawn with ``seed``.
    """
    options = dataset.model_dump()
    with options_checked():
        return read_samples(options.pop("name"), options.pop("root"), seed=seed, **options)


def build_model(config: TrainConfig, classes: tuple[str, ...]) -> AGNet:
    """Make the network and the input it expects.

    The backbone gets its weights where they are asked for.
    """
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
            head_kwargs=config.model.head,
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
    """Make the loaders.

    A network of ``backbone_only`` gets no regions, so none are computed.
    """
    input_config, augmentation = model.data_config, config.augmentation
    transform = partial(
        training_transform,
        config.image_size,
        mean=input_config["mean"],
        std=input_config["std"],
        interpolation=input_config["interpolation"],
        **augmentation.model_dump(),
    )
    guide = None
    if config.guide.crop > 0:
        guide = Guide(model.proposer, config.guide.crop, transform(cropped=True))
    return AGNetDataModule(
        table,
        transform(),
        evaluation_transform(input_config),
        model.proposer if model.head.needs_regions else None,
        guide=guide,
        views=build_views(model, config.tta),
        cache_folder=Path(config.cache_dir) if config.cache_dir else None,
        batch_size=config.batch_size,
        workers=config.workers,
        sampler=config.sampler,
        seed=config.seed,
    )


def build_views(model: AGNet, tta: TTA) -> TestTimeViews | None:
    """Make what makes the views of test images.

    None means one view of each image, that of evaluation.
    """
    if tta == "none":
        return None
    with options_checked():
        return TestTimeViews(model.data_config, tta, model.proposer)


def build_module(config: TrainConfig, model: AGNet, class_counts: list[int]) -> AGNetModule:
    """Make the Lightning module."""
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


def build_trainer(
    config: TrainConfig | EvaluateConfig,
    run_dir: Path,
    callbacks: Sequence[Callback],
    loggers: list[Logger],
) -> pl.Trainer:
    """Make Lightning's trainer.

    An evaluation needs less of it.
    """
    options: dict[str, Any] = config.trainer.model_dump(exclude={"progress_bar"})
    frozen = False
    if isinstance(config, TrainConfig):
        frozen = config.freeze_backbone_epochs > 0
        options |= {
            "max_epochs": config.epochs,
            "accumulate_grad_batches": config.accumulate_batches,
            "gradient_clip_val": config.gradient_clip,
        }

    def make(**options: Any) -> pl.Trainer:
        """Make the trainer with these options of Lightning's."""
        return pl.Trainer(
            **options,
            default_root_dir=run_dir,
            callbacks=list(callbacks),
            logger=loggers,
            plugins=[AtomicCheckpointIO()],
            enable_progress_bar=any(
                isinstance(each, pl.callbacks.ProgressBar) for each in callbacks
            ),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            # EpochSampler shares the samples out itself, without counting any twice.
            use_distributed_sampler=False,
        )

    with options_checked():
        trainer = make(**options)
        if frozen and isinstance(trainer.strategy, DDPStrategy):
            # DDP waits for a gradient of every parameter unless it is told that some may have none.
            trainer = make(**{**options, "strategy": "ddp_find_unused_parameters_true"})
    return trainer


def build_callbacks(
    config: TrainConfig, run_dir: Path, request: StopRequest, *, has_validation: bool
) -> list[Callback]:
    """Choose the callbacks that the options ask for.

    Checkpoints come last.
    """
    monitor, mode = f"val/{config.monitor}", "min" if config.monitor == "loss" else "max"
    callbacks: list[Callback] = [RandomState(config.seed), LearningRateMonitor("step"), Meter()]
    if config.trainer.progress_bar:
        callbacks += progress_callbacks(config.batch_size)
    if config.freeze_backbone_epochs:
        callbacks.append(FreezeBackbone(config.freeze_backbone_epochs))
    if config.ema_decay is not None:
        callbacks.append(AveragedWeights(config.ema_decay))
    if config.early_stopping_patience is not None:
        if not has_validation:
            raise ConfigError(
                "early_stopping_patience needs a validation split; raise dataset.val_fraction"
            )
        callbacks.append(EarlyStop(monitor, mode=mode, patience=config.early_stopping_patience))
    best = BestCheckpoint(
        run_dir,
        "best",
        monitor=monitor if has_validation else None,
        mode=mode,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    return [*callbacks, best, LastCheckpoint(run_dir, request)]


def require_samples(table: SampleTable, split: str) -> None:
    """Refuse empty splits and datasets with nothing to tell apart."""
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
