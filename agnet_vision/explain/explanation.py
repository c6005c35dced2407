"""Where the network looked at a photograph, as data: its regions, their attention, and their exact share in the logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from agnet_vision.explain.decomposition import decompose
from agnet_vision.explain.prepared import View, take_view
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints


@dataclass(frozen=True)
class Explanation:
    """One photograph, explained. Boxes are in pixels of the photograph; the whole image is the last region.

    ``backbone_only`` has a single region: what the network sees of the image.

    Attributes:
        image: the photograph.
        keypoints: found on it, in its pixels.
        slot: primary region each keypoint belongs to, -1 outside the frame.
        frame: ``(x0, y0, x1, y1)`` of what the network sees.
        boxes: of the regions.
        mask: True where the slot holds a region.
        num_primary: the first slots that may hold a primary region.
        classes: names.
        logits: of the classes.
        probabilities: of the classes.
        target: the class that is explained.
        importance: w, how much each region's context counts; sums to one.
        pairwise: m, how much region r takes from region r'.
        coefficients: weight of each region in the descriptor, ``sum_r w_r m_rr'``.
        bias: of each logit.
        evidence: exact share of each region in each logit; ``logits = bias + evidence.sum(0)``.
        bins: evidence for the target by bin of each region.
        cells: evidence for the target by cell of the feature map.
        variant: of the head.
        has_attention: whether the regions are weighed by what they show.
    """

    image: UInt8[np.ndarray, "height width 3"]
    keypoints: Keypoints
    slot: Int[np.ndarray, " points"]
    frame: tuple[float, float, float, float]
    boxes: Float[np.ndarray, "regions 4"]
    mask: Bool[np.ndarray, " regions"]
    num_primary: int
    classes: tuple[str, ...]
    logits: Float[np.ndarray, " classes"]
    probabilities: Float[np.ndarray, " classes"]
    target: int
    importance: Float[np.ndarray, " regions"]
    pairwise: Float[np.ndarray, "regions regions"]
    coefficients: Float[np.ndarray, " regions"]
    bias: Float[np.ndarray, " classes"]
    evidence: Float[np.ndarray, "regions classes"]
    bins: Float[np.ndarray, "regions rows columns"]
    cells: Float[np.ndarray, "map_height map_width"]
    variant: str
    has_attention: bool

    def heat(
        self, of: Literal["evidence", "attention"] = "evidence", size: int = 112
    ) -> Float[np.ndarray, "size size"]:
        """Paint the evidence for the target, or the importance, over the frame; the sum over the picture is kept.

        Each bin spreads its value evenly over the rectangle it was pooled from.
        """
        values = self.bins
        if of == "attention":
            values = np.broadcast_to(
                (self.importance / self.bins[0].size)[:, None, None], self.bins.shape
            )
        x0, y0, x1, y1 = self.frame
        boxes = (self.boxes - (x0, y0, x0, y0)) / (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        return _paint(values[self.mask], boxes[self.mask], size)

    def region_name(self, region: int) -> str:
        """Name a slot: ``3`` for a primary region, ``1+4`` for a pair, ``whole``."""
        if region == len(self.mask) - 1:
            return "whole"
        if region < self.num_primary:
            return str(region + 1)
        first, second = np.triu_indices(self.num_primary, 1)
        return f"{first[region - self.num_primary] + 1}+{second[region - self.num_primary] + 1}"


def explain(
    model: AGNet,
    image: UInt8[np.ndarray, "height width 3"] | View,
    *,
    target: int | None = None,
    proposer: RegionProposer | None = None,
) -> Explanation:
    """Explain one photograph.

    Args:
        model: any variant; evaluated in evaluation mode, and left in the mode it was in.
        image: 8-bit RGB, or a view taken before.
        target: index of the class to explain; the most probable one by default.
        proposer: makes the regions instead of the model's own; at most its number of clusters.
    """
    view = image if isinstance(image, View) else take_view(model, image, proposer)
    device = next(model.parameters()).device
    with _evaluation(model), torch.no_grad():
        feature_map = model.forward_features(view.input[None].to(device))
        regions = view.regions.to(device) if model.head.needs_regions else None
        logits = model.head(feature_map, regions)[0]
        target = int(logits.argmax()) if target is None else target
        parts = decompose(model.head, feature_map, regions, torch.tensor([target], device=device))
    boxes, mask = np.array([[0, 0, 1, 1]], np.float32), np.array([True])
    if regions is not None:
        boxes, mask = view.regions.boxes[0].numpy(), view.regions.mask[0].numpy()
    x0, y0, x1, y1 = view.frame
    size, corner = (
        np.array([x1 - x0, y1 - y0] * 2, np.float32),
        np.array([x0, y0, x0, y0], np.float32),
    )
    return Explanation(
        image=view.image,
        keypoints=view.keypoints,
        slot=view.slot,
        frame=view.frame,
        boxes=(boxes * size + corner) * mask[:, None],
        mask=mask,
        num_primary=model.head.num_clusters if regions is not None else 0,
        classes=model.classes or tuple(f"class {k}" for k in range(len(logits))),
        logits=logits.cpu().numpy(),
        probabilities=logits.softmax(0).cpu().numpy(),
        target=target,
        bias=parts.bias.cpu().numpy(),
        variant=model.variant,
        has_attention=model.head.has_attention,
        **{name: getattr(parts, name)[0].cpu().numpy() for name in _OF_ONE_IMAGE},
    )


_OF_ONE_IMAGE = ("importance", "pairwise", "coefficients", "evidence", "bins", "cells")


@contextmanager
def _evaluation(model: AGNet) -> Iterator[None]:
    """Put the model into evaluation mode for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _paint(
    values: Float[np.ndarray, "regions rows columns"],
    boxes: Float[np.ndarray, "regions 4"],
    size: int,
) -> Float[np.ndarray, "size size"]:
    """Spread each bin evenly over its rectangle of a ``size`` x ``size`` picture of the frame."""
    edges = np.linspace(0, 1, size + 1)

    def overlap(
        low: Float[np.ndarray, " regions"], high: Float[np.ndarray, " regions"], bins: int
    ) -> np.ndarray:
        """Return the share of each bin that lies in each row, or column, of the picture."""
        ends = low[:, None] + (high - low)[:, None] * np.linspace(
            0, 1, bins + 1
        )  # (regions, bins + 1)
        start, stop = ends[:, :-1, None], ends[:, 1:, None]
        covered = np.clip(np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
        return covered / np.maximum(covered.sum(axis=2, keepdims=True), 1e-12)

    rows = overlap(boxes[:, 1], boxes[:, 3], values.shape[1])
    columns = overlap(boxes[:, 0], boxes[:, 2], values.shape[2])
    return np.einsum("rij,riy,rjx->yx", values, rows, columns, optimize=True)
