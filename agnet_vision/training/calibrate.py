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
    """Fit corrections to the validation images, and write them into ``best.ckpt``.

    All processes call it together. Weights that were corrected before the run was cut off stay.

    Args:
        run_dir: folder of the run, with ``best.ckpt``.
        trainer: the one that trained it.
        module: gets the best weights, corrected.
        data: images of the run, of which some must be for validation.
        correction: ``temperature``, or ``rare_classes`` for logit adjustment as well.
    """
    path = run_dir / "best.ckpt"
    best = read_checkpoint(path)
    if before := best["agnet"]["model"].get("calibration"):
        return Calibration(**before)

    module.load_state_dict(best["state_dict"])
    module.to(trainer.strategy.root_device).eval()
    module.store.reset()
    with torch.no_grad():
        for batch in data.val_dataloader():
            batch = data.on_before_batch_transfer(batch, 0)
            module.validation_step(data.transfer_batch_to_device(batch, module.device, 0), 0)
    predictions = module.store.predictions()
    module.store.reset()

    logits = predictions.probability.double().clamp_min(1e-12).log().numpy()
    counts = data.class_counts() if correction == "rare_classes" else ()
    fitted = fit_calibration(logits, predictions.label.numpy(), counts)
    apply_calibration(module.model, fitted, counts)

    best["state_dict"] = module.state_dict()
    best["agnet"] = describe(module.model.config())
    trainer.strategy.barrier()  # nobody reads the file any more
    if trainer.is_global_zero:
        AtomicCheckpointIO().save_checkpoint(best, path)
    trainer.strategy.barrier()
    return fitted
