"""What the report of a corrected run says of the correction: gained or lost, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from agnet_vision.data.image import read_image
from agnet_vision.evaluation import charts
from agnet_vision.evaluation.evidence_report import accuracy_by_group, groups_of
from agnet_vision.evaluation.run_folder import RunResults
from agnet_vision.evaluation.statistics import Interval, estimates, paired_difference
from agnet_vision.evaluation.thumbnails import DPI, SHOWN, SIDE, figure_address
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.overlays import THEMES, draw_image, outline_box, paint_evidence
from agnet_vision.models.agnet import AGNet, load_model

LEAST_GONE = 0.1  # part of the evidence inside marks that must be gone to speak of a gain


class GroupChange(NamedTuple):
    """Accuracy on a group of images before and after."""

    name: str
    images: int
    before: float
    after: float
    difference: Interval


class ChangeCard(NamedTuple):
    """An image with its evidence before and after, for what it was given before."""

    jpeg: str
    path: str
    what: str
    before: str
    after: str
    true: str


def correction_parts(
    run: RunResults, before: RunResults, rows: Sequence[Any], root: Path
) -> dict[str, Any]:
    """Make the part of the page that is about a correction.

    Args:
        run: scores of the corrected network.
        before: scores of the network as it was, on the same images.
        rows: scores after and before, with their paired differences, the accuracy's first.
        root: folder that paths of images are relative to.
    """
    told = run.folder.read_correction()
    taken = next(row for row in told["path"] if row["weight"] == told["weight"])
    was, now = told["before"]["evidence_kept_out"], taken["evidence_kept_out"]
    has_left = bool(told["weight"]) and now < (1 - LEAST_GONE) * was
    return {
        "told": told,
        "taken": taken,
        "rows": rows,
        "verdict": verdict(has_left, rows[0].difference),
        "gone": 1 - now / was if was else 0.0,
        "groups": worst_groups(run, before),
        "curve": charts.to_svg(charts.correction_path(told), "Path of the weight"),
        "cards": _cards(run, before, told, root),
    }


def verdict(has_left: bool, difference: Interval) -> str:
    """Say whether something was gained or lost.

    Args:
        has_left: whether evidence has left marks that were kept out of the fit.
        difference: of the accuracies on the test images.
    """
    accuracy = "accuracy on the test images did not change measurably"
    if difference.is_known and difference.low > 0:
        accuracy = "accuracy on the test images rose"
    if difference.is_known and difference.high < 0:
        accuracy = "accuracy on the test images was lost"
    if has_left:
        return f"Evidence has left the marks; {accuracy}."
    return f"Nothing was gained: the evidence has not left marks kept out of the fit; {accuracy}."


def worst_groups(run: RunResults, before: RunResults) -> list[GroupChange]:
    """Compare the groups that were worst before and are worst after."""
    pair = [replace(before, folder=run.folder), run]  # the run's list has the groups
    scored = [accuracy_by_group(each) for each in pair]
    names = groups_of(run)
    changes = []
    for name in dict.fromkeys(groups[0].name for groups in scored if groups):
        own = names == name
        first, second = (estimates(each.label[own], each.probability[own])["acc"] for each in pair)
        difference = paired_difference([second], [first], np.zeros(own.sum(), dtype=int))
        changes.append(GroupChange(name, int(own.sum()), first.value, second.value, difference))
    return changes


def _cards(
    run: RunResults, before: RunResults, told: Mapping[str, Any], root: Path
) -> list[ChangeCard]:
    """Explain marked images, and tested ones whose answer changed the most, before and after."""
    if not Path(told["checkpoint"]).exists():
        return []
    models = [centered(load_model(told["checkpoint"])), centered(load_model(run.checkpoint))]
    marked = told.get("shown", [])[: SHOWN // 2]
    shown = [
        (each["path"], f"{each['split']} image, marked", each["label"], each["boxes"])
        for each in marked
    ]
    change = np.abs(run.probability - before.probability).sum(axis=1)
    known = {each["path"] for each in marked}
    for number in np.argsort(-change, kind="stable"):
        if len(shown) == SHOWN:
            break
        path, is_other = run.paths[number], run.predicted[number] != before.predicted[number]
        if is_other and path not in known:
            true = run.classes[run.label[number]]
            shown.append((path, f"{run.scores['split']} image, other answer", true, []))

    cards = []
    for path, what, true, boxes in shown:
        image = read_image(root / path)
        first = explain(models[0], image)
        second = explain(models[1], image, target=first.target)
        old, new = (each.classes[int(each.probabilities.argmax())] for each in (first, second))
        cards.append(
            ChangeCard(
                figure_address(change_figure(first, second, boxes)), path, what, old, new, true
            )
        )
    return cards


def centered(model: AGNet) -> AGNet:
    """Take their mean over the classes from the weights, which a softmax does not see."""
    linear = model.head.classifier.linear
    with torch.no_grad():
        linear.weight.sub_(linear.weight.mean(dim=0))
    return model


def change_figure(
    before: Explanation, after: Explanation, boxes: Sequence[Sequence[float]]
) -> Figure:
    """Draw an image with its marks, and both evidence maps on one scale."""
    height, width = before.image.shape[:2]
    size = SIDE / DPI / max(height, width) * np.array([3 * width, height])
    figure = Figure(figsize=tuple(size), dpi=DPI, facecolor="#808080")
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.02)
    first, *others = figure.subplots(1, 3)

    draw_image(first, before.image, before.frame)
    for box in boxes:
        outline_box(first, np.multiply(box, [width, height] * 2), "#FFFFFF", linewidth=1.2)
    top = max(float(np.quantile(np.abs(each.heat()), 0.99)) for each in (before, after))
    for axes, each in zip(others, (before, after), strict=True):
        draw_image(axes, each.image, each.frame, gray=True)
        paint_evidence(each, axes, THEMES["light"], top)
    for axes in (first, *others):
        axes.set_axis_off()
    return figure
