"""The options of training and evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, model_validator

from agnet_vision.choices import TTA, Look, Preset, Shown
from agnet_vision.errors import as_typed
from agnet_vision.options.dataset import DatasetConfig
from agnet_vision.options.fields import (
    CacheDir,
    Checkpoint,
    Device,
    ImageSize,
    LocalPath,
    Options,
    Seed,
    Text,
    View,
    Workers,
    option,
)
from agnet_vision.options.network import BackboneConfig, ModelConfig, RegionsConfig

TTA_HELP = "whole: the answers to an image and to all of it, squeezed to a square, are averaged"


class TrainerConfig(Options):
    """Options of Lightning's trainer."""

    accelerator: Text = option("auto, cpu, gpu, or any other accelerator of Lightning")
    devices: int | list[int] | Text = option(
        "number of devices, or which; auto: all of this machine",
        rule="a number, a list of them, or auto",
    )
    num_nodes: int = option("number of machines", ge=1)
    strategy: Text = option("ddp: one process per device; adapts itself to frozen epochs")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = option(
        "precision of the arithmetic; the true halves would round the boxes, too"
    )
    deterministic: bool = option("only algorithms that repeat bit by bit on a GPU")
    progress_bar: bool = option("draw a bar; where output is no terminal, one line per epoch")


class AugmentationConfig(Options):
    """Changes to training images, and the view of validation and test images."""

    preset: Preset = option("modern: random crops, colors; paper: rotation, scale, flip")
    view: Shown = option(
        "when tested: crop shows the middle of an image, which keeps its shape with the preset "
        "modern, and is squeezed to a square with others; whole all of it, squeezed"
    )
    crop_fraction: FiniteFloat = option(
        "part of the short side that view=crop shows, 1: all of it; the preset paper trains on "
        "random crops of this part",
        bound="crop_pct",
    )
    test_scale: FiniteFloat = option(
        "side of a validation or test image over image_size; the product is rounded to a multiple "
        "of 32 pixels",
        ge=1,
        le=4,
    )
    horizontal_flip: bool = option("mirror images; off where left and right tell classes apart")
    rotation_degrees: FiniteFloat = option(
        "largest rotation, either way; 180 where nothing has an upside", ge=0, le=180
    )
    min_crop_area: FiniteFloat = option(
        "modern only: least part of an image that a random crop shows", gt=0, le=1
    )


