"""Classify photographs, and draw where the network looked; options and their defaults: conf/predict.yaml."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors

if TYPE_CHECKING:
    from agnet_vision.explain.predict import Prediction
    from agnet_vision.explain.write import Format

FORMATS = ("table", "csv", "jsonl")


@hydra.main(version_base=None, config_path="../conf", config_name="predict")
def main(config: DictConfig) -> None:
    """Predict; heavy imports wait until the options are known to be right."""
    with friendly_errors():
        predict(config)


def predict(config: DictConfig) -> None:
    """Predict all images and write or print the rows."""
    for name in ("checkpoint", "images"):
        if OmegaConf.is_missing(config, name):
            raise ConfigError(f"{name}= is missing; see the top of conf/predict.yaml for examples")
    form = row_format(config)
    from rich.progress import track

    from agnet_vision.explain.files import find_images, name_outputs
    from agnet_vision.explain.predict import Predictor, choose_device
    from agnet_vision.explain.write import write_rows
    from agnet_vision.models.agnet import load_model

    images = list(config.images) if isinstance(config.images, ListConfig) else str(config.images)
    paths = find_images(images)
    model = load_model(config.checkpoint).to(choose_device(config.device))
    rows: Iterable[Prediction] = Predictor(model, batch_size=config.batch_size)(paths)
    with ExitStack() as stack:
        file = sys.stdout
        if config.output:
            Path(config.output).absolute().parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(Path(config.output).open("w", newline="", encoding="utf-8"))
        if form != "table":
            rows = write_rows(rows, file, form)
        rows = track(
            rows, "predicting", len(paths), console=error_console(), disable=not config.progress
        )
        kept = []
        names = name_outputs(paths, f".{config.figure_format}")
        for row in rows:
            # Probabilities of every class of every image are needed by none of what follows.
            kept.append((row.path, row.top(config.top), row.error))
            if config.figures and row.error is None:
                draw(config, model, row.path, Path(config.figures) / names[row.path])
    if form == "table":
        print_table(kept)
    failed = sum(error is not None for _, _, error in kept)
    for place in filter(None, (config.output, config.figures)):
        print(f"written to {place}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(kept)} images could not be read", file=sys.stderr)
    sys.exit(1 if failed == len(kept) else 0)


def row_format(config: DictConfig) -> Format:
    """Choose the format from ``format`` and the suffix of ``output``."""
    suffix = Path(config.output).suffix.lower() if config.output else ""
    by_suffix: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl"}
    form: Format = config.format or by_suffix.get(suffix, "table")
    if form not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {form!r}")
    if config.output and form == "table":
        raise ConfigError(
            f"output must end in .csv or .jsonl, or format= must say which, got {config.output!r}"
        )
    return form


def error_console() -> Console:
    """Make a console on stderr, so that rows on stdout can be piped."""
    from rich.console import Console

    return Console(stderr=True)


def draw(config: DictConfig, model: AGNet, path: Path, place: Path) -> None:
    """Explain one image and save the figure."""
    from agnet_vision.data.image import read_image
    from agnet_vision.explain.explanation import explain
    from agnet_vision.explain.figures import explanation_figure, save_figure

    figure = explanation_figure(explain(model, read_image(path)), theme=config.theme)
    save_figure(figure, place)


def print_table(rows: list[tuple[Path, list[tuple[str, float]], str | None]]) -> None:
    """Print paths and their best classes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table(Column("image", overflow="fold"), "class", "probability", "then")
    for path, best, error in rows:
        if error is not None:
            table.add_row(escape(str(path)), "[red]cannot be read[/red]", "", escape(error))
            continue
        (name, probability), *others = best
        then = escape(", ".join(f"{n} {p:.1%}" for n, p in others))
        table.add_row(escape(str(path)), escape(name), f"{probability:.1%}", then)
    Console().print(table)


if __name__ == "__main__":
    with friendly_errors():
        check_options("predict")
        main()
