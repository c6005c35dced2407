"""Classify images, and print or save the classes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from agnet_vision.choices import TTA
from agnet_vision.cli.command import Command
from agnet_vision.options.fields import (
    Checkpoint,
    Device,
    Images,
    ImageSize,
    LocalPath,
    Options,
    Progress,
    View,
    option,
)
from agnet_vision.options.run import TTA_HELP

if TYPE_CHECKING:
    from agnet_vision.explain.overlays import ThemeName
    from agnet_vision.models.agnet import AGNet
    from agnet_vision.predict.predictor import Prediction

Ranked = tuple[list[tuple[str, float]], list[tuple[str, float]]]
Format = Literal["table", "csv", "jsonl"]
SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl"}


class PredictConfig(Options):
    """Options of ``agnet predict``."""

    checkpoint: Checkpoint
    images: Images
    output: LocalPath | None = option(".csv or .jsonl file; null: to the terminal")
    format: Format | None = option("null: as the suffix of output says, table without one")
    image_size: ImageSize
    view: View
    tta: TTA | None = option(f"null: as the run was tested; {TTA_HELP}")
    embeddings: LocalPath | None = option(
        ".npy file with a row per image of what the last layer sees; NaN where it is unreadable"
    )
    figures: LocalPath | None = option(
        "folder for a figure per image: evidence, keypoints, regions, attention"
    )
    figure_format: Literal["png", "svg"] = option("format of the figures")
    theme: Literal["light", "dark"] = option("colors of the figures")
    top: int = option(
        "classes per image in the table; of several labels, those given at least", ge=1
    )
    batch_size: int = option("images per step", ge=1)
    device: Device
    progress: Progress

    @model_validator(mode="after")
    def _check(self) -> PredictConfig:
        if self.output and self.row_format() == "table":
            raise ValueError(
                f"output must end in .csv or .jsonl, or format must say which, got {self.output}"
            )
        if self.embeddings and Path(self.embeddings).suffix.lower() != ".npy":
            raise ValueError(f"embeddings must end in .npy, got {self.embeddings}")
        return self

    def row_format(self) -> Format:
        """Choose the format from ``format`` and the suffix of ``output``."""
        suffix = Path(self.output or "").suffix.lower()
        return self.format or SUFFIXES.get(suffix, "table")


def call(config: PredictConfig) -> None:
    """Predict all images, and write or print the rows.

    Exits with 1 if none could be read.
    """
    from rich.progress import track

    from agnet_vision.data.preprocessing import change_view
    from agnet_vision.models.agnet import load_model
    from agnet_vision.options.resolve import run_options
    from agnet_vision.predict.files import find_images, name_outputs
    from agnet_vision.predict.predictor import Predictor, choose_device
    from agnet_vision.predict.table import write_embeddings, write_predictions
    from agnet_vision.training.console import console

    paths = find_images(config.images)
    model = load_model(config.checkpoint).to(choose_device(config.device))
    model.data_config = change_view(
        model.data_config, image_size=config.image_size, view=config.view
    )
    tta = config.tta or run_options(config.checkpoint).get("tta", "none")
    predictor = Predictor(model, batch_size=config.batch_size, tta=tta)
    rows: Iterable[Prediction] = predictor(paths)
    form = config.row_format()
    kept = []
    for place in filter(None, (config.output, config.embeddings)):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        file = sys.stdout
        if config.output:
            file = stack.enter_context(Path(config.output).open("w", newline="", encoding="utf-8"))
        if form != "table":
            rows = write_predictions(rows, file, form)
        if config.embeddings:
            shape = (len(paths), model.head.classifier.norm.num_features)
            rows = write_embeddings(rows, config.embeddings, shape)
        bar = console(stderr=True)
        names = name_outputs(paths, f".{config.figure_format}")
        for row in track(rows, "predicting", len(paths), console=bar, disable=not config.progress):
            # Probabilities of every class of every image are needed by none of what follows.
            kept.append((row.path, _ranked(row, config.top), row.error))
            if config.figures and row.error is None:
                _draw(model, row.path, Path(config.figures) / names[row.path], config.theme)

    if form == "table":
        _print_table(kept)
    failed = sum(error is not None for _, _, error in kept)
    for place in filter(None, (config.output, config.embeddings, config.figures)):
        print(f"written to {place}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(kept)} images could not be read", file=sys.stderr)
    if failed == len(kept):
        sys.exit(1)


def _draw(model: AGNet, image: Path, place: Path, theme: ThemeName) -> None:
    """Draw where the network looked in an image."""
    from agnet_vision.data.image import read_image
    from agnet_vision.explain.explanation import explain
    from agnet_vision.explain.figures import explanation_figure, save_figure

    save_figure(explanation_figure(explain(model, read_image(image)), theme=theme), place)


def _ranked(row: Prediction, top: int) -> Ranked:
    """List what an image is given, and after it what is most probable of the rest."""
    best = row.top(len(row.classes))
    given = [(name, p) for name, p in best if name in row.predicted]
    rest = [(name, p) for name, p in best if name not in row.predicted]
    return given, rest[: max(0, top - len(given))]


def _print_table(rows: list[tuple[Path, Ranked, str | None]]) -> None:
    """Print names, the classes that the images are given, and the next best."""
    from rich.table import Column, Table

    from agnet_vision.training.console import console

    folder = os.path.commonpath([path.parent.absolute() for path, _, _ in rows])
    image = Column("image", overflow="fold")
    table = Table(image, "class", "probability", "then", title=f"images of {folder}")
    for path, (given, rest), error in rows:
        name = os.path.relpath(path, folder)
        if error is not None:
            table.add_row(name, "cannot be read", "", error, style="red")
            continue
        names = ", ".join(name for name, _ in given) or "none"
        shares = ", ".join(f"{p:.1%}" for _, p in given)
        table.add_row(name, names, shares, ", ".join(f"{name} {p:.1%}" for name, p in rest))
    console(soft_wrap=False).print(table)


COMMAND = Command(
    schema=PredictConfig,
    call=call,
    examples=(
        "checkpoint=outputs/demo/my_run images=photo.jpg",
        "checkpoint=outputs/demo/my_run images='photos/*.jpg' output=predictions.csv "
        "figures=explained",
        "checkpoint=outputs/demo/my_run images=- format=jsonl",
    ),
)
