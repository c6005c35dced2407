"""Charts of a study: learning curves and differences of its arms."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agnet_vision.evaluation.charts import (
    CYCLE,
    FAINT,
    SECOND,
    History,
    add_legend,
    make_figure,
)
from agnet_vision.studies.comparison import ArmSummary


def arm_curves(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Draw the mean validation mAP of each arm over the epochs."""
    figure, (axes,) = make_figure(6.4, 3.8, 1)
    for (name, runs), color in zip(histories.items(), itertools.cycle(CYCLE), strict=False):
        values: dict[int, list[float]] = {}
        for row in itertools.chain.from_iterable(runs):
            if "val/mAP" in row:
                values.setdefault(int(row["epoch"]) + 1, []).append(row["val/mAP"])
        epochs = sorted(values)
        means = [float(np.mean(values[epoch])) for epoch in epochs]
        axes.plot(epochs, means, color=color, marker=".", markersize=4, label=name)
    axes.set(title="Validation mAP", xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(axes, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


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
