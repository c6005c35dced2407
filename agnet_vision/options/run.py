"""The options of training and evaluation, defined once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import FiniteFloat, field_validator

from agnet_vision.data.preprocessing import Preset
from agnet_vision.data.views import TTA
from agnet_vision.options.dataset import DatasetConfig, Demo
from agnet_vision.options.fields import LocalPath, Options, Place, Seed, Text, option
from agnet_vision.options.network import BackboneConfig, ModelConfig, RegionsConfig

TTA_HELP = (
    "views of an image whose answers are averaged: flip adds the mirror image, whole the whole "
    "image; crops takes ten"
)
Monitor = Literal["acc", "mAP", "mean_per_class_acc", "loss"]
Correction = Literal["none", "temperature", "rare_classes"]
OptimizerName = Literal["adamw", "sgd"]
ScheduleName = Literal["cosine", "step", "constant"]
LoggerName = Literal["tensorboard", "csv", "wandb", "mlflow", "comet"]


class TrainerConfig(Options):
    """Lightning's trainer."""

    accelerator: Text = option("auto", "auto | cpu | gpu | any other of Lightning's")
    devices: int | list[int] | Text = option(
        1, "how many, which, or auto: all of this machine", rule="a number, a list of them, or auto"
    )
    num_nodes: int = option(1, "machines", ge=1)
    strategy: Text = option("auto", "ddp: a process a device; with frozen epochs it adapts itself")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = option(
        "32-true", "of the arithmetic; the true halves would round the boxes, too"
    )
    deterministic: bool = option(False, "only algorithms that repeat bit by bit on a GPU")
    progress_bar: bool = option(True, "draw a bar; where output is no terminal, a line an epoch")


# What ``trainer=NAME`` stands for.
TRAINERS: dict[str, dict[str, Any]] = {
    "auto": {"accelerator": "auto", "devices": 1, "strategy": "auto"},
    "cpu": {"accelerator": "cpu", "devices": 1, "strategy": "auto"},
    "gpu": {"accelerator": "gpu", "devices": 1, "strategy": "auto"},
    "ddp": {"accelerator": "auto", "devices": "auto", "strategy": "ddp"},
}


class AugmentationConfig(Options):
    """Changes to training images, and the cut of evaluation images."""

    preset: Preset = option("modern", "modern: random crops, colors; paper: rotation, scale, flip")
    crop_fraction: FiniteFloat = option(
        0.875, "of the resized image that is shown when evaluating", bound="crop_pct"
    )
    horizontal_flip: bool = option(True, "off where left and right tell classes apart")
    rotation_degrees: FiniteFloat = option(
        15.0, "either way; 180 where nothing has an upside", ge=0, le=180
    )
    min_crop_area: FiniteFloat = option(
        0.35, "modern only: least part of an image that a random crop shows", gt=0, le=1
    )


