"""What exported files are worth on labeled images: accuracy, agreement, size and speed.

python tools/benchmark.py onnx model.onnx model.int8.onnx --images datasets/demo/data/test

The class of an image is the name of its folder. Regions are proposed as the file's own metadata
says.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from agnet_vision.data.image import read_image
from agnet_vision.errors import ConfigError
from agnet_vision.export.latency import time_in_turn
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.files import find_images
from agnet_vision.predict.prepared import Preparation
from benchmarks.conditions import conditions, ratio, summarize, write_report

VIEWS_AT_ONCE = 32  # images whose keypoints are grouped together; memory is all it costs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        help="of tools/export.py; the first is the reference",
    )
    parser.add_argument("--images", required=True, help="folder with a folder of images per class")
    parser.add_argument("--threads", type=int, default=1, help="of onnxruntime")
    parser.add_argument(
        "--timed",
        type=int,
        default=50,
        help="images that are timed, one at a time, the files in turn",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the record alone: nothing is drawn")
    parser.add_argument(
        "--output", type=Path, default=None, help="write the raw numbers to this JSON file"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score and time every file, print a table and write the numbers.

    Raises:
        ConfigError: a file, a class or a package is missing.
    """
    sessions = {str(path): open_session(path, arguments.threads) for path in arguments.files}
    config = read_metadata(next(iter(sessions.values())), arguments.files[0])
    inputs, labels = prepare(config, arguments.images)

    logits = {
        name: np.concatenate([infer(session, one) for one in inputs])
        for name, session in sessions.items()
    }

    rounds = [
        time_in_turn({name: partial(infer, each, one) for name, each in sessions.items()}, 1)
        for one in inputs[: arguments.timed]
    ]
    milliseconds = {
        name: [1e3 * seconds for each in rounds for seconds in each[name]] for name in sessions
    }

    first = str(arguments.files[0])
    report = {
        "images": len(labels),
        "files": {
            name: {
                "accuracy": float((logits[name].argmax(axis=1) == labels).mean()),
                "agreement": float(
                    (logits[name].argmax(axis=1) == logits[first].argmax(axis=1)).mean()
                ),
                "mebibytes": round(Path(name).stat().st_size / 2**20, 3),
                "milliseconds": summarize(milliseconds[name]),
                "ratio": ratio(milliseconds[name], milliseconds[first]),
            }
            for name in sessions
        },
        "threads": arguments.threads,
        "conditions": conditions(arguments.seed),
    }

    print_table(report)
    write_report(report, arguments.output)
    return report


def open_session(path: Path, threads: int) -> Any:
    """Open a file with onnxruntime.

    Raises:
        ConfigError: onnxruntime or the file is missing.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise ConfigError(
            "measuring ONNX files needs onnxruntime; pip install 'agnet_vision[export]'"
        )
    if not path.is_file():
        raise ConfigError(f"no file {path}; tools/export.py checkpoint=... format=onnx writes one")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options)


def read_metadata(session: Any, path: Path) -> dict[str, Any]:
    """Read what the exporter stored about the network.

    Raises:
        ConfigError: the file is not one of the exporter's, with images and boxes as its inputs.
    """
    stored = session.get_modelmeta().custom_metadata_map.get("agnet")
    names = [value.name for value in session.get_inputs()]
    if stored is None or names not in (["images"], ["images", "boxes"]):
        raise ConfigError(
            f"{path} must be a network exported by agnet_vision; its inputs are {names}"
        )
    return json.loads(stored)


def prepare(config: dict[str, Any], images: str) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Turn images into inputs, one by one, and the names of their folders into class numbers.

    Raises:
        ConfigError: a folder is not named after a class of the network.
    """
    # Its weights are not used: it knows the frame and proposes the regions.
    model = AGNet.from_config(config)
    paths, classes = find_images(images), list(model.classes or ())
    if strange := sorted({path.parent.name for path in paths} - set(classes)):
        raise ConfigError(
            f"folders under {images} must be named after the classes {classes}, got {strange}"
        )

    inputs = []
    for start in range(0, len(paths), VIEWS_AT_ONCE):
        views = Preparation(model)(
            [read_image(path) for path in paths[start : start + VIEWS_AT_ONCE]]
        )
        inputs += [
            {"images": view.input[None].numpy(), "boxes": view.regions.boxes.numpy()}
            for view in views
        ]

    return inputs, np.array([classes.index(path.parent.name) for path in paths])


def infer(session: Any, one: dict[str, np.ndarray]) -> np.ndarray:
    """Compute the logits; a network without regions takes no boxes."""
    names = {value.name for value in session.get_inputs()}
    return session.run(None, {name: one[name] for name in names})[0]


def print_table(report: dict[str, Any]) -> None:
    """Print a row per file."""
    table = Table(
        "file",
        "accuracy",
        "agreement",
        "MiB",
        "ms per image",
        title=f"{report['images']} images",
    )
    for name, row in report["files"].items():
        numbers = (f"{row['accuracy']:.4f}", f"{row['agreement']:.4f}", f"{row['mebibytes']:.2f}")
        table.add_row(name, *numbers, f"{row['milliseconds']['median']:.2f}")
    Console().print(table)
