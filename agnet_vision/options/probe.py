"""The options of a probe."""

from __future__ import annotations

from pydantic import Field, FiniteFloat, model_validator

from agnet_vision.choices import ProbeHead
from agnet_vision.options.dataset import DatasetConfig
from agnet_vision.options.fields import Device, LocalPath, Options, Seed, Workers, option
from agnet_vision.options.network import BackboneConfig, RegionsConfig


class ProbeConfig(Options):
    """A comparison of heads on the stored maps of a backbone that stays as it is."""

    dataset: DatasetConfig
    backbone: BackboneConfig
    regions: RegionsConfig
    image_size: int = option("side of the square input in pixels", bound="input_size")
    heads: list[ProbeHead] = option(
        "average: average pooling, fitted by L-BFGS; the others by the optimizer of agnet train: "
        "attention over the cells, the paper's head and its ablations",
        rule="a list of average, attention, backbone_only, no_attention, full",
        min_length=1,
    )
    epochs: int = option("passes over the stored maps, of all heads but average", ge=1)
    seed: Seed = option("seed of weights, order and held-out split")
    max_gb: FiniteFloat = option("largest size of the stored maps in gigabytes", gt=0)
    run_dir: LocalPath = option("folder of the run")
    run_dir_is_new: bool = Field(default=False, exclude=True)
    batch_size: int = option("images per step", ge=2)
    workers: Workers
    cache_dir: LocalPath | None = option(
        "folder of stored maps and keypoints; null: .agnet_cache in the dataset's folder"
    )
    device: Device
    report: bool = option("write report.html")

    @model_validator(mode="after")
    def _check(self) -> ProbeConfig:
        self.backbone.check_name()
        return self
