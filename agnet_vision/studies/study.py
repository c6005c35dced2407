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
from typing import Any

import torch
from joblib import Parallel, delayed

from agnet_vision.choices import TTA
from agnet_vision.errors import AGNetError, ConfigError, extra_needed
from agnet_vision.evaluation.run_folder import RunFolder
from agnet_vision.options.compose import Values, compose, flatten, lay, read_yaml
from agnet_vision.options.resolve import read_stored, training_options
from agnet_vision.training.run import evaluate_with, train_with

# Options, and groups of them, that may change between the runs of an arm: where it runs, and what
# is made of it.
HARMLESS = (
    "dataset.root",
    "run_dir",
    "resume",
    "report",
    "test",
    "workers",
    "cache_dir",
    "logger",
    "trainer",
)


@dataclass(frozen=True)
class Study:
    """The arms and seeds that a study compares.

    Attributes:
        about: question that it answers, in a sentence or two.
        arms: options that make each arm, over those of the base, by its name; the baseline, which
            the others are compared to, comes first. Arms that differ in ``tta`` alone are tests of
            the same runs: the first of them is trained.
    """

    about: str
    base: Values
    arms: Mapping[str, Values]
    seeds: Sequence[int]

    def trained(self, arm: str) -> str:
        """Return the arm that trains for this one: itself, or one that differs in ``tta`` alone."""
        trainings = {name: {**found, "tta": None} for name, found in self.composed.items()}
        return next(name for name, found in trainings.items() if found == trainings[arm])

    def tta(self, arm: str) -> TTA:
        """Tell which views of images an arm's tests take."""
        return self.composed[arm].get("tta", "none")

    @cached_property
    def composed(self) -> dict[str, Values]:
        """Put the base, each arm, and the experiment that they name together."""
        arms = {arm: compose("train", lay(self.base, own)) for arm, own in self.arms.items()}
        return {arm: {**found.values, "run_dir": None} for arm, found in arms.items()}

    def options(self, arm: str, seed: int, folder: Path) -> Values:
        """Put the options of a run together."""
        own = {"seed": seed, "run_dir": str(folder), "resume": "auto", "report": False}
        return {**lay(self.base, self.arms[arm]), **own}


def read_study(path: Path, base: Mapping[str, Any] | None = None) -> Study:
    """Read a study from YAML, and check the options of every arm.

    Args:
        path: file with ``base``, ``arms``, ``seeds`` and ``baseline``, and perhaps ``about``.
        base: options over those of the file's base, such as where the dataset lies.

    Raises:
        ConfigError: the file is damaged, or an option of an arm is wrong.
    """
    content = read_yaml(path)
    if unknown := sorted(set(content) - {"about", "base", "arms", "seeds", "baseline"}):
        raise ConfigError(
            f"{path} must hold base, arms, seeds, baseline and about, got {', '.join(unknown)}"
        )
    arms = {str(name): flatten(own or {}) for name, own in (content.get("arms") or {}).items()}
    baseline = content.get("baseline")
    if baseline not in arms:
        raise ConfigError(f"{path}: baseline must be one of the arms {', '.join(arms)}")

    study = Study(
        about=str(content.get("about", "")).strip(),
        base=lay(flatten(content.get("base") or {}), flatten(base or {})),
        arms={baseline: arms[baseline], **arms},
        seeds=content.get("seeds") or [0],
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
        jobs: number of runs at a time, each in a process of its own.
        threads: number of torch's threads in each; None: the cores, shared out.
        cluster: what submitit asks SLURM for, ``{"slurm_partition": "gpu", "timeout_min": 240}``;
            None: this machine.

    Raises:
        ConfigError: as ``check_runs``.
    """
    check_runs(study, output)
    if cluster is None:
        threads = threads or max(1, torch.get_num_threads() // jobs)
    run = partial(_run_one, study, output, threads=threads)
    trained = [arm for arm in study.arms if study.trained(arm) == arm]
    tested = [arm for arm in study.arms if arm not in trained]

    for arms in (trained, tested):
        pairs = [(arm, seed) for seed in study.seeds for arm in arms]
        left = [pair for pair in pairs if not is_finished(run_folder(output, *pair))]
        if cluster is not None and left:
            _submit(run, left, output, jobs, cluster)
        else:
            # One at a time is in this process: Ctrl-C saves, as in any training.
            Parallel(n_jobs=jobs)(delayed(run)(arm, seed) for arm, seed in left)


def check_runs(study: Study, output: Path) -> None:
    """Compare the options of the runs that are there with those of the study.

    Raises:
        ConfigError: a run was trained with others, and would pass for what it is not.
    """
    for arm in (arm for arm in study.arms if study.trained(arm) == arm):
        for seed in study.seeds:
            folder = run_folder(output, arm, seed)
            if not folder.config.is_file():
                continue

            options = {**study.options(arm, seed, folder.path), "resume": False}
            now = flatten(training_options(options).model_dump())
            before = flatten(read_stored(folder.path))
            for name in different_options([now, before], (*HARMLESS, "tta")):
                raise ConfigError(
                    f"{folder.path} was trained with {name}={before.get(name)}, and the study says "
                    f"{now.get(name)}; give the study another output"
                )


def different_options(runs: Sequence[Values], but: Sequence[str]) -> list[str]:
    """List the options that runs differ in, but for some and for groups of them."""
    names = sorted({name for options in runs for name in options})
    others = [name for name in names if name not in but and name.split(".")[0] not in but]
    return [name for name in others if len({repr(options.get(name)) for options in runs}) > 1]


def run_folder(output: Path, arm: str, seed: int) -> RunFolder:
    """Name the run folder of an arm and a seed."""
    return RunFolder(output / "runs" / arm / f"seed{seed}")


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
    started = executor.map_array(run, *zip(*pairs, strict=True))
    if failed := [job.job_id for job in started if job.exception()]:
        raise AGNetError(
            f"{len(failed)} of {len(pairs)} runs failed, the first as job {failed[0]}; "
            f"what they said is in {executor.folder}"
        )


def _run_one(study: Study, output: Path, arm: str, seed: int, *, threads: int | None) -> None:
    """Train an arm with one seed, resume it, or test another arm's run."""
    if threads is not None:
        torch.set_num_threads(threads)
    folder = run_folder(output, arm, seed)
    if is_finished(folder):  # by a job of an earlier command, which waited in the queue as well
        return

    source = study.trained(arm)
    if source == arm:
        train_with(study.options(arm, seed, folder.path))
        return
    run = run_folder(output, source, seed)
    stored = read_yaml(run.config)
    own = {name: stored[name] for name in ("batch_size", "workers", "cache_dir", "trainer")}
    own |= {"run_dir": str(folder.path), "tta": study.tta(arm), "report": False}
    evaluate_with({"checkpoint": str(run.path), **own})


def is_finished(folder: RunFolder) -> bool:
    """Tell whether nothing of a run is left to do."""
    if not folder.config.is_file():  # not begun, or a test of another arm's run
        return folder.is_tested()
    tested = read_yaml(folder.config).get("test", True)
    return folder.is_tested() if tested else bool(folder.read_record().get("finished"))
