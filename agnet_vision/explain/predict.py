"""Photographs in, classes out: ``Predictor(load_model("outputs/my_run"))(find_images("photos"))``."""

from __future__ import annotations

import csv
import glob
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8

from agnet_vision.data.image import is_image_name, read_image
from agnet_vision.errors import ConfigError, ImageReadError
from agnet_vision.explain.prepared import take_views
from agnet_vision.models.agnet import AGNet

Format = Literal["table", "csv", "jsonl"]


@dataclass(frozen=True)
class Prediction:
    """What the network says about one file.

    Attributes:
        path: of the file.
        classes: names.
        probabilities: of the classes; None where the file could not be read.
        error: why it could not be read.
    """

    path: Path
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " classes"] | None
    error: str | None = None

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """Return the most probable classes, best first; empty where the file could not be read."""
        if self.probabilities is None:
            return []
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[k], float(self.probabilities[k])) for k in best]


class Predictor:
    """Classifies files in batches; a file that cannot be read gives a row with its error.

    Args:
        model: evaluated in evaluation mode, on the device it is on.
        batch_size: photographs a step; 16 (ours).
        workers: threads that decode photographs ahead; 4 (ours).
    """

    def __init__(self, model: AGNet, *, batch_size: int = 16, workers: int = 4) -> None:
        for name, value in (("batch_size", batch_size), ("workers", workers)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.model, self.batch_size, self.workers = model.eval(), batch_size, workers
        self.classes = model.classes or tuple(f"class {k}" for k in range(model.head.num_classes))

    def __call__(self, paths: Iterable[Path | str]) -> Iterator[Prediction]:
        """Yield a prediction for each path, in their order; at most two batches of photographs are in memory."""
        remaining = (Path(path) for path in paths)
        with ThreadPoolExecutor(self.workers) as pool:

            def read_ahead() -> list[tuple[Path, Future]]:
                """Begin to read the next batch."""
                return [
                    (path, pool.submit(read_image, path))
                    for path in islice(remaining, self.batch_size)
                ]

            batch = read_ahead()
            while batch:
                following = read_ahead()
                yield from self._predict(batch)
                batch = following

    @torch.no_grad()
    def probabilities(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    ) -> Float[np.ndarray, "images classes"]:
        """Classify photographs that are in memory already, as one batch."""
        device = next(self.model.parameters()).device
        views = take_views(self.model, list(images))
        batch = torch.stack([view.input for view in views]).to(device)
        parts = [view.regions for view in views]
        boxes, mask = (
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.mask for part in parts]),
        )
        regions = parts[0]._replace(boxes=boxes, mask=mask).to(device)
        return self.model(batch, regions).float().softmax(dim=1).cpu().numpy()

    def _predict(self, batch: list[tuple[Path, Future]]) -> Iterator[Prediction]:
        read = [_image_or_error(future) for _, future in batch]
        images = [image for image in read if not isinstance(image, ImageReadError)]
        found = iter(self.probabilities(images) if images else ())
        for (path, _), image in zip(batch, read, strict=True):
            if isinstance(image, ImageReadError):
                yield Prediction(path, self.classes, None, image.reason)
            else:
                yield Prediction(path, self.classes, next(found))


def _image_or_error(future: Future) -> UInt8[np.ndarray, "height width 3"] | ImageReadError:
    try:
        return future.result()
    except ImageReadError as error:
        return error


def choose_device(name: str) -> torch.device:
    """Name a device as torch does; ``auto`` takes the GPU where there is one.

    Raises:
        ConfigError: torch knows no such name, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # A torch without CUDA raises AssertionError; the other two are an unknown name and a missing device.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = (
            f"{torch.cuda.device_count()} CUDA devices"
            if torch.cuda.is_available()
            else "no CUDA device"
        )
        raise ConfigError(
            f"device must be auto, cpu, or one that torch finds here (cuda, cuda:1, mps), got {name!r}; torch finds {found}; "
            "choose device=cpu"
        ) from error
    return device


def find_images(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files that are meant: a file, a folder (searched to the bottom), a glob, ``-`` (a list on stdin), or several.

    A file named outright is taken whatever its suffix; folders and globs give images by suffix.

    Raises:
        ConfigError: nothing is there.
    """
    if not isinstance(where, str | Path):
        return [path for part in where for path in find_images(part)]
    if str(where) == "-":
        found = [Path(line.strip()) for line in sys.stdin if line.strip()]
    elif Path(where).is_dir():
        found = sorted(path for path in Path(where).rglob("*") if is_image_name(path.name))
    elif Path(where).exists() or not glob.has_magic(str(where)):
        found = [Path(where)]
    else:
        matches = sorted(Path(name) for name in glob.glob(str(where), recursive=True))
        found = [path for path in matches if path.is_file() and is_image_name(path.name)]
    if not found:
        raise ConfigError(
            f"no images at {where}; give a file, a folder, a glob such as 'photos/*.jpg', or - for a list"
        )
    return found


def write_rows(
    predictions: Iterable[Prediction], file: IO[str], form: Literal["csv", "jsonl"]
) -> Iterator[Prediction]:
    """Write each prediction as it comes, and pass it on."""
    writer = None
    for row in predictions:
        best = row.top()[0][0] if row.error is None else None
        if form == "jsonl":
            content: dict[str, Any] = {"path": str(row.path), "predicted": best, "error": row.error}
            if row.probabilities is not None:
                content["probabilities"] = dict(
                    zip(row.classes, row.probabilities.tolist(), strict=True)
                )
            file.write(json.dumps(content, ensure_ascii=False) + "\n")
        else:
            if writer is None:
                writer = csv.writer(file)
                writer.writerow(
                    ["path", "predicted", "error", *(f"probability_{name}" for name in row.classes)]
                )
            values = (
                [""] * len(row.classes)
                if row.probabilities is None
                else [f"{p:.9g}" for p in row.probabilities]
            )
            writer.writerow([row.path, best or "", row.error or "", *values])
        yield row
