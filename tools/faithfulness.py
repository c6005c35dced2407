"""Measure how faithful the heat maps are, on your photographs; options and their defaults: conf/faithfulness.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf
from options import check_options

from agnet_vision.errors import ConfigError, friendly_errors


@hydra.main(version_base=None, config_path="../conf", config_name="faithfulness")
def main(config: DictConfig) -> None:
    """Measure, print a table, and write the curves."""
    with friendly_errors():
        for name in ("checkpoint", "images"):
            if OmegaConf.is_missing(config, name):
                raise ConfigError(
                    f"{name}= is missing; see the top of conf/faithfulness.yaml for an example"
                )
        run(config)


def run(config: DictConfig) -> None:
    """Draw photographs, measure, report; heavy imports come late."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from agnet_vision.data.image import read_image
    from agnet_vision.evaluation.faithfulness import measure, summarize
    from agnet_vision.explain.files import find_images
    from agnet_vision.explain.predict import choose_device
    from agnet_vision.models.agnet import load_model

    device = choose_device(config.device)
    model = load_model(config.checkpoint).to(device)
    found = find_images(
        list(config.images) if isinstance(config.images, ListConfig) else str(config.images)
    )
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(found))[: config.count])
    images = (read_image(found[number]) for number in chosen)
    shown = track(
        images, "measuring", len(chosen), console=Console(stderr=True), disable=not config.progress
    )
    curves = measure(model, shown, seed=config.seed)
    areas = summarize(curves)
    table = Table(
        "map",
        "deletion (lower is better)",
        "insertion (higher is better)",
        title=f"{len(chosen)} photographs",
    )
    for name, row in areas.items():
        cells = (
            f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})" for value in row.values()
        )
        table.add_row(name, *cells)
    Console().print(table)
    if config.output:
        means = {
            name: {kind: c.mean(axis=0).round(4).tolist() for kind, c in row.items()}
            for name, row in curves.items()
        }
        content = {
            "photographs": len(chosen),
            "seed": config.seed,
            "areas": areas,
            "mean_curves": means,
        }
        Path(config.output).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if config.figure:
        from agnet_vision.evaluation.faithfulness import curves_figure
        from agnet_vision.explain.figures import save_figure

        save_figure(curves_figure(curves), config.figure)


if __name__ == "__main__":
    with friendly_errors():
        check_options("faithfulness")
        main()
