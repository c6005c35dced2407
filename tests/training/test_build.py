"""What the options build: loaders, network and trainer, in numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from agnet_vision.errors import ConfigError
from agnet_vision.training.train import train
from agnet_vision.training.trainer import build_trainer
from tests.training.tiny import (
    DESCENT,
    PLAIN,
    Configure,
    Recorder,
    checkpoint,
    differ,
    learned,
)


def test_frozen_stages(configure: Configure, recorder: Recorder) -> None:
    """Statistics stay too, though Lightning switches to training."""
    train(configure(*PLAIN, "epochs=2", "backbone.freeze_at=2"))
    after, prefix = recorder.weights[-1], "model.backbone.model."
    for part in ("conv1.", "layer1.", "layer2."):
        assert not differ(recorder.weights_at_start, after, prefix + part), part
    for part in ("layer3.", "layer4."):
        assert differ(recorder.weights_at_start, after, prefix + part), part


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("regions.num_clusters=0", "num_clusters must be"),
        ("backbone.kwargs.nonsense=1", "nonsense"),
        ("model.head.nonsense=1", "nonsense"),
        ("backbone.taps=[9]", "tap"),
        (
            "image_size=20",
            "gives a map of 1 x 1 cells, the head pools regions to 2 x 2; use a larger image_size",
        ),
    ],
)
def test_raises_on_options(configure: Configure, option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configure(option))


def test_gradient_clipping(configure: Configure, recorder: Recorder) -> None:
    train(configure(*DESCENT, "gradient_clip=0.001"))
    path = [recorder.weights_at_start, *recorder.weights]
    for before, after in itertools.pairwise(path):
        step = learned(after, recorder.module) - learned(before, recorder.module)
        assert float(step.norm()) == pytest.approx(0.5 * 0.001, rel=0.02)


def test_accumulated_batches_are_one_step(
    configure: Configure, recorder: Recorder, tmp_path: Path
) -> None:
    words = ("accumulate_batches=2", "gradient_clip=null", "loss.label_smoothing=0")
    train(configure(*DESCENT, *words))
    assert len(recorder.batches) == 5
    steps = checkpoint(tmp_path / "run")["global_step"]
    assert steps == 3, "two batches, two batches and the one that is left"
    start = recorder.weights_at_start
    first, second = recorder.weights[:2]
    module = recorder.module
    assert torch.equal(learned(first, module), learned(start, module))
    moved = (learned(second, module) - learned(start, module)).norm()
    assert moved > 0.5 * 0.001, "gradient_clip=null clips nothing"

    module.load_state_dict(start)
    module.train().zero_grad()
    losses = [F.cross_entropy(module(batch), batch["label"]) for batch in recorder.batches[:2]]
    (sum(losses) / 2).backward()
    for name, parameter in module.named_parameters():
        step = 0.5 * parameter.grad if parameter.grad is not None else 0
        torch.testing.assert_close(second[name], start[name] - step, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
def test_frozen_epochs_on_several_devices(
    configure: Configure, tmp_path: Path, strategy: str
) -> None:
    config = configure("trainer.devices=2", f"trainer.strategy={strategy}")
    trainer = build_trainer(config.trainer, tmp_path, [], freezes=True)
    assert vars(trainer.strategy)["_ddp_kwargs"]["find_unused_parameters"]


def test_raises_on_two_cures_for_rare_classes(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"sampler=balanced and loss\.class_weights=balanced"):
        configure("sampler=balanced", "loss.class_weights=balanced")
