"""What the report of a run shows where images have several labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from agnet_vision.data.image import read_image
from agnet_vision.evaluation import charts
from agnet_vision.evaluation.run_folder import RunResults
from agnet_vision.evaluation.statistics import reliability
from agnet_vision.evaluation.thumbnails import SHOWN, thumbnail
from agnet_vision.explain.explanation import explain
from agnet_vision.models.agnet import AGNet
from agnet_vision.task import ABSENT, PRESENT


class LabelCard(NamedTuple):
    """An image with the evidence for a label that is missed or given wrongly."""

    jpeg: str
    path: str
    label: str
    true: str
    probability: float


def label_parts(run: RunResults, model: AGNet, root: Path) -> dict[str, Any]:
    """Make the parts of the page that are about single labels."""
    given = run.task.decide(run.probability)
    scores = run.scores
    together = charts.together(scores["together"], scores["predicted_together"], run.classes)
    return {
        "classes": rows_by_label(run),
        "together": charts.to_svg(together, "Labels that come together"),
        "misses": _cards(run, model, root, (run.label == PRESENT) & ~given, -run.probability),
        "alarms": _cards(run, model, root, (run.label == ABSENT) & given, run.probability),
    }


def rows_by_label(run: RunResults) -> list[tuple[str, dict[str, Any]]]:
    """Add the calibration error of each label to its scores."""
    rows = []
    for name, row in run.rows_by_class():
        k = run.classes.index(name)
        *_, error = reliability(*run.task.claims(run.label[:, k], run.probability[:, k]))
        rows.append((name, row | {"ece": error}))
    return rows


def _cards(
    run: RunResults,
    model: AGNet,
    root: Path,
    wrong: Bool[np.ndarray, "images labels"],
    confidence: Float[np.ndarray, "images labels"],
) -> list[LabelCard]:
    """Explain the most confident mistakes of each label, those of the worst labels first."""
    names = [name for name, _ in run.rows_by_class()]
    each = max(1, SHOWN // max(1, len(names)))
    cards: list[LabelCard] = []
    for name in names:
        k = run.classes.index(name)
        order = np.argsort(-confidence[:, k], kind="stable")
        for number in [number for number in order if wrong[number, k]][:each]:
            if len(cards) == SHOWN:
                return cards
            image = read_image(root / run.paths[number])
            cards.append(
                LabelCard(
                    jpeg=thumbnail(explain(model, image, target=k)),
                    path=run.paths[number],
                    label=name,
                    true=run.task.text(run.label[number], run.classes).replace("|", ", ") or "none",
                    probability=float(run.probability[number, k]),
                )
            )
    return cards
