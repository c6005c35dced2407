"""What the options build: loaders and network, in numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.training.build import build_data, build_model, build_table
from agnet_vision.training.train import train
from tests.training.tiny import PLAIN, Configure, Recorder, differ, write_unbalanced


def test_balanced_sampler(configure: Configure, tmp_path: Path) -> None:
    config = configure(
        *PLAIN, f"dataset.root={write_unbalanced(tmp_path / 'data')}", "sampler=balanced"
    )
    table = build_table(config.dataset, config.seed)
    model = build_model(config, table.classes)
    sampler = build_data(table, model, config, sampler=config.sampler).train_dataloader().sampler
    counts = [0, 0, 0]
    for epoch in range(100):
        sampler.set_epoch(epoch)
        for draw in sampler:
            counts[table.splits["train"][draw.sample].label] += 1
    assert [count / 1400 for count in counts] == pytest.approx([1 / 3] * 3, abs=0.05)


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
