"""``train``, from its options to the folder of a tested run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, Timer

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.calibration import Calibration, apply_calibration, fit_calibration
from agnet_vision.evaluation.charts import learning_curves, save_png
from agnet_vision.evaluation.environment import environment, this_command
from agnet_vision.evaluation.label_scores import fit_thresholds
from agnet_vision.evaluation.metrics import Predictions
from agnet_vision.evaluation.report import write_report
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.evaluation.training_views import draw_views, first_views
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import describe, read_checkpoint
from agnet_vision.options.resolve import stored_text
from agnet_vision.options.run import TrainConfig
from agnet_vision.task import MultiLabel
from agnet_vision.training import Run
from agnet_vision.training.build import (
    build_data,
    build_loss,
    build_marks,
    build_model,
    build_table,
    require_classes,
    require_samples,
)
from agnet_vision.training.callbacks import (
    AveragedWeights,
    EarlyStop,
    FreezeBackbone,
    SeededSteps,
    WarnAtChance,
)
from agnet_vision.training.checkpoints import (
    AtomicCheckpointIO,
    RunCheckpoints,
    StopRequest,
    stoppable,
)
from agnet_vision.training.console import console, print_place, print_start, progress_callback
from agnet_vision.training.evaluate import TestedNetwork
from agnet_vision.training.loggers import build_loggers
from agnet_vision.training.module import TrainingModule
from agnet_vision.training.resume import check_resumable
from agnet_vision.training.run_dir import locked_run_dir
from agnet_vision.training.trainer import build_trainer, quiet_lightning

LEAST_TO_JUDGE = 50  # validation images; fewer do not tell a network from guessing


def train(config: TrainConfig, callbacks: Sequence[Callback] = ()) -> Run:
    """Train, test and write the run folder.

    Args:
        config: all options; with ``resume``, those of the run that goes on.
        callbacks: callbacks of Lightning's, called before the run's own.

    Raises:
        AGNetError: an option, the dataset, or a file is not right.
        Stopped: after Ctrl-C or another signal, a KeyboardInterrupt; ``last.ckpt`` is saved.
    """
    with (
        quiet_lightning(),
        locked_run_dir(Path(config.run_dir), is_new=config.run_dir_is_new) as run_dir,
        stoppable(run_dir) as request,
    ):
        config = config.model_copy(update={"run_dir": str(run_dir)})
        training = Training(config, RunFolder(run_dir), request, callbacks)
        training.begin()
        training.fit()
        training.calibrate()
        training.fit_thresholds()
        training.test()
        training.finish()
    return Run(run_dir, training.folder.best, training.scores)


class Training(TestedNetwork):
    """One training: built, begun, fitted, calibrated, tested and finished, in this order.

    Nothing is written before ``begin``.

    Raises:
        AGNetError: an option, the dataset, or a run that is to go on is not right.
    """

    module: TrainingModule

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        request: StopRequest,
        callbacks: Sequence[Callback],
    ) -> None:
        self.began = time.time()
        self.config = config
        self.folder = folder
        self.timer = Timer()
        classes = check_resumable(config, folder) if config.resume else None
        if not config.resume and (folder.last.exists() or folder.metrics.exists()):
            advice = "add resume=true to go on with it, or " if folder.last.exists() else ""
            raise ConfigError(
                f"run_dir={folder.path} holds a run already; {advice}name another folder"
            )

        self.table = build_table(config.dataset, config.seed)
        require_samples(self.table, "train")
        task = self.table.task
        task.check(
            sampler=config.sampler,
            calibration=config.calibration,
            monitor=config.monitor,
            loss=config.loss.name,
        )
        self.monitor = config.monitor or task.headline[0]
        model = build_model(config, self.table.classes, task, with_weights=not config.resume)
        if classes is not None:
            require_classes(self.table, classes, f"the run in {folder.path}", task)
            self.table = self.table.read_splits(folder.splits)
        self.record = self._first_record(model)

        self.data = build_data(self.table, model, config)
        if config.guide.marks is not None:
            task.require_single("guide.marks")
            self.data.marks = build_marks(config.guide.marks, config.guide.look, self.table)
        if not config.test:
            self.data.splits = ("train", "val")
        self.module = TrainingModule(
            model,
            config.optimizer,
            config.schedule,
            loss=build_loss(config.loss, self.table),
            evidence_weight=config.guide.weight,
            compile_model=config.compile,
        )
        self.trainer = build_trainer(
            config.trainer,
            folder.path,
            [*callbacks, *self._callbacks(request)],
            build_loggers(config.logger, folder.path),
            freezes=config.freeze_backbone_epochs > 0,
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate_batches,
            gradient_clip_val=config.gradient_clip,
        )

    def begin(self) -> None:
        """Say what is trained, and write what is known before the first step."""
        if not self.trainer.is_global_zero:
            return
        print_start(self.config, self.table, self.module.model, self.trainer)
        if self.data.marks is not None:
            samples = self.table.splits["train"]
            marked = self.data.marks.count(samples)
            console().print(f"marks   on {marked:,} of {len(samples):,} training images")
        self.folder.write_config(stored_text(self.config.model_copy(update={"resume": False})))
        self.table.write_splits(self.folder.splits)
        # Before other processes start and wait: a large set takes longer than they would.
        self.data.prepare_data()
        if not self.config.resume:
            save_png(draw_views(first_views(self.data)), self.folder.views, paper="none")

    def fit(self) -> None:
        """Train to the last epoch, and record the training however it ends."""
        last = self.folder.last if self.config.resume else None
        try:
            self.trainer.fit(self.module, datamodule=self.data, ckpt_path=last, weights_only=True)
        except BaseException:
            with suppress(OSError):  # the disk may be full, and the first error is to be told
                self._write_record()
            raise
        self._write_record()
        if self.trainer.is_global_zero:
            save_png(learning_curves(self.folder.read_history()), self.folder.curves)

    def calibrate(self) -> None:
        """Correct the best weights on the validation images, if asked to.

        All processes come here together. Weights that were corrected before the run was cut off
        stay.
        """
        if self.config.calibration == "none" or not self.table.splits["val"]:
            return
        best = read_checkpoint(self.folder.best)
        if before := best["agnet"]["model"].get("calibration"):
            self.record["calibration"] = before
            return

        predictions = self._validated(best)
        logits = predictions.probability.double().clamp_min(1e-38).log().numpy()
        rare_classes = self.config.calibration == "rare_classes"
        counts = self.data.class_counts() if rare_classes else ()
        fitted = fit_calibration(logits, predictions.label.numpy(), counts)
        self.record["calibration"] = fitted._asdict()
        if fitted == Calibration():
            return
        apply_calibration(self.module.model, fitted, counts)
        self._save_best(best)

    def fit_thresholds(self) -> None:
        """Fit the thresholds of labels on the validation images, and store them in the network."""
        model = self.module.model
        if model.task.is_exclusive or not self.table.splits["val"]:
            return
        best = read_checkpoint(self.folder.best)
        _, label, probability = self._validated(best)
        thresholds = fit_thresholds(label.numpy(), probability.numpy(), self.table.classes)
        model.task = self.module.store.task = MultiLabel(thresholds)
        self._save_best(best)

    def _validated(self, best: dict[str, Any]) -> Predictions:
        """Predict the validation images with the best weights, on all processes."""
        self.module.load_state_dict(best["state_dict"])
        self.module.to(self.trainer.strategy.root_device).eval()
        with torch.no_grad():
            for batch in self.data.val_dataloader():
                batch = self.data.on_before_batch_transfer(batch, 0)
                batch = self.data.transfer_batch_to_device(batch, self.module.device, 0)
                self.module.validation_step(batch, 0)
        predictions = self.module.store.predictions()
        self.module.store.reset()
        return predictions

    def _save_best(self, best: dict[str, Any]) -> None:
        """Write the network as it is now into the best checkpoint."""
        best["state_dict"] = self.module.state_dict()
        best["agnet"] = describe(self.module.model.config())
        self.trainer.strategy.barrier()  # nobody reads the file any more
        if self.trainer.is_global_zero:
            AtomicCheckpointIO().save_checkpoint(best, self.folder.best)
        self.trainer.strategy.barrier()

    def test(self) -> None:
        """Test the best weights, if asked to and if there are images for it."""
        if not self.config.test or not self.table.splits["test"]:
            return
        best = read_checkpoint(self.folder.best)
        self.module.load_state_dict(best["state_dict"])
        self.record |= {"best_epoch": best["epoch"] + 1, "tta": self.config.tta}
        super().test()

    def finish(self) -> None:
        """Write the report, and say where everything lies."""
        if not self.trainer.is_global_zero:
            return
        if self.scores is None:
            why = "the dataset has no test split" if self.config.test else "test=false"
            console().print(f"not tested: {why}")
        elif self.config.report:
            write_report(self.folder.path)
        print_place(self.folder)

    def _callbacks(self, request: StopRequest) -> list[Callback]:
        """Create the callbacks that the options ask for, checkpoints last."""
        config = self.config
        has_validation = bool(self.table.splits["val"])

        callbacks = [SeededSteps(config.seed), LearningRateMonitor("step"), self.timer]
        if config.trainer.progress_bar:
            callbacks.append(progress_callback())
        if config.freeze_backbone_epochs:
            callbacks.append(FreezeBackbone(config.freeze_backbone_epochs))
        if config.ema_decay is not None:
            callbacks.append(AveragedWeights(config.ema_decay))
        if config.early_stopping_patience is not None:
            if not has_validation:
                raise ConfigError(
                    "early_stopping_patience needs a validation split; raise dataset.val_fraction"
                )
            callbacks.append(
                EarlyStop(
                    f"val/{self.monitor}",
                    mode="min" if self.monitor == "loss" else "max",
                    patience=config.early_stopping_patience,
                )
            )
        is_pretrained = config.backbone.pretrained or config.backbone.checkpoint is not None
        is_exclusive = self.table.task.is_exclusive
        if is_pretrained and is_exclusive and len(self.table.splits["val"]) >= LEAST_TO_JUDGE:
            callbacks.append(WarnAtChance(len(self.table.classes)))
        monitor = self.monitor if has_validation else None
        return [*callbacks, RunCheckpoints(self.folder, request, monitor)]

    def _first_record(self, model: AGNet) -> dict[str, Any]:
        """Start ``run.json``; a resumed run keeps its first command and adds to its time."""
        record: dict[str, Any] = {
            "seed": self.config.seed,
            "wall_time_seconds": 0.0,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        }
        if before := self.folder.read_record() if self.config.resume else {}:
            record |= {name: before[name] for name in ("command", "wall_time_seconds")}
            record["went_on_with"] = [*before.get("went_on_with", []), this_command()]
        return record

    def _write_record(self) -> None:
        """Write ``run.json``: hardware, duration and progress."""
        self.record["wall_time_seconds"] += time.time() - self.began
        self.record |= {
            "epochs": self.trainer.current_epoch,
            "finished": self.trainer.state.status == "finished",
            "training_seconds": self.timer.time_elapsed(),
            "images_seen": int(self.module.images_seen.sum_value) * self.trainer.world_size,
        }
        if self.trainer.is_global_zero:
            self.folder.write_record({**environment(self.module.device), **self.record})
