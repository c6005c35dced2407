"""Studies: kinds of training (arms) times seeds -> run folders -> one table of differences.

Every run is an ordinary run folder, ``<output>/runs/<arm>/seed<seed>``. What is finished is never
run again, and what was interrupted goes on, so a study can be killed and started at any time.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from joblib import Parallel, delayed

from agnet_vision.data.views import COUNTS
from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.charts import arm_curves, arm_differences, save_png
from agnet_vision.evaluation.comparison import (
    Row,
    Trained,
    as_markdown,
    compare,
    read_trained,
)
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.files import write_atomically
from agnet_vision.models.agnet import load_model
from agnet_vision.models.export import GridIn
from agnet_vision.training.compose import Values, full_names, merge, nest, read_yaml
from agnet_vision.training.resolve import look_up, read_stored, training_options
from agnet_vision.training.run import evaluate_with, train_with

Equal = Literal["epochs", "time"]
KEYS = ("about", "base", "arms", "seeds", "baseline", "equal")
# What runs of one arm may differ in.
REPEATED = ("seed", "dataset.split_seed")
# What changes no result, so that runs that differ in it are of one arm.
HARMLESS = ("dataset.root", "run_dir", "resume", "workers", "cache_dir", "report", "logger")


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        about: the question, in a sentence or two.
        base: options of all runs.
        arms: name -> options that make the arm, over those of the base. Arms that differ in
            ``tta`` alone are tests of the same runs: the first of them is trained.
        seeds: of every arm.
        baseline: name of the arm that the others are compared to.
        equal: ``"epochs"``: as the options say; ``"time"``: each arm gets as many epochs as fit
            into the training time of the baseline, by one epoch of it that is timed first.
    """

    about: str
    base: Values
    arms: Mapping[str, Values]
    seeds: Sequence[int]
    baseline: str
    equal: Equal = "epochs"

    def trained(self, arm: str) -> str:
        """Name the arm whose runs an arm tests: itself, or one that differs in ``tta`` alone."""

        def training(name: str) -> Values:
            """Return the options that count in training."""
            return {**merge(self.base, nest(self.arms[name])), "tta": None}

        return next(name for name in self.in_order() if training(name) == training(arm))

    def tta(self, arm: str) -> str:
        """Tell which views of an image the tests of an arm take."""
        return merge(self.base, nest(self.arms[arm])).get("tta", "none")

    def in_order(self) -> list[str]:
        """List the arms, the baseline first."""
        return [self.baseline, *(arm for arm in self.arms if arm != self.baseline)]

    def options(self, arm: str, seed: int, folder: Path) -> Values:
        """Put the options of a run together."""
        own = {"seed": seed, "run_dir": str(folder), "resume": "auto", "report": False}
        return merge(merge(self.base, nest(self.arms[arm])), own)


def read_study(path: Path, base: Mapping[str, Any] | None = None) -> Study:
    """Read a study from YAML, and check the options of every arm before anything runs.

    Args:
        path: a file with ``base``, ``arms``, ``seeds`` and ``baseline``, and perhaps ``about`` and
            ``equal``.
        base: options over those of the file's base, such as where the dataset lies.

    Raises:
        ConfigError: the file is damaged, or an option of an arm is wrong.
    """
    if not path.is_file():
        raise ConfigError(f"there is no study {path}")
    content = read_yaml(path)
    if unknown := sorted(set(content) - set(KEYS)):
        raise ConfigError(f"{path} must hold {', '.join(KEYS)}, got {', '.join(unknown)}")
    arms = {str(name): options or {} for name, options in (content.get("arms") or {}).items()}
    baseline, equal = content.get("baseline"), content.get("equal", "epochs")
    if baseline not in arms:
        raise ConfigError(f"{path}: baseline must be one of the arms {', '.join(arms)}")
    if equal not in ("epochs", "time"):
        raise ConfigError(f"{path}: equal must be epochs or time, got {equal}")
    study = Study(
        about=str(content.get("about", "")).strip(),
        base=merge(nest(content.get("base") or {}), nest(base or {})),
        arms=arms,
        seeds=content.get("seeds") or [0],
        baseline=baseline,
        equal=equal,
    )
    for arm in arms:
        training_options(study.options(arm, 0, Path("unused")))
    return study


def run_study(study: Study, output: Path, *, jobs: int = 1, threads: int | None = None) -> None:
    """Run what is not finished yet, seed by seed, the baseline first.

    Args:
        study: what to run.
        output: folder of the study.
        jobs: runs at a time, each in a process of its own.
        threads: of torch in each; None: the cores, shared out.
    """
    arms = [arm for arm in study.in_order() if study.trained(arm) == arm]
    pairs = [(arm, seed) for seed in study.seeds for arm in arms]
    if study.equal == "time":
        # The baseline's own time decides how long the others may train.
        first = [(arm, seed) for arm, seed in pairs if arm == study.baseline]
        others = [pair for pair in pairs if pair not in first]
        _run_all(study, output, first, jobs, threads)
        _run_all(study, output, others, jobs, threads)
    else:
        _run_all(study, output, pairs, jobs, threads)
    tests = [arm for arm in study.in_order() if arm not in arms]
    _run_all(study, output, [(arm, seed) for seed in study.seeds for arm in tests], jobs, threads)


