"""``agnet faithfulness``: deletion and insertion curves of heat maps, or evidence inside boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    boxes: LocalPath | None = option(
        "CSV path,label,x0,y0,x1,y1 of the folder images=; then it is measured how much of the "
        "evidence for each label lies in its boxes, or without labels of the predicted class"
    )
    device: Device
    progress: Progress


def call(config: FaithfulnessConfig) -> None:
    """Measure curves, or evidence inside boxes."""
    measure_boxes(config, config.boxes) if config.boxes else measure_curves(config)


def measure_boxes(config: FaithfulnessConfig, boxes_path: str) -> None:
    """Print and write how much of the evidence lies in boxes."""
    import numpy as np
    from rich.progress import track
    from rich.table import Table

    from agnet_vision.errors import ConfigError
    from agnet_vision.evaluation.pointing import point, read_boxes, summarize_pointing
    from agnet_vision.models.agnet import load_model
    from agnet_vision.predict.predictor import choose_device, class_names
    from agnet_vision.training.console import console

    root = Path(str(config.images))
    if not root.is_dir() or config.figure:
        raise ConfigError("with boxes, images must be the folder of their paths, and figure null")
    model = load_model(config.checkpoint).to(choose_device(config.device))
    boxes = read_boxes(Path(boxes_path), class_names(model))
    names = images_with_boxes(config, root, boxes)
    drawn = np.random.default_rng(config.seed).permutation(len(names))[: config.count]
    chosen = [names[number] for number in np.sort(drawn)]
    bar = console(stderr=True)
    shown = track(chosen, "measuring", disable=not config.progress, console=bar)
    found = point(model, (root / name for name in shown), [boxes[name] for name in chosen])
    summary = summarize_pointing(found)

    table = Table("label", "images", "energy in box", "pointing", "by chance")
    for label, row in summary.items():
        cells = ("{:.3f} ({:.3f} to {:.3f})".format(*each) for each in (row.energy, row.pointing))
        table.add_row(label, f"{row.images:,}", *cells, f"{row.chance:.3f}")
    console().print(table)
    if config.output:
        labels = {label: row.plain() for label, row in summary.items()}
        content = {"images": len(chosen), "seed": config.seed, "labels": labels}
        Path(config.output).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def images_with_boxes(
    config: FaithfulnessConfig, root: Path, boxes: Mapping[str, object]
) -> list[str]:
    """List the images that have boxes and are there, of a run those of its test split.

    Raises:
        ConfigError: there is none.
    """
    from agnet_vision.data.sources.split_list import read_split_list
    from agnet_vision.errors import ConfigError
    from agnet_vision.evaluation.run_folder import RunFolder
    from agnet_vision.options.resolve import run_folder_of

    names = [name for name in boxes if (root / name).is_file()]
    splits = RunFolder(run_folder_of(config.checkpoint)).splits
    if splits.is_file():
        tested = {row.path for row in read_split_list(splits) if row.split == "test"}
        names = [name for name in names if name in tested]
    if not names:
        raise ConfigError(
            f"boxes={config.boxes} must name images in {root}, those that a run was tested on; it "
            f"names {len(boxes):,} others, {next(iter(boxes), 'none')} for one"
        )
    return names


def measure_curves(config: FaithfulnessConfig) -> None:
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
    examples=(
        "checkpoint=outputs/my_run images=photos output=faithfulness.json",
        "checkpoint=outputs/my_run images=photos boxes=boxes.csv count=1000",
    ),
)
