"""``agnet search`` as typed, and the experiment that it writes."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from agnet_vision.cli.main import dispatch
from agnet_vision.errors import ConfigError, extra_needed
from agnet_vision.models.agnet import AGNet
from agnet_vision.studies import search
from benchmarks.child import write_images
from tests.cli.saved import call
from tests.training.tiny import TINY


def test_what_it_prints_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def latency_ms(model: AGNet) -> float:
        return model.data_config["input_size"][-1] / 10

    monkeypatch.setattr(search, "latency_ms", latency_ms)
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "images", {"train": 4, "val": 2, "test": 2})
    output = tmp_path / "a search"
    words = [
        "search=demo",
        "space.backbone.output_stride=null",
        "space.regions.num_clusters=null",
        "space.image_size=[48,64]",
        "space.model=[backbone_only]",
        "budget.latency_ms=6",
        "trials=3",
        f"output={output}",
        "base.dataset.root=images",
        "base.epochs=1",
        *(f"base.{word}" for word in TINY if not word.startswith(("image_size", "epochs"))),
    ]
    call("search", *words)
    printed = capsys.readouterr().out
    hint = next(line for line in printed.splitlines() if "experiment=" in line)
    *_, folder, word, epochs = shlex.split(hint)
    assert (folder, word) == (f"--config-dir={output}", "experiment=best")
    assert int(epochs.removeprefix("epochs=")) > 1, "as many as a training has, not a trial"

    dispatch("train", [folder, word, "epochs=1", "run_dir=again"], ["agnet", "train"])
    assert (tmp_path / "again" / "metrics.json").is_file()
    assert "image_size: 48" in (tmp_path / "again" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("budget.latency_ms=0", r"budget\.latency_ms must be a number above 0"),
        ("search=nothing", "search must be one of default, demo, or a YAML file"),
        ("base.epohcs=3", r"epohcs; did you mean epochs"),
        ("space.image_size=3", r"space\.image_size must be a list"),
    ],
)
def test_wrong_options(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        call("search", word)
    assert "\n" not in str(error.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if re.match(r"agnet_vision.*search", name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.distributions", None)
    needed = r"optuna is not installed; pip install 'agnet_vision\[search\]'"
    with pytest.raises(ConfigError, match=needed), extra_needed("train"):
        dispatch("search", [], ["agnet", "search"])
