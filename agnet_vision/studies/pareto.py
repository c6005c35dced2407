"""A table of a search's trials: score against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OUTCOMES = ("front", "finished", "stopped", "over budget", "impossible")


@dataclass(frozen=True)
class Candidate:
    """A trial that has ended.

    Attributes:
        number: names its folder.
        outcome: one of ``OUTCOMES``: ``front``: none is better in one of score and latency and as
            good in the other; ``finished``: trained to its end; ``stopped``: early, its score was
            poor for its latency; ``over budget``: too slow, not trained; ``impossible``: its
            options do not fit together.
        options: those that were drawn.
        score: on the validation split, of its best epoch; None: not trained.
        latency_ms: of one image; None: there is no such network.
        scores: after each epoch.
        reason: why it was not finished.
    """

    number: int
    outcome: str
    options: Mapping[str, Any]
    score: float | None
    latency_ms: float | None
    scores: tuple[float, ...] = ()
    reason: str = ""


def in_order(trials: Sequence[Candidate]) -> list[Candidate]:
    """Sort trials by outcome, front first, then by latency."""
    return sorted(
        trials, key=lambda each: (OUTCOMES.index(each.outcome), each.latency_ms or 0.0, each.number)
    )


def as_markdown(trials: Sequence[Candidate], metric: str) -> str:
    """Write the table, scores in percent."""
    names = list(dict.fromkeys(name for each in trials for name in each.options))
    lines = [["trial", f"{metric} %", "ms", "epochs", *names, "outcome"]]
    lines.append(["---:"] * 4 + ["---"] * (len(names) + 1))
    for each in in_order(trials):
        score = "" if each.score is None else f"{100 * each.score:.2f}"
        latency = "" if each.latency_ms is None else f"{each.latency_ms:.2f}"
        options = [_shown(each.options.get(name)) for name in names]
        lines.append(
            [str(each.number), score, latency, str(len(each.scores)), *options, each.outcome]
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def in_words(options: Mapping[str, Any]) -> str:
    """Write options on a line."""
    return " ".join(f"{name}={_shown(value)}" for name, value in options.items())


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
