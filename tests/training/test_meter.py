"""What a training cost, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from agnet_vision.training import meter as module
from agnet_vision.training.meter import Meter


@pytest.mark.parametrize(
    ("device", "clock", "other"),
    [("cpu", "process_time", "monotonic"), ("cuda", "monotonic", "process_time")],
)
def test_value_epochs_are_timed_and_images_counted(
    device: str, clock: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [5.0]
    monkeypatch.setattr(module.time, clock, lambda: now[0])
    monkeypatch.setattr(module.time, other, lambda: 1e9)
    trainer = SimpleNamespace(world_size=2)
    network = SimpleNamespace(device=torch.device(device))
    meter = Meter()
    for seconds in (3.0, 4.0):
        meter.on_train_epoch_start(trainer, network)
        for size in (4, 3):
            meter.on_train_batch_end(trainer, network, None, {"label": torch.zeros(size)}, 0)
        now[0] += seconds
        meter.on_train_epoch_end(trainer, network)
        now[0] += 100  # between the epochs nothing counts
    assert (meter.seconds, meter.images) == (7.0, 28)


def test_value_goes_on_from_a_checkpoint() -> None:
    before, after = Meter(), Meter()
    before.seconds, before.images = 12.5, 40
    after.load_state_dict(before.state_dict())
    assert (after.seconds, after.images) == (12.5, 40)
