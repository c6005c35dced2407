"""``agnet faithfulness``: deletion and insertion curves of heat maps."""

from __future__ import annotations

import json
from pathlib import Path

from agnet_vision.cli.command import Command
from agnet_vision.options.fields import (
    Checkpoint,
    Device,
    Images,
    LocalPath,
    Options,
    Progress,
    Seed,
    option,
)


class FaithfulnessConfig(Options):
    """Options of ``agnet faithfulness``."""

    checkpoint: Checkpoint
    images: Images
    count: int = option("number of images that are drawn from those", ge=1)
    seed: Seed = option("seed of that draw and of the random regions")
    output: LocalPath | None = option("JSON file for the means of all curves, and areas")
    figure: LocalPath | None = option("PNG or SVG file of the mean curves")
    device: Device
    progress: Progress


def call(config: FaithfulnessConfig) -> None:
    """Draw images, measure, print a table, and write the curves."""
    import numpy as np
    from rich.progress import track
    from rich.table import Table

    from agnet_vision.data.image import read_image
    from agnet_vision.evaluation.faithfulness import curves_figure, measure, summarize
    from agnet_vision.explain.figures import save_figure
    from agnet_vision.models.agnet import load_model
    from agnet_vision.predict.files import find_images
    from agnet_vision.predict.predictor import choose_device
    from agnet_vision.training.console import console

    model = load_model(config.checkpoint).to(choose_device(config.device))
    found = find_images(config.images)
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(found))[: config.count])
    images = (read_image(found[number]) for number in chosen)
    bar = console(stderr=True)
    shown = track(images, "measuring", len(chosen), console=bar, disable=not config.progress)
    curves = measure(model, shown, seed=config.seed)
    areas = summarize(curves)

    table = Table(
        "map",
        "deletion (lower is better)",
        "insertion (higher is better)",
        title=f"{len(chosen)} images",
    )
    for name, row in areas.items():
        cells = (f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})" for area in row.values())
        table.add_row(name, *cells)
    console().print(table)

    if config.output:
        means = {
            name: {kind: c.mean(axis=0).round(4).tolist() for kind, c in row.items()}
            for name, row in curves.items()
        }
        drawn = {"images": len(chosen), "seed": config.seed}
        content = {**drawn, "areas": areas, "mean_curves": means}
        Path(config.output).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if config.figure:
        save_figure(curves_figure(curves), config.figure)


COMMAND = Command(
    schema=FaithfulnessConfig,
    call=call,
    examples=("checkpoint=outputs/my_run images=photos output=faithfulness.json",),
)
