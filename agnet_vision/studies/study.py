"""Studies: kinds of training ("arms") times seeds, compared in one table of differences.

Every run is an ordinary run folder, ``<output>/runs/<arm>/seed<seed>``. What is finished is never
run again, and what was interrupted goes on, so a study can be killed and started at any time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from joblib import Parallel, delayed

from agnet_vision.data.views import TTA
from agnet_vision.errors import AGNetError, ConfigError, extra_needed
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.options.compose import Values, compose, merge, nest, read_yaml
from agnet_vision.options.fields import list_options
from agnet_vision.options.resolve import read_stored, training_options
from agnet_vision.options.run import TrainConfig
from agnet_vision.options.validation import look_up
from agnet_vision.training.run import evaluate_with, train_with

Equal = Literal["epochs", "time"]
STUDY_KEYS = ("about", "base", "arms", "seeds", "baseline", "equal")
# Options, and groups of them, that may change between the runs of an arm: where it runs, and what
# is made of it.
FREE = ("run_dir", "resume", "report", "test", "tta", "workers", "cache_dir", "logger", "trainer")


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        about: question that it answers, in a sentence or two.
        base: options of all runs.
        arms: options that make each arm, over those of the base, by its name. Arms that differ in
            ``tta`` alone are tests of the same runs: the first of them is trained.
        seeds: seeds of every arm.
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
        """Return the arm that trains for this one: itself, or one that differs in ``tta`` alone."""
        own = {**self.composed[arm], "tta": None}
        return next(n for n in self.in_order() if {**self.composed[n], "tta": None} == own)

    def tta(self, arm: str) -> TTA:
        """Tell which views of images an arm's tests take."""
        return self.composed[arm].get("tta", "none")

    @cached_property
    def composed(self) -> dict[str, Values]:
        """Put the base, each arm, and the experiment that they name together."""
        return {arm: compose(merge(self.base, nest(own))) for arm, own in self.arms.items()}

    def in_order(self) -> list[str]:
        """List the arms, the baseline first."""
        return [self.baseline, *(arm for arm in self.arms if arm != self.baseline)]

    def options(self, arm: str, seed: int, folder: Path) -> Values:
        """Put the options of a run together."""
        own = {"seed": seed, "run_dir": str(folder), "resume": "auto", "report": False}
        return merge(merge(self.base, nest(self.arms[arm])), own)


def read_study(path: Path, base: Mapping[str, Any] | None = None) -> Study:
    """Read a study from YAML, and check the options of every arm.

    Args:
        path: file with ``base``, ``arms``, ``seeds`` and ``baseline``, and perhaps ``about`` and
            ``equal``.
        base: options over those of the file's base, such as where the dataset lies.

    Raises:
        ConfigError: the file is damaged, or an option of an arm is wrong.
    """
    content = read_yaml(path)
    if unknown := sorted(set(content) - set(STUDY_KEYS)):
        raise ConfigError(f"{path} must hold {', '.join(STUDY_KEYS)}, got {', '.join(unknown)}")
    arms = {str(name): options or {} for name, options in (content.get("arms") or {}).items()}
    baseline = content.get("baseline")
    equal = content.get("equal", "epochs")
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


def run_study(
    study: Study,
    output: Path,
    *,
    jobs: int = 1,
    threads: int | None = None,
    cluster: Mapping[str, Any] | None = None,
) -> None:
    """Run what is not finished, seed by seed and the baseline first.

    Args:
        study: study to run.
        output: folder of the study.
        jobs: number of runs at a time, each in a process of its own.
        threads: number of torch's threads in each; None: the cores, shared out.
        cluster: what submitit asks SLURM for, ``{"slurm_partition": "gpu", "timeout_min": 240}``;
            None: this machine.

    Raises:
        ConfigError: as ``check_runs``.
    """
    check_runs(study, output)
    start = partial(_run_all, study, output, jobs=jobs, threads=threads, cluster=cluster)
    arms = [arm for arm in study.in_order() if study.trained(arm) == arm]
    pairs = [(arm, seed) for seed in study.seeds for arm in arms]
    if study.equal == "time":
        # The baseline's own time decides how long the others may train.
        first = [(arm, seed) for arm, seed in pairs if arm == study.baseline]
        others = [pair for pair in pairs if pair not in first]
        start(first)
        start(others)
    else:
        start(pairs)

    tests = [arm for arm in study.in_order() if arm not in arms]
    start([(arm, seed) for seed in study.seeds for arm in tests])


