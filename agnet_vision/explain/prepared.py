"""One photograph as a trained network sees it: the input tensor, the regions, and where both lie on the photograph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from agnet_vision.data.preprocessing import (
    EvaluationTransform,
    evaluation_transform,
    move_points,
)
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.boxes import boxes_from_keypoints, union_boxes
from agnet_vision.regions.order import number_by_position
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, Regions

OUTSIDE = -1  # slot of a keypoint that the network's frame cuts off


class View(NamedTuple):
    """A photograph and what the network gets to see of it.

    Attributes:
        image: the photograph.
        keypoints: on the photograph, in its pixels.
        slot: primary region slot each keypoint belongs to; ``OUTSIDE`` where the frame cuts it off.
        frame: ``(x0, y0, x1, y1)`` of the network's square input, in pixels of the photograph.
        input: the normalised input.
        regions: of a batch of one, as fractions of the frame.
        num_clusters: kappa of the proposer, at most the head's.
    """

    image: UInt8[np.ndarray, "height width 3"]
    keypoints: Keypoints
    slot: Int[np.ndarray, " points"]
    frame: tuple[float, float, float, float]
    input: Float[Tensor, "3 side side"]
    regions: Regions
    num_clusters: int


def take_view(
    model: AGNet, image: UInt8[np.ndarray, "height width 3"], proposer: RegionProposer | None = None
) -> View:
    """See a photograph as ``model`` does in evaluation: points are found on the photograph and move with it into the frame.

    Args:
        model: its ``data_config`` describes the frame.
        image: the photograph.
        proposer: instead of the model's own; it may have fewer clusters than the head has slots for, and the rest stay empty.

    Raises:
        ValueError: the proposer has more clusters than the head.
    """
    return take_views(model, [image], proposer)[0]


def take_views(
    model: AGNet,
    images: list[UInt8[np.ndarray, "height width 3"]],
    proposer: RegionProposer | None = None,
) -> list[View]:
    """See many photographs; their keypoints are grouped in one go. See ``take_view``."""
    proposer = proposer or model.proposer
    slots = model.head.num_clusters
    if proposer.num_clusters > slots:
        raise ValueError(
            f"num_clusters must be at most the {slots} the head was built for, got {proposer.num_clusters}"
        )
    transform = evaluation_transform(model.data_config)
    found = proposer.keypoints_many(images)
    return [
        _place(image, points, transform, proposer, slots)
        for image, points in zip(images, found, strict=True)
    ]


def _place(
    image: UInt8[np.ndarray, "height width 3"],
    keypoints: Keypoints,
    transform: EvaluationTransform,
    proposer: RegionProposer,
    slots: int,
) -> View:
    """Move the photograph and its points into the frame, and draw the boxes there."""
    pixels, matrix = transform(image)
    xy, side = move_points(keypoints.xy, matrix), pixels.shape[-1]
    scale, shift = (
        matrix[:2].diagonal(),
        matrix[2],
    )  # frame pixels per photograph pixel, and where its corner lies
    x0, y0 = -shift / scale
    x1, y1 = (side - shift) / scale
    inside = ((xy >= 0) & (xy <= side)).all(axis=1)
    slot = np.full(len(xy), OUTSIDE, dtype=np.int64)
    if proposer.needs_keypoints:
        boxes, mask = boxes_from_keypoints(xy, keypoints.group, (side, side), slots)
        slot[inside] = number_by_position(xy[inside], keypoints.group[inside])
    else:  # the controls live in the frame; they are drawn from its pixels, whatever they show
        content = pixels.permute(1, 2, 0).mul(255).to(torch.uint8).numpy()
        primary = proposer([content]).boxes[0, : proposer.num_clusters].numpy()
        boxes, mask = union_boxes(primary, slots)
    regions = Regions(torch.from_numpy(boxes)[None], torch.from_numpy(mask)[None])
    frame = (float(x0), float(y0), float(x1), float(y1))
    return View(image, keypoints, slot, frame, pixels, regions, proposer.num_clusters)
