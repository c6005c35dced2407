"""Parameter groups, optimizers and schedules, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from timm.models import group_parameters
from torch import nn

from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import OptimizerConfig, ScheduleConfig
from agnet_vision.training.optim import build_optimizer, parameter_groups, schedule_factor
from agnet_vision.training.train import train
from tests.training.tiny import (
    PLAIN,
    Configure,
    Recorder,
    interrupt_after,
    training,
    write_images,
)

TINY = training("regions.num_clusters=2")


def rates(**others: object) -> OptimizerConfig:
    chosen = {"lr": 0.1, "backbone_lr": 0.01, "weight_decay": 0.5, **others}
    return TINY.optimizer.model_copy(update=chosen)


def schedule(**chosen: object) -> ScheduleConfig:
    return TINY.schedule.model_copy(update={"warmup_epochs": 0, "final_fraction": 0, **chosen})


def network(name: str = "test_resnet.r160_in1k") -> AGNet:
    return AGNet(name, 3, num_clusters=2, head_kwargs={"pool_size": 2})


@pytest.fixture(scope="module")
def model() -> AGNet:
    return network()


def groups_of(model: AGNet, options: OptimizerConfig) -> dict[str, dict]:
    """Find the group of every parameter, and that it is in one alone."""
    groups = parameter_groups(model, options)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    group_of = {id(p): group for group in groups for p in group["params"]}
    return {name: group_of[id(p)] for name, p in model.named_parameters()}


def test_no_decay_on_norms_biases_and_what_the_backbone_exempts(model: AGNet) -> None:
    group_of = groups_of(model, rates())
    norms = nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm
    for module_name, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            decay = group_of[f"{module_name}.{name}"]["weight_decay"]
            if isinstance(module, norms) or name == "bias":
                assert decay == 0.0, f"{module_name}.{name}"
            elif isinstance(module, nn.Conv2d | nn.Linear) and name == "weight":
                assert decay == 0.5, f"{module_name}.{name}"

    of_vit = groups_of(network("test_vit.r160_in1k"), rates())
    exempt = [name for name in of_vit if name.endswith(("pos_embed", "cls_token"))]
    assert exempt
    assert all(of_vit[name]["weight_decay"] == 0.0 for name in exempt)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_optimizers(model: AGNet, name: str, kind: type) -> None:
    optimizer = build_optimizer(model, rates(name=name, momentum=0.99))
    assert type(optimizer) is kind
    assert [group.get("momentum", 0.99) for group in optimizer.param_groups] == [0.99] * 4


def test_layer_decay_by_hand(model: AGNet) -> None:
    """The last layers have the backbone's rate, each one before half of the one after it."""
    group_of = groups_of(model, rates(layer_decay=0.5))
    backbone = model.backbone.model
    layers = group_parameters(backbone, backbone.group_matcher())
    assert len(layers) > 3
    for layer, names in layers.items():
        for name in names:
            expected = 0.01 * 0.5 ** (max(layers) - layer)
            assert group_of[f"backbone.model.{name}"]["lr"] == pytest.approx(expected), name
    assert {group_of[f"head.{name}"]["lr"] for name, _ in model.head.named_parameters()} == {0.1}


@pytest.mark.parametrize(
    ("options", "length", "expected"),
    [
        (
            {"name": "cosine", "warmup_epochs": 1, "final_fraction": 0.1},
            {"steps_per_epoch": 10, "epochs": 5},
            {0: 0.1, 4: 0.5, 9: 1, 10: 1, 30: 0.55, 50: 0.1, 99: 0.1},
        ),
        (  # the warm-up takes half of a short run at most
            {"name": "cosine", "warmup_epochs": 2},
            {"steps_per_epoch": 10, "epochs": 1},
            {0: 0.2, 4: 1, 5: 1, 10: 0},
        ),
        (
            {"name": "step", "step_epochs": 50, "step_factor": 0.1},
            {"steps_per_epoch": 10, "epochs": 200},
            {0: 1, 499: 1, 500: 0.1, 999: 0.1, 1000: 0.01, 1500: 0.001, 1999: 0.001},
        ),
        ({"name": "constant"}, {"steps_per_epoch": 2, "epochs": 3}, dict.fromkeys(range(6), 1)),
    ],
    ids=["cosine", "short", "step of the paper", "constant"],
)
def test_schedules_by_hand(options: dict, length: dict, expected: dict[int, float]) -> None:
    factor = schedule_factor(schedule(**options), **length)
    assert {step: factor(step) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("stop_after", [3.75, 4])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("batch_size=4",), ("batch_size=16",)),
        (("batch_size=8", "accumulate_batches=2"), ("batch_size=5", "accumulate_batches=3")),
    ],
    ids=["larger", "both"],
)
def test_rates_of_an_epoch_are_the_same_after_a_resume_with_other_steps(
    configure: Configure,
    tmp_path: Path,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    after: tuple[str, ...],
    stop_after: float,
) -> None:
    root = write_images(tmp_path / "data", {"train": 16, "val": 1, "test": 1}, ("a", "b", "c", "d"))
    words = (*PLAIN, f"dataset.root={root}", "epochs=8", "schedule.warmup_epochs=0", *before)
    with monkeypatch.context() as patch:
        batch_size = int(before[0].removeprefix("batch_size="))
        interrupt_after(int(stop_after * 64 / batch_size), patch)
        with pytest.raises(KeyboardInterrupt):
            train(configure(*words))
    recorder.learning_rates.clear()
    train(configure(*words, *after, "resume=true"))

    batches = recorder.trainer.num_training_batches
    rates = [found["backbone_decay"] for found in recorder.learning_rates]
    assert rates[-4 * batches :: batches] == pytest.approx(
        [1.51e-4, 9.47e-5, 4.65e-5, 1.43e-5], rel=5e-3
    )
    assert rates == sorted(rates, reverse=True)
    # What does not fill a step waits for the next epoch, whose order is another.
    seen = RunFolder(tmp_path / "run").read_record()["images_seen"]
    assert seen == pytest.approx(8 * 64, rel=0.05)
