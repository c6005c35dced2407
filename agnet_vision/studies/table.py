"""A study's differences, learning curves and timings."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from agnet_vision.data.views import COUNTS
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.charts import save_png
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.export.onnx import GridIn
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import load_model
from agnet_vision.options.compose import Values, flatten
from agnet_vision.options.resolve import read_stored
from agnet_vision.studies.charts import arm_curves, arm_differences
from agnet_vision.studies.comparison import ArmSummary, Trained, as_markdown, compare, read_trained
from agnet_vision.studies.study import Study, is_finished, run_folder

# What runs of one arm may differ in.
REPEATED = ("seed", "dataset.split_seed")
# What changes no result, so that runs that differ in it are of one arm.
HARMLESS_OPTIONS = ("dataset.root", "run_dir", "resume", "workers", "cache_dir", "report", "logger")


def summarize_study(study: Study, output: Path) -> list[ArmSummary]:
    """Write the table, JSON and plots of the runs of a study that are finished.

    Raises:
        ConfigError: no run of the baseline is finished.
    """
    kinds = {
        arm: [
            _read(study, output, arm, seed)
            for seed in study.seeds
            if is_finished(run_folder(output, arm, seed))
        ]
        for arm in study.in_order()
    }

    checkpoints = {
        study.trained(arm): run_folder(output, study.trained(arm), runs[0].seed[0]).best
        for arm, runs in kinds.items()
        if runs
    }

    milliseconds = forward_ms(checkpoints)
    forward = {
        arm: milliseconds[study.trained(arm)] * COUNTS[study.tta(arm)]
        for arm, runs in kinds.items()
        if runs
    }
    return write_comparison(kinds, study.baseline, output, study.about, forward)


def _read(study: Study, output: Path, arm: str, seed: int) -> Trained:
    """Read a run, or the test of another arm's run, which has no learning curve of its own."""
    folder = run_folder(output, arm, seed)
    source = study.trained(arm)
    if source == arm:
        return read_trained(folder, (seed,))
    trained = read_trained(run_folder(output, source, seed), (seed,), tested=folder)
    return replace(trained, history=[])


def forward_ms(checkpoints: Mapping[str, Path], *, batch: int = 8, rounds: int = 9) -> Values:
    """Time networks in turn, so that load slows all alike.

    Args:
        checkpoints: checkpoint of each network by its name; images are random, regions a grid.
        batch: number of images per pass.
        rounds: number of passes of each; the median counts.

    Returns:
        Milliseconds per image by the network's name.
    """
    models = {name: GridIn(load_model(path)).eval() for name, path in checkpoints.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.no_grad():
        for _ in range(rounds):
            for name, module in models.items():
                images = torch.rand(batch, *module.model.data_config["input_size"])
                began = time.perf_counter()
                module(images)
                seconds[name].append(time.perf_counter() - began)
    return {name: 1000 * statistics.median(found) / batch for name, found in seconds.items()}


def summarize_runs(
    folders: Sequence[Path], output: Path, baseline: str | None = None
) -> list[ArmSummary]:
    """Compare run folders; those that differ in their seeds alone are one arm.

    Args:
        folders: folders of finished trainings.
        output: folder for the table, JSON and plots.
        baseline: name of an arm, as the table shows it; None: that of the first folder.

    Raises:
        ConfigError: a folder is not a finished training, or two have the same options and seeds.
    """
    stored = {folder: flatten(read_stored(folder)) for folder in folders}
    if not stored:
        raise ConfigError("there is no run to compare; name folders of finished trainings")
    varied = sorted(
        name
        for name in {name for options in stored.values() for name in options}
        if not _is_in(name, (*REPEATED, *HARMLESS_OPTIONS))
        and len({repr(options.get(name)) for options in stored.values()}) > 1
    )

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
    """Write ``README.md``, ``study.json`` and two plots.

    Args:
        kinds: runs of each arm by its name.
        baseline: name of the arm that the others are compared to.
        output: folder for the files.
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
    text = f"{about}\n\n{as_markdown(rows)}\n![differences](differences.png)\n"
    write_atomically(output / "README.md", text.lstrip())

    histories = {
        name: [run.history for run in runs]
        for name, runs in kinds.items()
        if any(run.history for run in runs)
    }
    if histories:
        save_png(arm_curves(histories), output / "curves.png")
    save_png(arm_differences(rows), output / "differences.png")
    return rows


def _is_in(name: str, names: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)