class LossConfig(Options):
    """Options of the loss."""

    name: Literal["cross_entropy", "asymmetric"] = option(
        "asymmetric: of several labels per image, for many that are mostly absent"
    )
    label_smoothing: FiniteFloat = option("probability spread over all classes", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = option(
        "balanced: inverse to the number of training images; of several labels, what is present "
        "counts 0.1 to 10 times"
    )


class GuideConfig(Options):
    """Marks that say where a network's evidence must not lie, or must."""

    marks: LocalPath | None = option(
        "CSV with path,x0,y0,x1,y1,look, a COCO .json, or a folder of masks; null: none"
    )
    look: Look = option("what a mark says where its file does not: no (not there) or yes (there)")
    weight: FiniteFloat = option("weight of the marked evidence beside the cross-entropy", ge=0)


class OptimizerConfig(Options):
    """The optimizer, and how fast each part of the network learns."""

    name: Literal["adamw", "sgd"] = option("the optimizer")
    lr: FiniteFloat = option("learning rate of the head", ge=0)
    backbone_lr: FiniteFloat = option("learning rate of the backbone", ge=0)
    layer_decay: FiniteFloat | None = option(
        "factor per layer further from the backbone's last; null: all learn alike", gt=0, le=1
    )
    weight_decay: FiniteFloat = option(
        "weight decay of matrices and kernels; norms, biases and other vectors have none", ge=0
    )
    momentum: FiniteFloat = option("momentum of sgd", ge=0, lt=1)


class ScheduleConfig(Options):
    """The course of the learning rate."""

    name: Literal["cosine", "step", "constant"] = option("course after the warm-up")
    warmup_epochs: FiniteFloat = option(
        "epochs of linear warm-up, half of the run at most; 0: none", ge=0
    )
    final_fraction: FiniteFloat = option(
        "part of the learning rate that is left at the end; cosine only", ge=0, le=1
    )
    step_epochs: int = option("step only: epochs between two drops of the learning rate", ge=1)
    step_factor: FiniteFloat = option("step only: factor of each drop", ge=0, le=1)


class FileLogger(Options):
    """A logger that writes into the run's folder, without options."""


class TrackerConfig(Options):
    """A logger that hands losses and scores on to a tracker of experiments."""

    project: Text | None = option("name of the project, or of MLflow's experiment")
    run_name: Text | None = option("name of the run there; null: the tracker finds one")


class LoggerConfig(Options):
    """The loggers beside the report's CSV file: those that are not None."""

    tensorboard: FileLogger | None = None
    csv: FileLogger | None = None
    wandb: TrackerConfig | None = None
    mlflow: TrackerConfig | None = None
    comet: TrackerConfig | None = None


class TrainConfig(Options):
    """A training."""

    run_dir: LocalPath = option("the run's folder, in which ${seed} or any option is filled in")
    # The folder was named for the run, not by the user, and may be renamed if another run has it.
    run_dir_is_new: bool = Field(default=False, exclude=True)
    resume: bool | Literal["auto"] = option(
        "go on with the run in run_dir, with its own options but for those given now; "
        "auto: start it where there is none",
        rule="true or false, or auto",
    )
    seed: Seed = option("seed of weights, order, augmentation and held-out split")
    dataset: DatasetConfig
    image_size: int = option(
        "side of the training images in pixels; larger shows smaller parts", bound="input_size"
    )
    epochs: int = option("passes over the training images", ge=1)
    batch_size: int = option(
        "images per step on each device; those left at the end of an epoch wait", ge=2
    )
    accumulate_batches: int = option("batches per optimizer step", ge=1)
    workers: Workers
    sampler: Literal["shuffle", "balanced"] = option("balanced: all classes equally often")
    cache_dir: CacheDir
    backbone: BackboneConfig
    model: ModelConfig
    regions: RegionsConfig
    augmentation: AugmentationConfig
    loss: LossConfig
    guide: GuideConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    gradient_clip: FiniteFloat | None = option("largest norm of the gradient; null: any", ge=0)
    ema_decay: FiniteFloat | None = option(
        "decay, such as 0.999, of an average of the weights, which is validated, tested and kept",
        gt=0,
        lt=1,
    )
    freeze_backbone_epochs: int = option("first epochs, in which only the head learns", ge=0)
    early_stopping_patience: int | None = option(
        "epochs without a better monitor before the run ends; null: never", ge=0
    )
    monitor: (
        Literal[
            "acc",
            "mAP",
            "mean_per_class_acc",
            "loss",
            "micro_mAP",
            "macro_F1",
            "micro_F1",
            "exact_match",
        ]
        | None
    ) = option(
        "score of the validation split that chooses best.ckpt; null: acc, or mAP of several labels"
    )
    compile: bool = option("torch.compile the network")
    calibration: Literal["none", "temperature", "rare_classes"] = option(
        "fitted on the validation split and kept in best.ckpt: temperature makes probabilities "
        "mean what they say; rare_classes: logit adjustment as well",
    )
    test: bool = option("evaluate best.ckpt on the test split at the end")
    tta: TTA = option(f"in that test, {TTA_HELP}")
    report: bool = option("write report.html")
    trainer: TrainerConfig
    logger: LoggerConfig

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        if self.sampler == self.loss.class_weights == "balanced":
            raise ValueError(
                "sampler=balanced and loss.class_weights=balanced make up for rare classes twice; "
                "choose one of them"
            )
        if (self.guide.marks is None) != (self.guide.weight == 0):
            raise ValueError(
                "guide.marks and guide.weight go together: give both, such as guide.marks=marks.csv"
                f" guide.weight=10, or neither; got guide.marks={as_typed(self.guide.marks)} "
                f"guide.weight={self.guide.weight:g}"
            )
        self.backbone.check_name()
        return self


class CorrectConfig(Options):
    """A correction of a run's network by marks."""

    checkpoint: Checkpoint
    marks: LocalPath = option("CSV with path,x0,y0,x1,y1,look, a COCO .json, or a folder of masks")
    look: Look = option("what a mark says where its file does not: no (not there) or yes (there)")
    weight: FiniteFloat | None = option(
        "weight of the evidence beside the cross-entropy; null: chosen on the validation images",
        ge=0,
    )
    max_cost: FiniteFloat = option(
        "share of the validation accuracy that the chosen weight may cost", ge=0, le=1
    )
    run_dir: LocalPath = option("folder of the new run")
    run_dir_is_new: bool = Field(default=False, exclude=True)
    root: LocalPath | None = option("where the images lie now; null: where the run says")
    batch_size: int = option("images per step", ge=1)
    workers: Workers
    cache_dir: CacheDir
    device: Device
    report: bool = option("write report.html, with the network before beside the one after")


class EvaluateConfig(Options):
    """An evaluation: network, classes and regions are the checkpoint's."""

    checkpoint: Checkpoint
    split: Literal["train", "val", "test"] = option("images to score")
    dataset: DatasetConfig
    run_dir: LocalPath = option("folder of the results")
    run_dir_is_new: bool = Field(default=False, exclude=True)
    seed: Seed = option("seed of a split that is drawn; null: as the run drew it")
    batch_size: int = option("images per step on each device", ge=1)
    workers: Workers
    cache_dir: CacheDir
    image_size: ImageSize
    view: View
    tta: TTA = option(f"null: as the run was tested; {TTA_HELP}")
    report: bool = option("write report.html")
    trainer: TrainerConfig
