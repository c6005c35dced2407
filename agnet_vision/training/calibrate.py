"""A run's best weights, corrected on its validation images."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch

from agnet_vision.data.datamodule import AGNetDataModule
from agnet_vision.evaluation.calibration import Calibration, apply_calibration, fit_calibration
from agnet_vision.models.checkpoint import describe, read_checkpoint
from agnet_vision.options.run import Correction
from agnet_vision.training.checkpoint_io import AtomicCheckpointIO
from agnet_vision.training.module import AGNetModule


def calibrate_best(
    run_dir: Path,
    trainer: pl.Trainer,
    module: AGNetModule,
    data: AGNetDataModule,
    correction: Correction,
) -> Calibration:
    """Fit corrections to validation images, and write ``best.ckpt`` with them.

    All processes call it together.

    Args:
        run_dir: of the run, with ``best.ckpt``.
        trainer: that trained it.
        module: gets the best weights, corrected.
        data: of the run; it must have validation images.
        correction: ``temperature``, or also logit adjustment for ``rare_classes``.

    Returns:
        What was fitted, now or before the run was cut off.
    """
    path = run_dir / "best.ckpt"
    best = read_checkpoint(path)
    if before := best["agnet"]["model"].get("calibration"):
        return Calibration(**before)
    module.load_state_dict(best["state_dict"])
    collect_validation(trainer, module, data)

    predictions = module.store.predictions()
    module.store.reset()
    logits = predictions.probability.double().clamp_min(1e-12).log().cpu().numpy()
    counts = data.class_counts() if correction == "rare_classes" else None
    fitted = fit_calibration(logits, predictions.label.cpu().numpy(), counts)

    apply_calibration(module.model, fitted, counts)
    best["state_dict"], best["agnet"] = module.state_dict(), describe(module.model)
    trainer.strategy.barrier()  # nobody reads the file any more
    if trainer.is_global_zero:
        AtomicCheckpointIO().save_checkpoint(best, path)
    trainer.strategy.barrier()
    return fitted


@torch.no_grad()
def collect_validation(trainer: pl.Trainer, module: AGNetModule, data: AGNetDataModule) -> None:
    """Put predictions of validation images into the module's store."""
    device = trainer.strategy.root_device
    module.to(device).eval()
    module.store.reset()
    for batch in data.val_dataloader():
        batch = data.on_before_batch_transfer(batch, 0)
        module.validation_step({name: value.to(device) for name, value in batch.items()}, 0)
