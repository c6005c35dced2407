"""What a search found: a table, a plot, and the best trial's options as an experiment."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from matplotlib import pyplot as plt
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization.matplotlib import plot_pareto_front

from agnet_vision.errors import ConfigError
from agnet_vision.evaluation.environment import environment
from agnet_vision.files import write_atomically
from agnet_vision.options.resolve import training_options
from agnet_vision.studies.comparison import markdown_table
from agnet_vision.studies.search import open_study
from agnet_vision.studies.space import Search, short_text, values_of

# Options of a trial that a training of its own need not have.
OF_A_TRIAL = {"run_dir", "resume", "test", "report"}

LEGEND = """
The score is that of the validation images; the test images are for the training of the best trial.

Outcomes: *front*, no other trial scores higher without being slower; *finished*, trained to the
end and beaten; *stopped*, worse than half of the trials at that epoch; *over budget* and
*impossible*, not trained.
"""


def summarize_search(search: Search, output: Path) -> str:
    """Write a search's table, JSON, plot and best options, and describe the best trial.

    Raises:
        ConfigError: no trial is finished.
    """
    study = open_study(search, output)
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not finished:
        reasons = sorted({trial.user_attrs["reason"] for trial in trials})
        raise ConfigError(
            f"no trial was finished ({'; '.join(reasons)}); "
            "raise budget.latency_ms or trials, or change the space"
        )

    pareto = _pareto_front(finished, search.metric, output / "front.png")
    rows = [_row(trial, search.metric, pareto) for trial in trials]
    rows.sort(key=lambda row: row[search.metric] or 0, reverse=True)
    best = study.best_trial
    content = {
        **study.user_attrs["search"],
        "processor": environment()["device"],
        "best": best.number,
        "trials": rows,
    }
    write_atomically(output / "search.json", json.dumps(content, indent=1) + "\n")
    table = markdown_table(list(rows[0]), [[*map(short_text, row.values())] for row in rows])
    write_atomically(output / "README.md", f"{table}{LEGEND}\n![front](front.png)\n")

    values = training_options(search.options(best.params, Path())).model_dump(exclude=OF_A_TRIAL)
    choice = {"defaults": [{"override /dataset": values["dataset"]["name"]}]}
    values_text = yaml.safe_dump({**choice, **values}, sort_keys=False, allow_unicode=True)
    found = f"{search.metric} {best.value:.4f}, {best.user_attrs['latency_ms']:.2f} ms"
    head = f"# @package _global_\n# Trial {best.number} of a search: {found}.\n"
    (output / "experiment").mkdir(exist_ok=True)
    write_atomically(output / "experiment" / "best.yaml", head + values_text)
    return f"trial {best.number}, {found}"


def _pareto_front(finished: Sequence[FrozenTrial], metric: str, path: Path) -> set[int]:
    """Draw the Pareto front of score and latency, and return its trials' numbers."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for trial in finished:
        values = [trial.values[0], trial.user_attrs["latency_ms"]]
        study.add_trial(optuna.create_trial(values=values))
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        plot_pareto_front(
            study,
            target_names=["latency of one image, ms", f"validation {metric}, %"],
            targets=lambda trial: (trial.values[1], 100 * trial.values[0]),
        )
        plt.savefig(path, dpi=120)
        plt.close()
    return {finished[best.number].number for best in study.best_trials}


def _row(trial: FrozenTrial, metric: str, pareto: set[int]) -> dict[str, Any]:
    """Describe a trial that has ended, ready for JSON and for a table."""
    scores = trial.intermediate_values.values()
    return {
        "trial": trial.number,
        metric: max(scores, default=None),
        "latency_ms": trial.user_attrs.get("latency_ms"),
        "epochs_trained": len(scores),
        **values_of(trial.params),
        "outcome": "front"
        if trial.number in pareto
        else trial.user_attrs.get("reason", "finished"),
    }
