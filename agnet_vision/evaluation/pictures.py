"""The report's photographs: explained thumbnails, and what the regions of a sample look like."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from agnet_vision.data.image import read_image
from agnet_vision.evaluation.run_folder import Run
from agnet_vision.explain.explanation import Explanation, explain
from agnet_vision.explain.figures import GROUP_COLOURS
from agnet_vision.explain.overlays import THEMES
from agnet_vision.models.agnet import AGNet
from agnet_vision.structures import Keypoints

SIDE = 220  # pixels of a thumbnail's longer side
SHOWN = 12  # mistakes, and random pictures
SAMPLE = 192  # pictures whose regions are counted
BATCH = 32
FEW_POINTS = 9  # below it a mixture of eight groups is not fitted in full (method, step 2)


@dataclass(frozen=True)
class Card:
    """A thumbnail and its caption; ``jpeg`` is a data address."""

    jpeg: str
    path: str
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class RegionStatistics:
    """What the proposer found in a sample of the pictures."""

    sampled: int
    points: list[int]
    groups: list[int]

    @property
    def few(self) -> int:
        """Count the pictures with fewer points than a full mixture takes."""
        return sum(count < FEW_POINTS for count in self.points)

    @property
    def none(self) -> int:
        """Count the pictures without any point: only their whole image is a region."""
        return sum(count == 0 for count in self.points)


def confident_mistakes(run: Run) -> Int[np.ndarray, " pictures"]:
    """List the pictures that are wrong with the highest confidence."""
    wrong = np.flatnonzero(run.predicted != run.label)
    return wrong[np.argsort(-run.probability[wrong].max(axis=1), kind="stable")][:SHOWN]


def random_pictures(run: Run, *, seed: int = 0) -> Int[np.ndarray, " pictures"]:
    """Draw pictures, right or wrong, so that the mistakes do not stand alone."""
    return np.sort(np.random.default_rng(seed).permutation(len(run.label))[:SHOWN])


def make_cards(
    run: Run, model: AGNet, root: Path, chosen: Int[np.ndarray, " pictures"]
) -> list[Card]:
    """Explain the chosen pictures for the class they were given.

    Raises:
        ImageReadError: one cannot be read any more.
    """
    cards = []
    for number in chosen:
        told = explain(
            model, read_image(root / run.paths[number]), target=int(run.predicted[number])
        )
        cards.append(
            Card(
                jpeg=thumbnail(told),
                path=run.paths[number],
                true=run.classes[run.label[number]],
                predicted=run.classes[run.predicted[number]],
                confidence=float(run.probability[number].max()),
            )
        )
    return cards


def region_statistics(
    run: Run, model: AGNet, root: Path, *, seed: int = 0
) -> RegionStatistics | None:
    """Count points and groups on a sample; None where the regions come from no points."""
    if not model.proposer.needs_keypoints or not model.head.needs_regions:
        return None
    chosen = np.random.default_rng(seed).permutation(len(run.paths))[:SAMPLE]
    found: list[Keypoints] = []
    for start in range(0, len(chosen), BATCH):  # grouped together, far faster than one by one
        images = [read_image(root / run.paths[number]) for number in chosen[start : start + BATCH]]
        found += model.proposer.keypoints_many(images)
    return RegionStatistics(
        len(found), [len(f.xy) for f in found], [len(np.unique(f.group)) for f in found]
    )


def thumbnail(told: Explanation) -> str:
    """Draw the photograph with its three most important regions beside the evidence, as a JPEG data address."""
    scale = SIDE / max(told.image.shape[:2])
    size = (max(1, round(told.image.shape[1] * scale)), max(1, round(told.image.shape[0] * scale)))
    photograph = cv2.resize(
        told.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    sides = [_with_boxes(told, photograph.copy(), scale), _with_heat(told, photograph, scale)]
    axis = 1 if size[1] >= size[0] else 0  # beside a tall photograph, under a wide one
    gap = np.full((size[1], 4, 3) if axis else (4, size[0], 3), 128, np.uint8)
    joined = np.concatenate([sides[0], gap, sides[1]], axis=axis)
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(joined, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82]
    )
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _with_boxes(
    told: Explanation, photograph: UInt8[np.ndarray, "height width 3"], scale: float
) -> UInt8[np.ndarray, "height width 3"]:
    order = np.argsort(-told.importance, kind="stable")
    order = order[told.mask[order] & (order < len(told.mask) - 1)]
    for region in order[:3]:
        colour = GROUP_COLOURS[region % 8] if region < told.num_primary else "#FFFFFF"
        low, high = (told.boxes[region] * scale).round().astype(int).reshape(2, 2)
        for thickness, ink in ((3, (0, 0, 0)), (1, _rgb(colour))):
            cv2.rectangle(photograph, low.tolist(), high.tolist(), ink, thickness, cv2.LINE_AA)
    return photograph


def _with_heat(
    told: Explanation, photograph: UInt8[np.ndarray, "height width 3"], scale: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay the evidence over the grey photograph: warm speaks for the class, cold against it."""
    height, width = photograph.shape[:2]
    grey = np.repeat(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)[..., None] / 2 + 110, 3, axis=2)
    heat = told.heat().astype(np.float32)
    heat /= float(np.quantile(np.abs(heat), 0.99)) or 1.0
    x0, y0, x1, y1 = (np.array(told.frame) * scale).tolist()
    size = heat.shape[0]
    # Pixel centres of the thumbnail in cells of the heat map.
    columns = ((np.arange(width) + 0.5 - x0) / (x1 - x0) * size - 0.5).astype(np.float32)
    rows = ((np.arange(height) + 0.5 - y0) / (y1 - y0) * size - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    spread = cv2.remap(
        heat, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    strength = np.clip(np.abs(spread), 0, 1)[..., None] * 0.85
    theme = THEMES["light"]
    tint = np.where(
        spread[..., None] > 0, np.array(_rgb(theme.supports)), np.array(_rgb(theme.opposes))
    )
    return (grey * (1 - strength) + tint * strength).clip(0, 255).astype(np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
