"""A study's table, its plot of differences, and timings of its networks."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from agnet_vision.data.views import COUNTS
from agnet_vision.errors import ConfigError, as_typed
from agnet_vision.evaluation.charts import FAINT, SECOND, make_figure, save_png
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.export.latency import time_in_turn
from agnet_vision.export.onnx import GridIn
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import load_model
from agnet_vision.options.compose import flatten
from agnet_vision.options.resolve import read_stored
from agnet_vision.studies.comparison import (
    ArmSummary,
    Trained,
    as_markdown,
    compare,
    read_trained,
    verdicts,
)
from agnet_vision.studies.study import (
    HARMLESS,
    Study,
    different_options,
    is_finished,
    run_folder,
)

# What runs of one arm may differ in.
REPEATED = ("seed", "dataset.split_seed")
TIMED_BATCH = 8  # images per pass whose time is taken


def summarize_study(study: Study, output: Path) -> list[ArmSummary]:
    """Write the table, JSON and plot of the runs of a study that are finished.

    Raises:
        ConfigError: no run of the baseline is finished.
    """
    kinds = {
        arm: [
            read_trained(run_folder(output, study.trained(arm), seed), (seed,), tested=tested)
            for seed in study.seeds
            if is_finished(tested := run_folder(output, arm, seed))
        ]
        for arm in study.arms
    }

    seeds = {arm: runs[0].seed[0] for arm, runs in kinds.items() if runs}
    checkpoints = {
        arm: run_folder(output, study.trained(arm), seed).best for arm, seed in seeds.items()
    }
    milliseconds = forward_ms(checkpoints)
    forward = {arm: milliseconds[arm] * COUNTS[study.tta(arm)] for arm in seeds}
    about = f"{study.about}\n\n{describe_arms(study)}"
    return write_comparison(kinds, next(iter(kinds)), output, about, forward)


def describe_arms(study: Study) -> str:
    """List the arms with the options that they differ in."""
    lines = []
    for arm, options in study.arms.items():
        own = " ".join(f"`{name}={as_typed(value)}`" for name, value in flatten(options).items())
        lines.append(f"- *{arm}*: {own or 'the options of all arms'}")
    return "\n".join(lines)


def forward_ms(checkpoints: Mapping[str, Path]) -> dict[str, float]:
    """Time networks in turn on random images and a grid, in milliseconds per image."""
    passes = {}
    for name, path in checkpoints.items():
        network = GridIn(load_model(path)).eval()
        images = torch.rand(TIMED_BATCH, *network.model.data_config["input_size"])
        passes[name] = partial(network, images)

    with torch.no_grad():
        seconds = time_in_turn(passes, rounds=9)
    return {name: 1000 * statistics.median(s) / TIMED_BATCH for name, s in seconds.items()}


def summarize_runs(
    folders: Sequence[Path], output: Path, baseline: str | None = None
) -> list[ArmSummary]:
    """Compare run folders; those that differ in their seeds alone are one arm.

    Args:
        baseline: name of an arm, as the table shows it; None: that of the first folder.

    Raises:
        ConfigError: a folder is not a finished training, or two have the same options and seeds.
    """
    stored = {folder: flatten(read_stored(folder)) for folder in folders}
    if not stored:
        raise ConfigError("there is no run to compare; runs= names folders of trainings, quoted")
    varied = different_options(list(stored.values()), (*REPEATED, *HARMLESS))

    kinds: dict[str, list[Trained]] = {}
    for folder, options in stored.items():
        name = " ".join(f"{each}={options.get(each)}" for each in varied) or "all runs"
        seed = tuple(options.get(each) for each in REPEATED)
        runs = kinds.setdefault(name, [])
        if any(run.seed == seed for run in runs):
            raise ConfigError(f"{folder} repeats another run ({name}) with its seed; leave one out")
        runs.append(read_trained(RunFolder(folder), seed))
    return write_comparison(kinds, baseline or next(iter(kinds)), output, "", {})


def write_comparison(
    kinds: Mapping[str, Sequence[Trained]],
    baseline: str,
    output: Path,
    about: str,
    forward: Mapping[str, float],
) -> list[ArmSummary]:
    """Write ``README.md``, ``study.json`` and ``differences.png``.

    Args:
        about: text above the table.
        forward: milliseconds per image by the name of the arm; may lack some.

    Raises:
        ConfigError: the baseline has no runs.
    """
    rows = [replace(row, forward_ms=forward.get(row.name)) for row in compare(kinds, baseline)]
    output.mkdir(parents=True, exist_ok=True)
    content = {
        "about": about,
        "baseline": baseline,
        "rows": [asdict(row) for row in rows],
        "runs": {
            name: [{"seed": list(run.seed), **run.scores} for run in runs]
            for name, runs in kinds.items()
        },
    }
    write_atomically(output / "study.json", json.dumps(content, indent=1) + "\n")
    text = f"{about}\n\n{as_markdown(rows)}\n{verdicts(rows)}\n![differences](differences.png)\n"
    write_atomically(output / "README.md", text.lstrip())

    save_png(arm_differences(rows), output / "differences.png")
    return rows


def arm_differences(rows: Sequence[ArmSummary], score: str = "mAP") -> Figure:
    """Draw the differences to the baseline, the first of ``rows``, with 95 % intervals."""
    shown = [row for row in reversed(rows) if row.difference]
    figure, (axes,) = make_figure(6.4, 1.2 + 0.35 * len(shown), 1)
    for place, row in enumerate(shown):
        value, low, high = (100 * end for end in row.difference[score])
        if np.isfinite(low):
            axes.plot([low, high], [place, place], color=SECOND, linewidth=2)
        axes.plot([value], [place], "o", color=SECOND, markersize=6)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.set(xlabel=f"{score}, points above {rows[0].name}", ylim=(-0.6, len(shown) - 0.4))
    return figure
