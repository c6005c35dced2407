"""``agnet demo``: the local page."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agnet_vision.cli.command import Command
from agnet_vision.options.fields import Device, Options, Place, Text, option

if TYPE_CHECKING:
    from agnet_vision.demo.correcting import Correcting
    from agnet_vision.models.agnet import AGNet


class DemoConfig(Options):
    """Options of ``agnet demo``."""

    checkpoint: Place | list[Place] | None = option(
        "run folder, best.ckpt, saved folder, owner/name on the Hub, or [several,of,these]; null: "
        "ours",
    )
    host: Text = option("address of the page; 0.0.0.0 lets everybody on the network in")
    port: int | None = option(
        "port of the page; null: the first free one from 7860 on", ge=1, le=65535
    )
    device: Device


def call(config: DemoConfig) -> None:
    """Load the networks and serve the page until Ctrl-C."""
    from agnet_vision.data.demo import generate_demo
    from agnet_vision.demo.page import build_page, launch
    from agnet_vision.predict.predictor import choose_device

    device = choose_device(config.device)
    models = {name: model.to(device) for name, model in load_models(config.checkpoint).items()}
    with TemporaryDirectory(prefix="agnet_demo_") as folder:
        if config.checkpoint is None:  # the demo networks know painted pebbles, others do not
            generate_demo(Path(folder, "set"), seed=7, num_train=6, num_val=6, num_test=6)
        examples = sorted(Path(folder).glob("set/test/*/*.jpg"))
        page = build_page(models, examples, open_correcting(config))
        # Gradio calls its own server to see that it is up.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        address = launch(page, host=config.host, port=config.port)
        print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
        page.block_thread()


def load_models(checkpoint: str | list[str] | None) -> dict[str, AGNet]:
    """Open checkpoints, named by variant, backbone and place."""
    from agnet_vision.demo.networks import demo_models
    from agnet_vision.models.agnet import load_model

    if checkpoint is None:
        return demo_models()
    places = [checkpoint] if isinstance(checkpoint, str) else checkpoint
    opened = [(place, load_model(place)) for place in places]
    return {f"{model.variant}, {model.backbone_name} ({place})": model for place, model in opened}


def open_correcting(config: DemoConfig) -> Correcting | str | None:
    """Open the run that the page can correct, or say why it cannot; of several, none."""
    from agnet_vision.demo.correcting import Correcting
    from agnet_vision.errors import AGNetError

    if not isinstance(config.checkpoint, str):
        return None
    try:
        return Correcting(config.checkpoint, config.device)
    except AGNetError as error:
        return str(error)


COMMAND = Command(
    schema=DemoConfig,
    call=call,
    examples=(
        "",
        "checkpoint=outputs/demo/my_run",
        "checkpoint=[outputs/full,outputs/backbone_only]",
    ),
)
