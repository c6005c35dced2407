from __future__ import annotations

import math

import pytest
import torch
from timm.models import group_parameters
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.models.agnet import AGNet
from agnet_vision.training.optim import (
    build_optimizer,
    parameter_groups,
    renew_options,
    schedule_factor,
)
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, Recorder

RATES = {"lr": 0.1, "backbone_lr": 0.01, "weight_decay": 0.5}


@pytest.fixture(scope="module")
def model() -> AGNet:
    return AGNet("test_resnet.r160_in1k", 3, num_clusters=2, head_kwargs={"pool_size": 2})


def test_groups_hold_every_parameter_once(model: AGNet) -> None:
    grouped = [id(p) for group in parameter_groups(model, **RATES) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_groups_rates(model: AGNet) -> None:
    group_of = {id(p): group for group in parameter_groups(model, **RATES) for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert group_of[id(parameter)]["lr"] == (0.01 if name.startswith("backbone.") else 0.1), (
            name
        )


def test_no_decay_on_norms_and_biases(model: AGNet) -> None:
    group_of = {id(p): group for group in parameter_groups(model, **RATES) for p in group["params"]}
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            spared = (
                isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm) or name == "bias"
            )
            if spared:
                assert group_of[id(parameter)]["weight_decay"] == 0.0, f"{module_name}.{name}"
            if isinstance(module, nn.Conv2d | nn.Linear) and name == "weight":
                assert group_of[id(parameter)]["weight_decay"] == 0.5, f"{module_name}.{name}"


def test_backbone_exempts_its_own() -> None:
    model = AGNet("test_vit.r160_in1k", 3, num_clusters=2, head_kwargs={"pool_size": 2})
    group_of = {id(p): group for group in parameter_groups(model, **RATES) for p in group["params"]}
    exempt = [
        p for name, p in model.named_parameters() if name.endswith(("pos_embed", "cls_token"))
    ]
    assert exempt
    assert all(group_of[id(p)]["weight_decay"] == 0.0 for p in exempt)


def test_no_decay_on_scales_of_any_shape(model: AGNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector may have axes of length 1.

    As ResMLP's scale per channel has.
    """
    odd = nn.Module()
    odd.scale = nn.Parameter(torch.ones(1, 1, 384))
    odd.channels = nn.Parameter(torch.ones(48, 1, 1))
    odd.matrix = nn.Parameter(torch.ones(1, 3, 4))
    odd.kernel, odd.gate, odd.efficient = nn.Conv2d(1, 8, 1), nn.Linear(8, 1), nn.Conv1d(1, 1, 3)
    monkeypatch.setitem(model.backbone.model._modules, "odd", odd)
    group_of = {
        id(p): group["name"] for group in parameter_groups(model, **RATES) for p in group["params"]
    }
    decayed = {name for name, p in odd.named_parameters() if group_of[id(p)] == "backbone_decay"}
    assert decayed == {"matrix", "kernel.weight", "gate.weight", "efficient.weight"}


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_optimizers(model: AGNet, name: str, kind: type) -> None:
    optimizer = build_optimizer(model, name, **RATES, momentum=0.99)
    assert isinstance(optimizer, kind)
    if name == "sgd":
        assert {group["momentum"] for group in optimizer.param_groups} == {0.99}


def test_layer_decay_by_hand(model: AGNet) -> None:
    """timm counts the layers: stem, then blocks in order.

    The last of the backbone keeps its rate.
    """
    rates = {**RATES, "layer_decay": 0.5}
    group_of = {id(p): group for group in parameter_groups(model, **rates) for p in group["params"]}
    parameters = dict(model.backbone.model.named_parameters())
    layers = group_parameters(model.backbone.model, model.backbone.model.group_matcher())
    assert len(layers) > 3
    for layer, names in layers.items():
        for name in names:
            expected = 0.01 * 0.5 ** (max(layers) - layer)
            assert group_of[id(parameters[name])]["lr"] == pytest.approx(expected), name
    for parameter in model.head.parameters():
        assert group_of[id(parameter)]["lr"] == 0.1


def test_new_rates_keep_the_layers_apart(model: AGNet) -> None:
    rates = {**RATES, "layer_decay": 0.5}
    optimizer = build_optimizer(model, "adamw", **rates)
    scheduler = LambdaLR(optimizer, schedule_factor("constant", steps_per_epoch=1, epochs=1))
    before = [group["lr"] for group in optimizer.param_groups]
    new = {"lr": 0.2, "backbone_lr": 0.02, "weight_decay": 0.5, "layer_decay": 0.5}
    renew_options(optimizer, scheduler, name="adamw", **new)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [2 * rate for rate in before]
    )


def test_cosine_by_hand() -> None:
    factor = schedule_factor(
        "cosine", steps_per_epoch=10, epochs=5, warmup_epochs=1, final_fraction=0.1
    )
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert factor(10) == pytest.approx(1.0)
    assert factor(30) == pytest.approx(0.55)  # half way
    assert factor(50) == pytest.approx(0.1)
    assert factor(99) == pytest.approx(0.1)


def test_warmup_takes_half_of_a_short_run_at_most() -> None:
    factor = schedule_factor("cosine", steps_per_epoch=10, epochs=1, warmup_epochs=2)
    assert [factor(step) for step in (0, 4, 5)] == pytest.approx([0.2, 1.0, 1.0])
    assert factor(10) == pytest.approx(0)


def test_step_of_the_paper() -> None:
    factor = schedule_factor(
        "step", steps_per_epoch=10, epochs=200, step_epochs=50, step_factor=0.1
    )
    expected = {0: 1, 499: 1, 500: 0.1, 999: 0.1, 1000: 0.01, 1500: 0.001, 1999: 0.001}
    assert {step: factor(step) for step in expected} == pytest.approx(expected)


def test_constant() -> None:
    factor = schedule_factor("constant", steps_per_epoch=2, epochs=3)
    assert {factor(step) for step in range(6)} == {1.0}


def test_learning_rates_of_warmup_and_cosine(configure: Configure, recorder: Recorder) -> None:
    train(
        configure(
            *PLAIN,
            "epochs=3",
            "optimizer.lr=0.1",
            "optimizer.backbone_lr=0.01",
            "schedule.final_fraction=0.2",
        )
    )
    factors = [0.2, 0.4, 0.6, 0.8, 1.0]  # five steps of an epoch, then from 1 to 0.2 in ten
    factors += [0.6 + 0.4 * math.cos(math.pi * step / 10) for step in range(10)]
    for rates, factor in zip(recorder.learning_rates, factors, strict=True):
        for name, rate in rates.items():
            assert rate == pytest.approx(factor * (0.01 if name.startswith("backbone") else 0.1)), (
                name
            )
    decay = {
        group["name"]: group["weight_decay"]
        for group in recorder.trainer.optimizers[0].param_groups
    }
    assert decay == {
        "backbone_decay": 0.05,
        "backbone_no_decay": 0,
        "head_decay": 0.05,
        "head_no_decay": 0,
    }


def test_learning_rates_of_the_step_schedule(configure: Configure, recorder: Recorder) -> None:
    step = (
        "schedule.name=step",
        "schedule.step_epochs=1",
        "schedule.step_factor=0.3",
        "schedule.warmup_epochs=0",
    )
    train(configure(*PLAIN, "epochs=3", *step, "optimizer.lr=0.1"))
    factors = [1.0] * 5 + [0.3] * 5 + [0.09] * 5
    assert [rates["head_decay"] for rates in recorder.learning_rates] == pytest.approx(
        [0.1 * f for f in factors]
    )
