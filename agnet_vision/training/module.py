"""Network, loss, optimizer and scores, connected for Lightning."""

from __future__ import annotations

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import SumMetric

from agnet_vision.errors import PredictionError
from agnet_vision.evaluation.metrics import Predictions, PredictionStore, score
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.checkpoint import describe
from agnet_vision.models.evidence import map_evidence_loss
from agnet_vision.options.run import OptimizerConfig, ScheduleConfig
from agnet_vision.structures import Marks, Regions
from agnet_vision.training.optim import build_optimizer, schedule_factor

Batch = dict[str, Tensor]


class AGNetModule(pl.LightningModule):
    """Lightning's module that validates and tests an ``AGNet``.

    Args:
        model: the network; it must know its ``classes``.

    Attributes:
        predictions: what the network said of the last split that it went through.
    """

    def __init__(self, model: AGNet) -> None:
        super().__init__()
        self.model = model
        # Up to twice the speed of the default layout on the CPU, and what tensor cores read.
        for kernel in (weight for weight in model.parameters() if weight.ndim == 4):
            # Of one cell both layouts are the same, but DDP would take their strides for others.
            if kernel.shape[2:].numel() > 1:
                kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
        self.store = PredictionStore(model.task)
        self.predictions: Predictions | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Compute the logits of a batch of the data module."""
        return self.model.head(*self.features(batch))

    def features(self, batch: Batch) -> tuple[Tensor, Regions | None]:
        """Compute what the head reads: the map of the backbone, and the regions."""
        regions = Regions(batch["boxes"], batch["mask"]) if "boxes" in batch else None
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        return self.model.forward_features(images), regions

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the predictions of a batch."""
        self.store.update(self(batch), batch["label"], batch["index"])

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the held-out samples."""
        self._log_scores("val")

    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        """Log the scores, and keep the predictions for their writer."""
        self._log_scores("test")

    def _log_scores(self, split: str) -> None:
        self.predictions = self.store.predictions()
        self.store.reset()

        lost = int((~self.predictions.probability.isfinite().all(dim=1)).sum())
        if lost:  # an argmax over NaN would still give an accuracy
            raise PredictionError(
                f"the network's output is not finite for {lost:,} of "
                f"{len(self.predictions.label):,} {split} images: the training has diverged; "
                "start again with a lower optimizer.lr, gradient_clip=1 or "
                "trainer.precision=32-true"
            )

        scores = score(self.predictions, self.model.classes or (), self.model.task)
        for name in self.model.task.logged:
            # Every process has the predictions of all: the mean over processes is the value itself.
            self.log(
                f"{split}/{name}", scores[name], prog_bar=name in ("acc", "mAP"), sync_dist=True
            )


class TrainingModule(AGNetModule):
    """An ``AGNetModule`` with its losses and optimizer.

    Args:
        model: the network; it must know its ``classes``.
        loss: loss of logits and labels.
        evidence_weight: weight of ``evidence_loss`` of the marks of a batch; 0: none.
        compile_model: whether backbone and head run through ``torch.compile``.
    """

    def __init__(
        self,
        model: AGNet,
        optimizer: OptimizerConfig,
        schedule: ScheduleConfig,
        *,
        loss: nn.Module,
        evidence_weight: float = 0.0,
        compile_model: bool = False,
    ) -> None:
        super().__init__(model)
        if compile_model:
            # In place: the names of the weights stay. In two: the evidence reads the map between.
            self.model.backbone.compile()
            self.model.head.compile()
        self.evidence_weight = evidence_weight
        self.optimizer_options = optimizer
        self.schedule_options = schedule
        self.loss = loss
        # By this process, over all of a run's resumes.
        self.images_seen = SumMetric(nan_strategy="disable", sync_on_compute=False)
        self.images_seen.persistent(True)

    def on_train_start(self) -> None:
        """Give the optimizer the current options and its place in the schedule.

        Both are not the checkpoint's: an epoch may have another number of steps by now.
        """
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        done = 0
        if loop.restarted_on_train_batch_end:
            # Lightning counts batches; of another size now, others are left to the epoch's end.
            loader: Any = trainer.train_dataloader
            done = loader.batches_done(trainer.current_epoch)
            progress: Any = loop.batch_progress.current
            progress.ready = progress.started = progress.processed = done
            progress.completed = done - 1  # Lightning adds the one it was saved after

        scheduler = cast("LambdaLR", trainer.lr_scheduler_configs[0].scheduler)
        steps = trainer.current_epoch * self._steps_per_epoch()
        scheduler.last_epoch = steps + done // trainer.accumulate_grad_batches
        groups = trainer.optimizers[0].param_groups
        for group, options, factor in zip(
            groups, self._group_options, scheduler.lr_lambdas, strict=True
        ):
            group.update(options)
            group["lr"] = group["initial_lr"] * factor(scheduler.last_epoch)
        scheduler.base_lrs = [group["initial_lr"] for group in groups]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        label = batch["label"]
        size = len(label)
        feature_map, regions = self.features(batch)
        loss = self.loss(self.model.head(feature_map, regions), label)
        self.images_seen.update(size)
        self.log("train/loss", loss, batch_size=size, prog_bar=True)
        self.log(
            "train/loss_epoch", loss, batch_size=size, on_step=False, on_epoch=True, sync_dist=True
        )
        if not self.evidence_weight:
            return loss

        marks = Marks(batch["mark_boxes"], batch["look"])
        evidence = map_evidence_loss(self.model.head, feature_map, regions, label, marks)
        self.log(
            "train/evidence_loss",
            evidence,
            batch_size=int(marks.look.any(dim=1).sum()),  # a mean over the marked images
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
        return loss + self.evidence_weight * evidence

    def configure_optimizers(self) -> Any:
        """Create the optimizer, and a schedule that moves with every step."""
        optimizer = build_optimizer(self.model, self.optimizer_options)
        factor = schedule_factor(
            self.schedule_options,
            steps_per_epoch=self._steps_per_epoch(),
            epochs=self.trainer.max_epochs or 1,
        )
        scheduler = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        self._group_options = [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _steps_per_epoch(self) -> int:
        return round(self.trainer.estimated_stepping_batches / (self.trainer.max_epochs or 1))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what rebuilds the network, as plain data."""
        checkpoint["agnet"] = describe(self.model.config())
