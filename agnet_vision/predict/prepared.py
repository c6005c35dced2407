"""Images and their regions as a trained network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from agnet_vision.data.preprocessing import EvaluationTransform, move_points
from agnet_vision.data.views import View
from agnet_vision.models.agnet import AGNet
from agnet_vision.regions.grouping import number_by_position
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Keypoints, Regions, RGBImage

OUTSIDE = -1  # slot of a keypoint that the network's frame cuts off


class PreparedImage(NamedTuple):
    """An image and what the network sees of it.

    Attributes:
        keypoints: keypoints in its pixels; empty where the regions do not come from keypoints.
        slot: primary region slot each keypoint belongs to; ``OUTSIDE`` where the frame cuts it off.
        frame: ``(x0, y0, x1, y1)`` of the network's square input, in pixels of the image.
        input: normalized input of the network.
        regions: regions of a batch of one, as fractions of the frame.
    """

    image: RGBImage
    keypoints: Keypoints
    slot: Int[np.ndarray, " points"]
    frame: tuple[float, float, float, float]
    input: Float[Tensor, "3 side side"]
    regions: Regions


class Preparation:
    """Maker of a network's inputs from images, as in its evaluation.

    Args:
        proposer: maker of the regions instead of the model's own. It may have fewer clusters than
            the head has slots for; the rest stay empty.

    Raises:
        ValueError: the proposer has more clusters than the head.
    """

    def __init__(self, model: AGNet, proposer: RegionProposer | None = None) -> None:
        self.proposer = proposer or model.proposer
        self.num_clusters = model.head.num_clusters
        if self.proposer.num_clusters > self.num_clusters:
            raise ValueError(
                f"num_clusters must be at most the {self.num_clusters} the head was built for, "
                f"got {self.proposer.num_clusters}"
            )
        self.transform = EvaluationTransform(model.data_config)

    def __call__(self, images: Sequence[RGBImage]) -> list[PreparedImage]:
        """Find the keypoints of images, and prepare both."""
        found = self.proposer.keypoints_many(images)
        return [self.place(image, points) for image, points in zip(images, found, strict=True)]

    def place(
        self, image: RGBImage, keypoints: Keypoints, view: View | None = None
    ) -> PreparedImage:
        """Move an image and its keypoints into the frame, and draw the boxes there.

        Args:
            view: view that the network gets to see; that of evaluation by default.
        """
        pixels, matrix = view or self.transform(image)
        side = pixels.shape[-1]
        xy = move_points(keypoints.xy, matrix)

        # Frame pixels per image pixel, and where the image's corner lies in the frame.
        scale, shift = matrix[:2].diagonal(), matrix[2]
        x0, y0 = (-shift / scale).tolist()
        x1, y1 = ((side - shift) / scale).tolist()

        # The controls live in the frame, drawn from its pixels, whatever they show.
        content = pixels.permute(1, 2, 0).mul(255).to(torch.uint8).numpy()
        drawn = self.proposer.draw_boxes(
            [keypoints._replace(xy=xy)],
            (side, side),
            seeds=[self.proposer.content_seed(content)],
            num_clusters=self.num_clusters,
        )
        regions = Regions(*map(torch.from_numpy, drawn))

        inside = ((xy >= 0) & (xy <= side)).all(axis=1)
        slot = np.full(len(xy), OUTSIDE, dtype=np.int64)
        slot[inside] = number_by_position(xy[inside], keypoints.group[inside])
        return PreparedImage(image, keypoints, slot, (x0, y0, x1, y1), pixels, regions)


def batch_of(
    prepared: Sequence[PreparedImage],
) -> tuple[Float[Tensor, "batch 3 side side"], Regions]:
    """Stack prepared images into the inputs of a network."""
    inputs = torch.stack([each.input for each in prepared])
    return inputs, Regions.cat([each.regions for each in prepared])