def run_folder(output: Path, arm: str, seed: int) -> RunFolder:
    """Name the folder of a run."""
    return RunFolder(output / "runs" / arm / f"seed{seed}")


def _run_all(
    study: Study, output: Path, pairs: Sequence[tuple[str, int]], jobs: int, threads: int | None
) -> None:
    threads = threads or max(1, torch.get_num_threads() // jobs)
    left = [pair for pair in pairs if not _is_finished(run_folder(output, *pair))]
    tasks = (delayed(_run_one)(study, output, arm, seed, threads) for arm, seed in left)
    # In the caller's own process where it is one at a time: Ctrl-C saves, as in any training.
    Parallel(n_jobs=jobs, backend="loky" if jobs > 1 else "sequential")(tasks)


def _run_one(study: Study, output: Path, arm: str, seed: int, threads: int) -> None:
    """Train one arm with one seed, from its start or from where it was, or test another's run."""
    torch.set_num_threads(threads)
    folder = run_folder(output, arm, seed)
    options = study.options(arm, seed, folder.path)
    if (source := study.trained(arm)) != arm:
        run = run_folder(output, source, seed)
        stored = read_yaml(run.config)
        own = {name: stored[name] for name in ("batch_size", "workers", "cache_dir", "trainer")}
        own |= {"run_dir": str(folder.path), "tta": study.tta(arm), "report": False}
        evaluate_with({"checkpoint": str(run.path), **own})
        return
    if study.equal == "time" and arm != study.baseline:
        options = merge(options, {"epochs": _epochs_in_time(study, output, arm, seed)})
    train_with(options)


def _epochs_in_time(study: Study, output: Path, arm: str, seed: int) -> int:
    """Count the epochs of an arm that fit into the training time of the baseline."""
    timed = run_folder(output, f"timed/{arm}", seed)
    if not _is_finished(timed):
        options = study.options(arm, seed, timed.path)
        train_with(merge(options, {"epochs": 1, "test": False, "schedule": {"warmup_epochs": 0.0}}))
    seconds = timed.read_record()["training_seconds"]
    allowed = run_folder(output, study.baseline, seed).read_record()["training_seconds"]
    return max(1, int(allowed / seconds))


def _is_finished(folder: RunFolder) -> bool:
    """Tell whether nothing of a run is left to do."""
    if not folder.config.is_file():  # not begun, or a test of another arm's run
        return folder.is_tested()
    tested = read_yaml(folder.config).get("test", True)
    return folder.is_tested() if tested else bool(folder.read_record().get("finished"))


def summarize_study(study: Study, output: Path) -> list[Row]:
    """Compare all that is finished, and write table, JSON and plots into the study's folder.

    Raises:
        ConfigError: no run of the baseline is finished.
    """
    kinds = {
        arm: [
            read_trained(run_folder(output, study.trained(arm), seed), (seed,), tested=folder)
            for seed in study.seeds
            if _is_finished(folder := run_folder(output, arm, seed))
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


def forward_ms(checkpoints: Mapping[str, Path], *, batch: int = 8, rounds: int = 9) -> Values:
    """Time the forward pass of networks in turn, so that a busy machine slows all alike.

    Args:
        checkpoints: name -> of a network; its images are random, its regions a grid.
        batch: images a pass.
        rounds: passes of each; the median counts.

    Returns:
        Name -> milliseconds an image.
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


def summarize_runs(folders: Sequence[Path], output: Path, baseline: str | None = None) -> list[Row]:
    """Compare run folders of any trainings: those that differ only in their seeds are one arm.

    Args:
        folders: finished trainings.
        output: where table, JSON and plots go.
        baseline: name of an arm, as the table shows it; None: that of the first folder.

    Raises:
        ConfigError: a folder is no finished training, or two have the same options and seeds.
    """
    stored = {folder: read_stored(folder) for folder in folders}
    if not stored:
        raise ConfigError("there is no run to compare; name folders of finished trainings")
    varied = sorted(
        name
        for name in {name for options in stored.values() for name in full_names(options)}
        if not _is_in(name, (*REPEATED, *HARMLESS))
        and len({repr(look_up(options, name)) for options in stored.values()}) > 1
    )
    kinds: dict[str, list[Trained]] = {}
    for folder, options in stored.items():
        name = " ".join(f"{each}={look_up(options, each)}" for each in varied) or "all runs"
        seed = tuple(look_up(options, each) for each in REPEATED)
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
) -> list[Row]:
    """Write ``README.md``, ``study.json`` and two plots."""
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
    histories = {name: [run.history for run in runs] for name, runs in kinds.items() if runs}
    save_png(arm_curves(histories), output / "curves.png")
    save_png(arm_differences(rows), output / "differences.png")
    return rows


def _is_in(name: str, names: Sequence[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)
