from __future__ import annotations

import io
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from omegaconf import DictConfig
from rich.console import Console

from agnet_vision.training.progress import ImagesPerSecond
from agnet_vision.training.train import train


def test_value_images_per_second() -> None:
    column = ImagesPerSecond(32)
    for finished, speed, text in (
        (None, 2.5, "80 images/s"),
        (4.0, 2.5, "128 images/s"),
        (None, None, "- images/s"),
    ):
        assert column.render(SimpleNamespace(finished_speed=finished, speed=speed)).plain == text


def test_progress_bar_of_a_run(
    configure: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr(
        "pytorch_lightning.callbacks.progress.rich_progress.get_console", lambda: console
    )
    train(configure("model=backbone_only", "test=false", "trainer.progress_bar=true"))
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", screen.getvalue())  # the cursor's movements
    last = [line for line in drawn.splitlines() if line.startswith("Epoch 2/2")][-1]
    assert " 5/5 " in last
    assert re.search(r"\d+:\d\d:\d\d • \d+:\d\d:\d\d \d+ images/s ", last), (
        "time gone, time left, speed"
    )
    assert re.search(r"val/acc: [01]\.\d{3} val/mAP: [01]\.\d{3}", last)
    assert "v_num" not in last
