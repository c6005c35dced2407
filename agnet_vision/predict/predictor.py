"""Classification of images in batches.

``Predictor(load_model("outputs/my_run"))("photos")`` yields a ``Prediction`` per image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agnet_vision.choices import TTA
from agnet_vision.data.image import read_image
from agnet_vision.data.views import TestTimeViews
from agnet_vision.errors import ConfigError, ImageReadError, PredictionError
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.files import find_images
from agnet_vision.predict.prepared import Preparation, PreparedImage, batch_of
from agnet_vision.regions.proposer import no_keypoints
from agnet_vision.structures import RGBImage
from agnet_vision.task import SINGLE_LABEL, Task

Image = str | Path | RGBImage


@dataclass(frozen=True)
class Prediction:
    """What the network says about one image.

    Attributes:
        path: path of the file; of an array ``image 0`` and so on, by its place.
        probabilities: probability of each class; None where the file could not be read.
        task: what the probabilities mean.
        embedding: features that the last linear layer sees; None likewise.
        error: reason why the file could not be read.
    """

    path: Path
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " classes"] | None
    embedding: Float[np.ndarray, " channels"] | None = None
    error: str | None = None
    task: Task = SINGLE_LABEL

    @property
    def predicted(self) -> list[str]:
        """Name the class that the image is given, or its labels, the most probable first."""
        if self.probabilities is None:
            return []
        return self.task.decided(self.probabilities, self.classes)

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """Return the most probable classes, best first, and none of an unreadable file."""
        if self.probabilities is None:
            return []
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[k], float(self.probabilities[k])) for k in best]


class Outputs(NamedTuple):
    """What the network says about images, averaged over their views."""

    probabilities: Float[np.ndarray, "images classes"]
    embeddings: Float[np.ndarray, "images channels"]


class Predictor:
    """Classifier of images in batches.

    Args:
        model: network to ask; it is put into evaluation mode and stays on its device.
        batch_size: views per step; 16 (ours).
        workers: threads that decode images ahead; 4 (ours).
        tta: views whose answers are averaged, see ``TestTimeViews``; ``"none"`` (ours).
    """

    def __init__(
        self,
        model: AGNet,
        *,
        batch_size: int = 16,
        workers: int = 4,
        tta: TTA = "none",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")

        self.model = model.eval()
        self.batch_size = batch_size
        self.workers = workers
        self.preparation = Preparation(model)
        self.views = TestTimeViews(model.data_config, tta)
        self.classes = class_names(model)

    def __call__(self, images: Image | Iterable[Image]) -> Iterator[Prediction]:
        """Yield a prediction per image, in their order, with at most two batches in memory.

        An unreadable file gives a prediction with its error.

        Args:
            images: a file, a folder, or as text a pattern, see ``find_images``; an image as an
                array; or several of these.

        Raises:
            ConfigError: nothing is there.
            PredictionError: the network's output is not finite.
            ValueError: an array is no 8-bit RGB image.
        """
        with ThreadPoolExecutor(self.workers) as pool:
            # Lazy: taking an image from here begins to read it.
            reading = ((path, pool.submit(_load, source)) for path, source in _sources(images))
            batch = list(islice(reading, self.batch_size))
            while batch:
                following = list(islice(reading, self.batch_size))
                yield from self._predict(batch)
                batch = following

    @torch.no_grad()
    def outputs(self, images: Sequence[RGBImage]) -> Outputs:
        """Classify images that are in memory already."""
        views = self._views(images)
        device = next(self.model.parameters()).device
        prepared = [view for of_image in views for view in of_image]

        probabilities, embeddings = [], []
        for start in range(0, len(prepared), self.batch_size):
            inputs, regions = batch_of(prepared[start : start + self.batch_size])
            feature_map = self.model.forward_features(inputs.to(device))
            embedding = self.model.head(feature_map, regions.to(device), pre_logits=True)
            embeddings.append(embedding.float().cpu())
            logits = self.model.head.classifier.linear(embedding)
            probabilities.append(probabilities_of(logits, self.model.task).cpu())

        counts = [len(of_image) for of_image in views]
        return Outputs(_means(probabilities, counts), _means(embeddings, counts))

    def _views(self, images: Sequence[RGBImage]) -> list[list[PreparedImage]]:
        """Prepare all views of each image."""
        found = [no_keypoints()] * len(images)
        if self.model.head.needs_regions:
            found = self.preparation.proposer.keypoints_many(images)
        return [
            [self.preparation.place(image, points, view) for view in self.views(image)]
            for image, points in zip(images, found, strict=True)
        ]

    def _predict(self, batch: list[tuple[Path, Future[RGBImage]]]) -> Iterator[Prediction]:
        images = [future.result() for _, future in batch if future.exception() is None]
        found = iter(zip(*self.outputs(images), strict=True)) if images else iter(())
        for path, future in batch:
            error = future.exception()
            if error is None:
                yield Prediction(path, self.classes, *next(found), task=self.model.task)
            elif isinstance(error, ImageReadError):
                yield Prediction(path, self.classes, None, error=error.reason)
            else:
                raise error


def _sources(images: Image | Iterable[Image]) -> Iterator[tuple[Path, Path | RGBImage]]:
    """List files and arrays, each with its name."""
    is_one = isinstance(images, str | Path) or getattr(images, "ndim", 0) == 3
    several: Any = [images] if is_one else images
    for number, image in enumerate(several):
        if isinstance(image, str) or (isinstance(image, Path) and image.is_dir()):
            yield from ((path, path) for path in find_images(image))
        elif isinstance(image, Path):
            yield image, image
        else:
            yield Path(f"image {number}"), image


def _load(source: Path | RGBImage) -> RGBImage:
    if isinstance(source, Path):
        return read_image(source)
    dtype: Any = getattr(source, "dtype", type(source).__name__)
    shape: tuple[int, ...] = getattr(source, "shape", ())
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise ValueError(
            "images must be files, or (height, width, 3) arrays of uint8 in RGB, got "
            f"{dtype} of shape {tuple(shape)}"
        )
    return source


def class_names(model: AGNet) -> tuple[str, ...]:
    """Name the classes of a network, by number where it has no names."""
    return model.classes or tuple(f"class {k}" for k in range(model.head.num_classes))


def probabilities_of(
    logits: Float[Tensor, "batch classes"], task: Task = SINGLE_LABEL
) -> Float[Tensor, "batch classes"]:
    """Turn logits into probabilities.

    Raises:
        PredictionError: a logit is not finite; a class drawn from that would be made up.
    """
    if not logits.isfinite().all():
        raise PredictionError(
            "the network answers with NaN or infinity: its training diverged, or its weights are "
            "damaged; take another checkpoint"
        )
    return task.probabilities(logits)


def choose_device(name: str) -> torch.device:
    """Find a torch device by its name; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: torch knows no such name, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # An unknown name, no CUDA in this torch, a missing device.
        raise ConfigError(
            f"device must be auto, cpu, or one that torch finds here (cuda, cuda:1, mps), got "
            f"{name!r}; choose device=cpu"
        ) from error
    return device


def _means(batches: list[Tensor], counts: list[int]) -> Float[np.ndarray, "images values"]:
    """Average the rows of each image's views."""
    groups = torch.cat(batches).split(counts)
    return torch.stack([group.mean(dim=0) for group in groups]).numpy()
