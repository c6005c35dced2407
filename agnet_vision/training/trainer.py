"""From options to Lightning's trainer and the run's callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from agnet_vision.errors import ConfigError
from agnet_vision.options.run import EvaluateConfig, TrainConfig
from agnet_vision.training.build import options_checked
from agnet_vision.training.callbacks import (
    AveragedWeights,
    BestCheckpoint,
    EarlyStop,
    FreezeBackbone,
    LastCheckpoint,
    RandomState,
)
from agnet_vision.training.checkpoint_io import AtomicCheckpointIO
from agnet_vision.training.meter import Meter
from agnet_vision.training.progress import progress_callbacks
from agnet_vision.training.stop import StopRequest


def build_trainer(
    config: TrainConfig | EvaluateConfig,
    run_dir: Path,
    callbacks: Sequence[Callback],
    loggers: list[Logger],
) -> pl.Trainer:
    """Make Lightning's trainer, a lesser one to evaluate.

    Args:
        config: of a training or an evaluation.
        run_dir: where Lightning writes.
        callbacks: see ``build_callbacks``.
        loggers: see ``build_loggers``.

    Raises:
        ConfigError: this machine does not have what is asked for.
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
    """Choose the options' callbacks, checkpoints last.

    Args:
        config: all options.
        run_dir: where checkpoints go.
        request: the signal that may end the run.
        has_validation: whether there are scores to choose the best epoch by.

    Raises:
        ConfigError: early stopping without a validation split.
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
