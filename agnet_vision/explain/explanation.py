"""Where the network looked, as data: regions, their attention, their exact share of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from agnet_vision.explain.decomposition import decompose
from agnet_vision.models.agnet import AGNet
from agnet_vision.predict.predictor import class_names, probabilities_of
from agnet_vision.predict.prepared import Preparation, PreparedImage
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, RGBImage

GRID = 5  # ours: cells per side that a click means where there is no region
NEARLY_UNIFORM = 0.01  # ours: importances this close to 1/R separate nothing


@dataclass(frozen=True)
class Explanation:
    """One image, explained.

    Boxes are in its pixels, and the whole image is the last region. A network without regions has
    a single one: what it sees of the image.

    Attributes:
        keypoints: keypoints found on it, in its pixels.
        slot: primary region that each keypoint belongs to, -1 outside the frame.
        frame: ``(x0, y0, x1, y1)`` of what the network sees.
        boxes: ``(x0, y0, x1, y1)`` of the regions.
        num_primary: number of first slots that may hold a primary region; 0 without regions.
        has_attention: whether the network weighs regions by what they show.
        target: index of the class that is explained.
        importance: w, how much the context of each region counts; sums to one.
        pairwise: m, how much region r takes from region r'.
        coefficients: weight of each region in the descriptor, ``sum_r w_r m_rr'``.
        bias: part of each logit that no region brings.
        evidence: exact share of each region in each logit; ``logits = bias + evidence.sum(0)``.
        bins: evidence for the target by bin of each region.
        cells: evidence for the target by cell of the feature map.
    """

    image: RGBImage
    keypoints: Keypoints
    slot: Int[np.ndarray, " points"]
    frame: tuple[float, float, float, float]
    boxes: Float[np.ndarray, "regions 4"]
    mask: Bool[np.ndarray, " regions"]
    num_primary: int
    has_attention: bool
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

    def times_uniform(self) -> Float[np.ndarray, " valid"]:
        """Return the valid regions' importance as multiples of uniform 1/R."""
        return self.importance[self.mask] * int(self.mask.sum())

    def separates_regions(self) -> bool:
        """Tell whether any importance is more than 1 % off the uniform."""
        return bool(np.abs(self.times_uniform() - 1).max() > NEARLY_UNIFORM)

    def regions_by_importance(self) -> list[int]:
        """List all regions except the whole image, most important first."""
        order = np.argsort(-self.importance, kind="stable").tolist()
        return [region for region in order if self.mask[region] and region < len(self.mask) - 1]

    def heat(
        self, of: Literal["evidence", "attention"] = "evidence", size: int = 112
    ) -> Float[np.ndarray, "size size"]:
        """Spread the evidence for the target, or the attention, over the frame.

        The sum is kept: each bin spreads its value evenly over the rectangle it was pooled from.
        """
        values = self.bins
        if of == "attention":
            per_bin = self.importance / self.bins[0].size
            values = np.broadcast_to(per_bin[:, None, None], self.bins.shape)

        x0, y0, x1, y1 = self.frame
        boxes = (self.boxes - (x0, y0, x0, y0)) / (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        return _spread(values[self.mask], boxes[self.mask], size)

    def region_at(self, x: float, y: float) -> tuple[float, float, float, float]:
        """Return the region that a click means, as a box in fractions of the image.

        It is the smallest region of a group of keypoints that holds the point. Where none does, and
        for a network without regions, it is the cell of a 5 x 5 grid.

        Args:
            x: place of the click, as a fraction of the image's width.
            y: the same of its height.
        """
        height, width = self.image.shape[:2]
        boxes = self.boxes[: self.num_primary] / ([width, height] * 2)
        boxes = boxes[self.mask[: self.num_primary]].clip(0, 1)
        x0, y0, x1, y1 = boxes.T
        holding = boxes[(x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)]
        if len(holding):
            sides = holding[:, 2:] - holding[:, :2]
            left, top, right, bottom = holding[sides.prod(axis=1).argmin()].tolist()
            return left, top, right, bottom

        column, row = (min(int(place * GRID), GRID - 1) for place in (x, y))
        return column / GRID, row / GRID, (column + 1) / GRID, (row + 1) / GRID

    def region_name(self, region: int) -> str:
        """Name a slot: ``3`` a primary region, ``1+4`` a pair, ``whole`` the whole image."""
        if region == len(self.mask) - 1:
            return "whole"
        if region < self.num_primary:
            return str(region + 1)

        first, second = np.triu_indices(self.num_primary, 1)
        return f"{first[region - self.num_primary] + 1}+{second[region - self.num_primary] + 1}"


def explain(
    model: AGNet,
    image: RGBImage | PreparedImage,
    *,
    target: int | None = None,
    label: str | None = None,
    proposer: RegionProposer | None = None,
) -> Explanation:
    """Explain what a network sees in one image, and why it answers so.

    Args:
        model: network of any variant; it is left in the mode it was in.
        target: index of the class to explain; the most probable one by default.
        label: name of the class to explain, instead of its index.
        proposer: maker of the regions instead of the model's own, with at most as many clusters.

    Raises:
        PredictionError: the network's output is not finite.
        ValueError: the proposer has too many clusters, or there is no such class.
    """
    if label is not None:
        if label not in class_names(model):
            known = ", ".join(class_names(model))
            raise ValueError(f"label must be one of {known:.200}, got {label!r}")
        target = class_names(model).index(label)

    prepared = image
    if not isinstance(prepared, PreparedImage):
        (prepared,) = Preparation(model, proposer)([prepared])

    device = next(model.parameters()).device
    needs_regions = model.head.needs_regions
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            feature_map = model.forward_features(prepared.input[None].to(device))
            regions = prepared.regions.to(device)
            logits = model.head(feature_map, regions)
            probabilities = probabilities_of(logits, model.task)[0]
            target = int(probabilities.argmax()) if target is None else target
            chosen = torch.tensor([target], device=device)
            parts = decompose(model.head, feature_map, regions, chosen)._asdict()
    finally:
        model.train(was_training)

    slots = slice(None) if needs_regions else slice(-1, None)  # the whole image alone
    boxes, mask = (part[0, slots].numpy() for part in prepared.regions)
    x0, y0, x1, y1 = prepared.frame
    size = np.array([x1 - x0, y1 - y0] * 2, np.float32)
    corner = np.array([x0, y0, x0, y0], np.float32)

    return Explanation(
        image=prepared.image,
        keypoints=prepared.keypoints,
        slot=prepared.slot,
        frame=prepared.frame,
        boxes=(boxes * size + corner) * mask[:, None],
        mask=mask,
        num_primary=model.head.num_clusters if needs_regions else 0,
        has_attention=model.head.has_attention,
        classes=class_names(model),
        logits=logits[0].cpu().numpy(),
        probabilities=probabilities.cpu().numpy(),
        target=target,
        bias=parts.pop("bias").cpu().numpy(),
        **{name: part[0].cpu().numpy() for name, part in parts.items()},
    )


def _spread(
    values: Float[np.ndarray, "regions rows columns"],
    boxes: Float[np.ndarray, "regions 4"],
    size: int,
) -> Float[np.ndarray, "size size"]:
    """Spread the value of each bin over its rectangle of a square map."""
    rows = _overlap(boxes[:, 1], boxes[:, 3], values.shape[1], size)
    columns = _overlap(boxes[:, 0], boxes[:, 2], values.shape[2], size)
    return np.einsum("rij,riy,rjx->yx", values, rows, columns, optimize=True)


def _overlap(
    low: Float[np.ndarray, " regions"], high: Float[np.ndarray, " regions"], bins: int, size: int
) -> Float[np.ndarray, "regions bins size"]:
    """Return the share of each bin that falls into each row or column of the map."""
    ends = np.linspace(low, high, bins + 1, axis=1)
    edges = np.linspace(0, 1, size + 1)
    start, stop = ends[:, :-1, None], ends[:, 1:, None]
    covered = np.clip(np.minimum(stop, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
    return covered / np.maximum(covered.sum(axis=2, keepdims=True), 1e-12)
