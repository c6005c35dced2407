"""Open the demo page on this computer; options and their defaults: conf/demo.yaml."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, ListConfig
from options import check_options

from agnet_vision.errors import friendly_errors

if TYPE_CHECKING:
    from agnet_vision.models.agnet import AGNet


@hydra.main(version_base=None, config_path="../conf", config_name="demo")
def main(config: DictConfig) -> None:
    """Load the networks and serve the page until Ctrl-C; heavy imports wait until the options are known to be right."""
    with friendly_errors(), TemporaryDirectory(prefix="agnet_demo_") as folder:
        from agnet_vision.demo.page import build_page, launch
        from agnet_vision.explain.predict import choose_device

        device = choose_device(config.device)
        models = {name: model.to(device) for name, model in load_models(config.checkpoint).items()}
        # Beetles are what the demo model knows; other networks have other photographs.
        examples = paint_examples(Path(folder)) if config.checkpoint is None else []
        page = build_page(models, examples)
        logging.getLogger("httpx").setLevel(
            logging.WARNING
        )  # Gradio calls its own server to see that it is up
        print(
            f"open {launch(page, host=config.host, port=config.port)} in a browser; Ctrl-C ends it",
            flush=True,
        )
        page.block_thread()


def load_models(checkpoint: str | ListConfig | None) -> dict[str, AGNet]:
    """Open the checkpoints; each is named by its variant, backbone and place."""
    from agnet_vision.demo.networks import demo_models
    from agnet_vision.models.agnet import load_model

    if checkpoint is None:
        return demo_models()
    places = list(checkpoint) if isinstance(checkpoint, ListConfig) else [checkpoint]
    opened = [(str(place), load_model(place)) for place in places]
    return {f"{model.variant}, {model.backbone_name} ({place})": model for place, model in opened}


def paint_examples(folder: Path) -> list[Path]:
    """Paint one picture of each class of the demo set."""
    import cv2
    import numpy as np

    from agnet_vision.data.demo.marks import MARKS
    from agnet_vision.data.demo.scene import paint_scene

    paths = []
    for number, mark in enumerate(MARKS):
        picture = paint_scene(np.random.default_rng((7, number)), mark, image_size=128)
        paths.append(folder / f"{mark}.png")
        cv2.imwrite(str(paths[-1]), picture[..., ::-1])
    return paths


if __name__ == "__main__":
    with friendly_errors():
        check_options("demo")
        main()
