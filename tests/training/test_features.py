"""What each training option does to a run, in numbers.

Every feature that could be lost in silence has its test.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.training.build import build_data, build_model, build_table
from agnet_vision.training.config import TrainConfig
from agnet_vision.training.module import AGNetModule
from agnet_vision.training.train import train

from .conftest import Recorder, write_unbalanced

Configure = Callable[..., TrainConfig]
Weights = Mapping[str, Tensor]
# No regions to compute; plain gradient descent, so that a step is the learning rate times the
# gradient.
PLAIN = (
    "model=backbone_only",
    "model.head.dropout=0.0",
    "test=false",
    "augmentation.preset=none",
    "epochs=1",
)
DESCENT = (
    *PLAIN,
    "optimizer.name=sgd",
    "optimizer.momentum=0",
    "optimizer.weight_decay=0",
    "optimizer.lr=0.5",
    "optimizer.backbone_lr=0.5",
    "schedule.name=constant",
    "schedule.warmup_epochs=0",
)


def checkpoint(run_dir: Path, name: str) -> dict:
    return torch.load(run_dir / name, weights_only=True)


def learnt(weights: Weights, module: AGNetModule) -> Tensor:
    """Put all parameters, without the statistics, into one vector."""
    return torch.cat([weights[name].flatten() for name, _ in module.named_parameters()])


def assert_same(first: Weights, second: Weights) -> None:
    torch.testing.assert_close(dict(first), dict(second), rtol=1e-5, atol=1e-6)


def differ(first: Weights, second: Weights, part: str) -> bool:
    return any(
        not torch.equal(first[name], second[name]) for name in first if name.startswith(part)
    )


def test_gradient_clipping(configure: Configure, recorder: Recorder) -> None:
    train(configure(*DESCENT, "gradient_clip=0.001"))
    path = [recorder.weights_at_start, *recorder.weights]
    for before, after in itertools.pairwise(path):
        step = learnt(after, recorder.module) - learnt(before, recorder.module)
        assert float(step.norm()) == pytest.approx(0.5 * 0.001, rel=0.02)


def test_accumulated_batches_are_one_step(
    configure: Configure, recorder: Recorder, tmp_path: Path
) -> None:
    config = configure(
        *DESCENT, "accumulate_batches=2", "gradient_clip=null", "loss.label_smoothing=0"
    )
    train(config)
    assert len(recorder.batches) == 5
    assert checkpoint(tmp_path / "run", "last.ckpt")["global_step"] == 3, (
        "two, two and the one that is left"
    )
    start, first, second = recorder.weights_at_start, *recorder.weights[:2]
    module = recorder.module
    assert torch.equal(learnt(first, module), learnt(start, module))
    assert (learnt(second, module) - learnt(start, module)).norm() > 0.5 * 0.001, (
        "gradient_clip=null clips nothing"
    )
    module.load_state_dict(start)
    module.train().zero_grad()
    (
        sum(F.cross_entropy(module(batch), batch["label"]) for batch in recorder.batches[:2]) / 2
    ).backward()
    for name, parameter in module.named_parameters():
        step = 0.5 * parameter.grad if parameter.grad is not None else 0
        torch.testing.assert_close(second[name], start[name] - step, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_loss_by_hand(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str
) -> None:
    logits, forward = [], AGNetModule.forward

    def kept(self: AGNetModule, batch: dict) -> Tensor:
        output = forward(self, batch)
        if self.training:
            logits.append((output, batch["label"]))
        return output

    monkeypatch.setattr(AGNetModule, "forward", kept)
    root = write_unbalanced(tmp_path / "data")
    train(
        configure(
            *PLAIN,
            f"dataset.root={root}",
            "loss.label_smoothing=0.3",
            f"loss.class_weights={weights}",
        )
    )
    weight = (
        torch.tensor([14 / (3 * 8), 14 / (3 * 4), 14 / (3 * 2)]) if weights == "balanced" else None
    )
    by_hand = [F.cross_entropy(*given, weight, label_smoothing=0.3).item() for given in logits]
    assert len(by_hand) == 3
    (row,) = RunFolder(tmp_path / "run").read_history()
    assert row["train/loss_epoch"] == pytest.approx(sum(by_hand) / 3, rel=1e-5)


def test_balanced_sampler(configure: Configure, tmp_path: Path) -> None:
    config = configure(
        *PLAIN, f"dataset.root={write_unbalanced(tmp_path / 'data')}", "sampler=balanced"
    )
    table = build_table(config.dataset, config.seed)
    sampler = (
        build_data(config, table, build_model(config, table.classes)).train_dataloader().sampler
    )
    counts = [0, 0, 0]
    for epoch in range(100):
        sampler.set_epoch(epoch)
        for draw in sampler:
            counts[table.splits["train"][draw.sample].label] += 1
    assert [count / 1400 for count in counts] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_averaged_weights_by_hand(configure: Configure, recorder: Recorder, tmp_path: Path) -> None:
    train(configure(*PLAIN, "ema_decay=0.26", "test=true"))
    average = recorder.weights[0]
    for updates, weights in enumerate(recorder.weights[1:], start=1):
        rate = min(0.26, (1 + updates) / (10 + updates))
        average = {
            name: rate * average[name] + (1 - rate) * value if value.is_floating_point() else value
            for name, value in weights.items()
        }
    averaged = {name: value for name, value in average.items() if name.startswith("model.")}
    for name in ("last.ckpt", "best.ckpt"):
        stored = checkpoint(tmp_path / "run", name)
        assert_same({key: stored["state_dict"][key] for key in averaged}, averaged)
    assert_same(
        checkpoint(tmp_path / "run", "last.ckpt")["current_model_state"], recorder.weights[-1]
    )
    for used in (recorder.validated[0], recorder.tested):
        assert_same({key: used[key] for key in averaged}, averaged)
    assert differ(averaged, recorder.weights[-1], "model.backbone.")


@pytest.mark.parametrize(
    ("monitor", "patience", "best", "epochs"),
    [("acc", 2, 1, 4), ("loss", 1, 0, 2)],
    ids=["highest", "lowest"],
)
def test_best_checkpoint_and_early_stopping(
    configure: Configure,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    monitor: str,
    patience: int,
    best: int,
    epochs: int,
) -> None:
    """The scores are told, so that the best epoch is known: not the last, nor of another score."""
    told = {
        "acc": [0.2, 0.9, 0.5, 0.8, 1.0],
        "loss": [0.1, 0.7, 0.5, 0.6, 0.5],
        "mAP": [0.1, 0.2, 0.3, 0.4, 0.5],
    }

    def score(*_: object) -> dict[str, float]:
        epoch = len(recorder.validated) - 1
        return {name: values[epoch] for name, values in told.items()} | {
            "mean_per_class_acc": 0.5,
            "top5": 1.0,
        }

    monkeypatch.setattr("agnet_vision.training.module.score", score)
    train(
        configure(
            *PLAIN,
            "epochs=5",
            "test=true",
            f"monitor={monitor}",
            f"early_stopping_patience={patience}",
        )
    )
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == epochs
    assert [
        row[f"val/{monitor}"] for row in RunFolder(tmp_path / "run").read_history()
    ] == pytest.approx(told[monitor][:epochs])
    stored = checkpoint(tmp_path / "run", "best.ckpt")
    assert stored["epoch"] == best
    for weights in (stored["state_dict"], recorder.tested):
        assert not differ(recorder.validated[best], weights, "model.")
    assert differ(recorder.validated[-1], stored["state_dict"], "model.head.")


def test_frozen_epochs(configure: Configure, recorder: Recorder) -> None:
    train(configure(*PLAIN, "epochs=2", "freeze_backbone_epochs=1"))
    assert not differ(recorder.weights_at_start, recorder.validated[0], "model.backbone.")
    assert differ(recorder.weights_at_start, recorder.validated[0], "model.head.")
    assert differ(recorder.weights_at_start, recorder.validated[1], "model.backbone.")


def test_frozen_stages(configure: Configure, recorder: Recorder) -> None:
    """Through all epochs, statistics included, though Lightning puts the network into training."""
    train(configure(*PLAIN, "epochs=2", "backbone.freeze_at=2"))
    after, prefix = recorder.weights[-1], "model.backbone.model."
    for part in ("conv1.", "layer1.", "layer2."):
        assert not differ(recorder.weights_at_start, after, prefix + part), part
    for part in ("layer3.", "layer4."):
        assert differ(recorder.weights_at_start, after, prefix + part), part


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


def test_backbone_checkpoint_and_learning_rates(
    configure: Configure, recorder: Recorder, tmp_path: Path
) -> None:
    given, generator = (
        timm.create_model("test_resnet.r160_in1k").state_dict(),
        torch.Generator().manual_seed(5),
    )
    for value in given.values():
        value.copy_(torch.rand(value.shape, generator=generator))  # the statistics, too
    torch.save(given, tmp_path / "backbone.pth")
    train(
        configure(
            *PLAIN, f"backbone.checkpoint={tmp_path / 'backbone.pth'}", "optimizer.backbone_lr=0"
        )
    )
    prefix, learning = "model.backbone.model.", dict(recorder.module.named_parameters())
    backbone = {
        name: value for name, value in recorder.weights_at_start.items() if name.startswith(prefix)
    }
    assert len(backbone) > 50
    for name, value in backbone.items():
        assert torch.equal(value, given[name.removeprefix(prefix)]), name
        if name in learning:
            assert torch.equal(value, recorder.weights[-1][name]), name
    assert differ(recorder.weights_at_start, recorder.weights[-1], "model.head.")
