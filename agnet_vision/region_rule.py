"""The rule every box obeys, ``0 <= x0 <= x1 <= 1`` and ``0 <= y0 <= y1 <= 1``, checked with or without waiting for a device.

Where values can be read at once (CPU tensors), a bad box is a ``ValueError``. On an accelerator, in a compiled or an exported
graph, reading a value would stall or cannot be written down: there all results of an image with a bad box become NaN, which no
loss and no score survives. ``Regions.to`` moves boxes from the CPU, so checking before the move costs nothing either.
"""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor

from agnet_vision.structures import Regions

TOLERANCE = 1e-4  # ours: fractions that a float32 division pushed over the border are fine


def valid_slots(regions: Regions) -> Bool[Tensor, "batch regions"]:
    """Tell which slots are empty or hold a box that obeys the rule; NaN does not."""
    low, high = regions.boxes[..., :2], regions.boxes[..., 2:]
    obeys = (low >= -TOLERANCE) & (high <= 1 + TOLERANCE) & (low <= high)
    return obeys.all(dim=-1) | ~regions.mask


def valid_images(regions: Regions) -> Bool[Tensor, " batch"]:
    """Tell which images have at least one region and only boxes that obey the rule."""
    return valid_slots(regions).all(dim=1) & regions.mask.any(dim=1)


def check_boxes(regions: Regions) -> None:
    """Refuse boxes that break the rule.

    Raises:
        ValueError: names the first such box, or the first image without a region.
    """
    if valid_images(regions).all():
        return
    bad = (~valid_slots(regions)).nonzero()
    if len(bad):
        image, slot = bad[0].tolist()
        raise ValueError(
            "boxes must be (x0, y0, x1, y1) with 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1, as fractions of width and "
            f"height, got {[round(v, 4) for v in regions.boxes[image, slot].tolist()]} in slot {slot} of image {image}"
        )
    image = int((~regions.mask.any(dim=1)).nonzero()[0])
    raise ValueError(
        f"every image must have at least one region, image {image} has none; the whole image is always one"
    )
