"""What Lightning's trainer does with the options, in numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from agnet_vision.training.train import train
from agnet_vision.training.trainer import build_trainer
from tests.training.tiny import DESCENT, Configure, Recorder, checkpoint, learned


def test_gradient_clipping(configure: Configure, recorder: Recorder) -> None:
    train(configure(*DESCENT, "gradient_clip=0.001"))
    path = [recorder.weights_at_start, *recorder.weights]
    for before, after in itertools.pairwise(path):
        step = learned(after, recorder.module) - learned(before, recorder.module)
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
    assert torch.equal(learned(first, module), learned(start, module))
    assert (learned(second, module) - learned(start, module)).norm() > 0.5 * 0.001, (
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


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
def test_frozen_epochs_on_several_devices(
    configure: Configure, tmp_path: Path, strategy: str
) -> None:
    config = configure(
        "trainer.devices=2",
        f"trainer.strategy={strategy}",
    )
    trainer = build_trainer(config.trainer, tmp_path, [], freezes=True)
    assert vars(trainer.strategy)["_ddp_kwargs"]["find_unused_parameters"]
