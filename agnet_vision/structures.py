"""The structures every stage speaks, their coordinates and dimension words.

**Coordinates.** An image of width W and height H is the rectangle [0, W] x [0, H]; x grows to the
right, y downwards, and pixel (column i, row j) is the unit square whose center is (i + 0.5, j +
0.5). OpenCV and albumentations put the center of pixel (i, j) at (i, j): whoever calls them shifts
by half a pixel on the way in and back on the way out. Points are ``(x, y)`` in that order. Boxes
are ``(x0, y0, x1, y1)`` as fractions of width and height, so that they survive a resize.

**Slots.** With kappa clusters an image has ``R = kappa (kappa + 1) / 2 + 1`` region slots: kappa
primary regions (one per group), kappa (kappa - 1) / 2 secondary regions (one per pair, in the
order of ``numpy.triu_indices(kappa, 1)``) and the whole image, last and always valid. A slot whose
groups are absent is masked out.

**The rule every box obeys** is ``0 <= x0 <= x1 <= 1`` and ``0 <= y0 <= y1 <= 1``. Where values can
be read at once (CPU tensors), a bad box is a ``ValueError``. On an accelerator, in a compiled or an
exported graph, reading a value would stall or cannot be written down: there all results of an image
with a bad box become NaN, which no loss and no score survives. ``Regions.to`` moves boxes from the
CPU, so checking before the move costs nothing either.

**Dimension words** in signatures: ``batch``, ``regions`` (R), ``channels`` (C), ``height`` and
``width`` (of a map or image), ``bins`` (p * p, the pooled grid, row by row), ``points`` (N),
``units`` (d, the width of the attention), ``classes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

RGBImage = UInt8[np.ndarray, "height width 3"]
GrayOrRGBImage = UInt8[np.ndarray, "height width ..."]

NO, YES = -1, 1  # what a mark says: not there, there
BOX_TOLERANCE = 1e-4  # ours: fractions that a float32 division pushed over the border are fine


class Keypoints(NamedTuple):
    """Labeled points of one image, in its pixels, continuous coordinates.

    Attributes:
        xy: positions ``(x, y)``; float32.
        response: the detector's strength of each point; larger is stronger.
        group: index of the semantic group of each point, 0 <= group < kappa; int64.
    """

    xy: Float[np.ndarray, "points 2"]
    response: Float[np.ndarray, " points"]
    group: Int[np.ndarray, " points"]


@dataclass(frozen=True, eq=False)
class Regions:
    """Region boxes of a batch, and which slots hold one.

    ``len(regions)`` counts images. ``regions[index]`` picks some of them as a tensor does: of one
    image by a number, which ``DataLoader`` stacks to a batch again, of a batch by a slice, a list,
    or a tensor of numbers or truths. ``boxes, mask = regions`` unpacks both.

    Attributes:
        boxes: ``(x0, y0, x1, y1)`` as fractions of image width and height, in [0, 1]; float32.
        mask: True where the slot holds a region.
    """

    boxes: Float[Tensor, "batch regions 4"]
    mask: Bool[Tensor, "batch regions"]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.boxes, self.mask))

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Regions:
        return Regions(self.boxes[index], self.mask[index])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Regions:
        """Move both tensors to ``device``."""
        return Regions(
            self.boxes.to(device, non_blocking=non_blocking),
            self.mask.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Regions:
        """Copy both tensors to where a GPU fetches them without waiting."""
        return Regions(self.boxes.pin_memory(), self.mask.pin_memory())

    @staticmethod
    def cat(parts: Sequence[Regions]) -> Regions:
        """Join batches."""
        boxes = torch.cat([part.boxes for part in parts])
        return Regions(boxes, torch.cat([part.mask for part in parts]))

    @staticmethod
    def stack(images: Sequence[Regions], **_: Any) -> Regions:
        """Make a batch of single images, as ``regions[j]`` picks them."""
        boxes = torch.stack([image.boxes for image in images])
        return Regions(boxes, torch.stack([image.mask for image in images]))


default_collate_fn_map[Regions] = Regions.stack
torch.export.register_dataclass(Regions)  # as inputs of a graph


class Marks(NamedTuple):
    """Where a batch's evidence must not, or must, lie.

    Attributes:
        boxes: ``(x0, y0, x1, y1)`` as fractions of what the network sees; a part outside counts
            for nothing.
        look: ``NO`` not there, ``YES`` there, 0 an empty slot.
    """

    boxes: Float[Tensor, "batch marks 4"]
    look: Int[Tensor, "batch marks"]

    def cells(self, look: int, height: int, width: int) -> Bool[Tensor, "batch height width"]:
        """Tell which cells of a map a mark of this kind touches."""
        x0, y0, x1, y1 = self.boxes.unbind(-1)
        rows = _touched(y0, y1, height)
        columns = _touched(x0, x1, width)
        touched = rows[:, :, :, None] & columns[:, :, None, :]
        return (touched & (self.look == look)[:, :, None, None]).any(dim=1)


def num_regions(num_clusters: int) -> int:
    """Count the region slots of ``num_clusters`` groups (method, step 5)."""
    return num_clusters * (num_clusters + 1) // 2 + 1


def valid_slots(regions: Regions) -> Bool[Tensor, "batch regions"]:
    """Tell which slots are empty or obey the rule, which a slot with NaN never does."""
    low, high = regions.boxes[..., :2], regions.boxes[..., 2:]
    obeys = (low >= -BOX_TOLERANCE) & (high <= 1 + BOX_TOLERANCE) & (low <= high)
    return obeys.all(dim=-1) | ~regions.mask


def valid_images(regions: Regions) -> Bool[Tensor, " batch"]:
    """Tell which images have at least one box, and only boxes that obey the rule."""
    return valid_slots(regions).all(dim=1) & regions.mask.any(dim=1)


def check_regions(
    regions: Regions,
    feature_map: Float[Tensor, "batch channels height width"],
    num_clusters: int,
) -> Regions:
    """Refuse regions that do not fit a feature map, whatever an empty slot holds.

    Returns:
        The regions. Off the CPU and in a compiled graph the boxes of an image that breaks the rule
        are NaN.

    Raises:
        ValueError: a shape or type does not fit, or on the CPU a box breaks the rule.
    """
    boxes, mask = regions.boxes, regions.mask
    expected = (feature_map.shape[0], num_regions(num_clusters))
    if tuple(boxes.shape) != (*expected, 4) or tuple(mask.shape) != expected:
        raise ValueError(
            f"regions must have boxes {(*expected, 4)} and mask {expected} for "
            f"num_clusters={num_clusters}, got {tuple(boxes.shape)} and {tuple(mask.shape)}"
        )
    if not boxes.is_floating_point() or mask.dtype != torch.bool:
        raise ValueError(
            f"boxes must be floating point and mask bool, got {boxes.dtype} and {mask.dtype}"
        )

    cleared = Regions(boxes.masked_fill(~mask[..., None], 0), mask)
    if boxes.device.type == "cpu" and not torch.compiler.is_compiling():
        check_boxes(cleared)
        return cleared
    valid = valid_images(cleared)[:, None, None]
    return Regions(cleared.boxes.where(valid, torch.nan), mask)


def check_boxes(regions: Regions) -> None:
    """Refuse boxes that break the rule, and images without any."""
    if valid_images(regions).all():
        return

    bad = (~valid_slots(regions)).nonzero()
    if len(bad):
        image, slot = bad[0].tolist()
        box = [round(value, 4) for value in regions.boxes[image, slot].tolist()]
        raise ValueError(
            "boxes must be (x0, y0, x1, y1) with 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1, as "
            f"fractions of width and height, got {box} in slot {slot} of image {image}"
        )

    image = int((~regions.mask.any(dim=1)).nonzero()[0])
    raise ValueError(
        f"every image must have at least one region, image {image} has none; the whole image is "
        "always one"
    )


def _touched(low: Tensor, high: Tensor, size: int) -> Bool[Tensor, "batch marks size"]:
    """Tell which cells of an axis an interval overlaps."""
    edges = torch.linspace(0, 1, size + 1, device=low.device, dtype=low.dtype)
    return (low[..., None] < edges[1:]) & (high[..., None] > edges[:-1])
