"""Lightning's trainer for a run, without its remarks."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from agnet_vision.options.run import TrainerConfig
from agnet_vision.training.build import options_checked
from agnet_vision.training.checkpoints import AtomicCheckpointIO

REMARKS = (
    ".*Checkpoint directory .* exists and is not empty.*",  # it holds the options of the run
    ".*does not have many workers.*",  # the user's choice
    ".*in eval mode at the start of training.*",  # a frozen backbone, on purpose
    ".*isinstance\\(treespec, LeafSpec\\).*",  # inside Lightning, about torch's next release
    ".*is smaller than the logging interval.*",  # what matters is logged every epoch
    ".*Skipping val loop.*",  # no validation split, on purpose
)


def build_trainer(
    options: TrainerConfig,
    run_dir: Path,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger] = (),
    *,
    freezes: bool = False,
    **training: Any,
) -> pl.Trainer:
    """Create Lightning's trainer.

    Args:
        run_dir: folder that Lightning writes to.
        freezes: whether some parameters learn nothing in some epochs.
        **training: further options of ``pytorch_lightning.Trainer``: epochs, clipping.

    Raises:
        ConfigError: this machine does not have what is asked for.
    """
    with options_checked():
        trainer = pl.Trainer(
            **options.model_dump(exclude={"progress_bar"}),
            **training,
            default_root_dir=run_dir,
            callbacks=list(callbacks),
            logger=list(loggers),
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

    if freezes and isinstance(trainer.strategy, DDPStrategy):
        # DDP waits for a gradient of every parameter unless it is told that some may have none.
        trainer.strategy._ddp_kwargs["find_unused_parameters"] = True
    return trainer


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep remarks of Lightning's that help nobody off the terminal."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in REMARKS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)