def check_runs(study: Study, output: Path) -> None:
    """Compare the options of the runs that are there with those of the study.

    Raises:
        ConfigError: a run was trained with others, and would pass for what it is not.
    """
    for arm in (arm for arm in study.arms if study.trained(arm) == arm):
        free = {"dataset.root", *FREE}
        if study.equal == "time" and arm != study.baseline:
            free.add("epochs")
        names = [each.name for each in list_options(TrainConfig)]
        kept = [name for name in names if not free & {name, name.split(".")[0]}]
        for seed in study.seeds:
            folder = run_folder(output, arm, seed)
            if not folder.config.is_file():
                continue
            options = {**study.options(arm, seed, folder.path), "resume": False}
            now, before = training_options(options).model_dump(), read_stored(folder.path)
            for name in kept:
                if (old := look_up(before, name)) != (new := look_up(now, name)):
                    raise ConfigError(
                        f"{folder.path} was trained with {name}={old}, and the study says {new}; "
                        "give the study another output"
                    )


def run_folder(output: Path, arm: str, seed: int) -> RunFolder:
    """Name the run folder of an arm and a seed."""
    return RunFolder(output / "runs" / arm / f"seed{seed}")


def _run_all(
    study: Study,
    output: Path,
    pairs: Sequence[tuple[str, int]],
    *,
    jobs: int,
    threads: int | None,
    cluster: Mapping[str, Any] | None,
) -> None:
    left = [pair for pair in pairs if not is_finished(run_folder(output, *pair))]
    if cluster is not None and left:
        _submit(partial(_run_one, study, output, threads=threads), left, output, jobs, cluster)
        return
    threads = threads or max(1, torch.get_num_threads() // jobs)
    tasks = (delayed(_run_one)(study, output, arm, seed, threads) for arm, seed in left)
    # In the caller's own process where it is one at a time: Ctrl-C saves, as in any training.
    Parallel(n_jobs=jobs, backend="loky" if jobs > 1 else "sequential")(tasks)


def _submit(
    run: Callable[[str, int], None],
    pairs: Sequence[tuple[str, int]],
    output: Path,
    jobs: int,
    parameters: Mapping[str, Any],
) -> None:
    """Run on SLURM and wait for the end.

    Raises:
        AGNetError: runs failed; the others are finished.
        ConfigError: this machine cannot reach a SLURM.
    """
    with extra_needed("cluster"):
        import submitit

    if shutil.which("sbatch") is None:
        raise ConfigError("cluster= needs SLURM's sbatch, which is not here; leave cluster out")
    executor = submitit.AutoExecutor(output / "cluster", cluster="slurm")
    executor.update_parameters(**{"slurm_array_parallelism": jobs, **parameters})
    errors = failures(executor.map_array(run, *zip(*pairs, strict=True)))
    if errors:
        raise AGNetError(
            f"{len(errors)} of {len(pairs)} runs failed, the first with {errors[0]}; "
            f"their output is in {executor.folder}"
        )


def failures(jobs: Sequence[Any]) -> list[str]:
    """Wait for submitit's jobs, and return the last line of each error."""
    errors = [str(error) for job in jobs if (error := job.exception())]
    # A traceback stands between two lines of dashes; a job that never ran has none.
    return [[*error.split("\n-----"), error][1].strip().splitlines()[-1] for error in errors]


def _run_one(study: Study, output: Path, arm: str, seed: int, threads: int | None) -> None:
    """Train an arm with one seed, resume it, or test another arm's run."""
    if threads is not None:
        torch.set_num_threads(threads)
    folder = run_folder(output, arm, seed)
    if is_finished(folder):  # by a job of an earlier command, which waited in the queue as well
        return
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
    """Count the epochs of an arm that fit into the baseline's training time."""
    timed = run_folder(output, f"timed/{arm}", seed)
    if not is_finished(timed):
        options = study.options(arm, seed, timed.path)
        train_with(merge(options, {"epochs": 1, "test": False, "schedule": {"warmup_epochs": 0.0}}))
    seconds = timed.read_record()["training_seconds"]
    allowed = run_folder(output, study.baseline, seed).read_record()["training_seconds"]
    return max(1, int(allowed / seconds))


def is_finished(folder: RunFolder) -> bool:
    """Tell whether nothing of a run is left to do."""
    if not folder.config.is_file():  # not begun, or a test of another arm's run
        return folder.is_tested()
    tested = read_yaml(folder.config).get("test", True)
    return folder.is_tested() if tested else bool(folder.read_record().get("finished"))