class LossConfig(Options):
    """Cross-entropy."""

    label_smoothing: FiniteFloat = option(0.1, "probability spread over all classes", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = option(
        "none", "balanced: inverse to the number of training images"
    )


class OptimizerConfig(Options):
    """What is learned how fast."""

    name: OptimizerName = option("adamw", "the optimizer")
    lr: FiniteFloat = option(0.001, "learning rate of the head", ge=0)
    backbone_lr: FiniteFloat = option(0.0003, "learning rate of the backbone", ge=0)
    layer_decay: FiniteFloat | None = option(
        None,
        "times this for each layer further from the backbone's last; null: all alike",
        gt=0,
        le=1,
    )
    weight_decay: FiniteFloat = option(0.05, "norms, biases and other vectors have none", ge=0)
    momentum: FiniteFloat = option(0.9, "sgd only", ge=0, lt=1)


class ScheduleConfig(Options):
    """The learning rate's course."""

    name: ScheduleName = option("cosine", "after the warm-up")
    warmup_epochs: FiniteFloat = option(2.0, "linear, half of the run at most; 0: none", ge=0)
    final_fraction: FiniteFloat = option(
        0.01, "of the learning rate that is left at the end; cosine only", ge=0, le=1
    )
    step_epochs: int = option(50, "step only: every so many epochs ...", ge=1)
    step_factor: FiniteFloat = option(0.1, "... times this", ge=0, le=1)


class LoggerConfig(Options):
    """Where losses and scores go beside the report's CSV file."""

    name: list[LoggerName] = option(
        ["tensorboard"],
        "tensorboard | csv | wandb | mlflow | comet | none, or several",
        rule="one of tensorboard, csv, wandb, mlflow, comet, none, or a list of them",
    )
    project: Text | None = option(None, "of W&B or Comet, or MLflow's experiment")
    run_name: Text | None = option(None, "of the run there")

    @field_validator("name", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [] if value == "none" else [value] if isinstance(value, str) else value


class TrainConfig(Options):
    """A training."""

    run_dir: LocalPath | None = option(
        None, "the run's folder, ${seed} or any option filled in; null: outputs/<dataset>/<time>"
    )
    resume: bool | Literal["auto"] = option(
        False,
        "go on with the run in run_dir, with its own options but for those given now; "
        "auto: start it where there is none",
        rule="True or False, or auto",
    )
    seed: Seed = option(0, "of weights, order, augmentation and held-out split")
    dataset: DatasetConfig = Demo()
    image_size: int = option(
        224, "side of the square input, pixels; larger shows smaller parts", bound="input_size"
    )
    epochs: int = option(40, "times through the training images", ge=1)
    batch_size: int = option(
        32, "images a step on each device; what is left at the end of an epoch waits", ge=2
    )
    accumulate_batches: int = option(1, "batches an optimizer step", ge=1)
    workers: int | None = option(
        None, "loader processes; null: one a core, at most 8; 0: none", ge=0
    )
    sampler: Literal["shuffle", "balanced"] = option("shuffle", "balanced: classes equally often")
    cache_dir: LocalPath | None = option(
        None, "where keypoints are kept; null: .agnet_cache in the dataset's folder"
    )
    backbone: BackboneConfig = BackboneConfig()
    model: ModelConfig = ModelConfig()
    regions: RegionsConfig = RegionsConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    gradient_clip: FiniteFloat | None = option(1.0, "norm; null: none", ge=0)
    ema_decay: FiniteFloat | None = option(
        None, "0.999, say: validate, test and keep an average of the weights", gt=0, lt=1
    )
    freeze_backbone_epochs: int = option(0, "first epochs in which only the head learns", ge=0)
    early_stopping_patience: int | None = option(
        None, "epochs without a better monitor before the run ends; null: never", ge=0
    )
    monitor: Monitor = option("acc", "of the validation split: chooses best.ckpt")
    compile: bool = option(False, "torch.compile the network")
    calibration: Correction = option(
        "none",
        "fitted on the validation split and kept in best.ckpt: temperature makes probabilities "
        "mean what they say; rare_classes: logit adjustment as well",
    )
    test: bool = option(True, "evaluate best.ckpt on the test split at the end")
    tta: TTA = option("none", f"in that test, {TTA_HELP}")
    report: bool = option(True, "write report.html")
    trainer: TrainerConfig = TrainerConfig()
    logger: LoggerConfig = LoggerConfig()


class EvaluateConfig(Options):
    """An evaluation: network, classes, input size, regions are the checkpoint's."""

    checkpoint: Place = option(
        ..., "run folder, best.ckpt, folder of save_pretrained, or owner/name on the Hub"
    )
    split: Literal["train", "val", "test"] = option("test", "which images")
    dataset: DatasetConfig
    run_dir: LocalPath | None = option(
        None, "where the results go; null: outputs/evaluate/<dataset>/<time>"
    )
    seed: Seed = option(None, "of a split that is drawn; null: as the run drew it")
    batch_size: int = option(32, "images a step on each device", ge=1)
    workers: int | None = option(
        None, "loader processes; null: one a core, at most 8; 0: none", ge=0
    )
    cache_dir: LocalPath | None = option(
        None, "where keypoints are kept; null: .agnet_cache in the dataset's folder"
    )
    tta: TTA = option(None, f"null: as the run was tested; {TTA_HELP}")
    report: bool = option(True, "write report.html")
    trainer: TrainerConfig = TrainerConfig()
