"""Windows of an image, and what networks see of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from agnet_vision.data.preprocessing import ImageTransform, Matrix
from agnet_vision.structures import RGBImage

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels; x1 and y1 lie outside
# The network's input, and the matrix that takes points (x, y, 1) of the image to where they are.
View = tuple[Float[Tensor, "3 side side"], Matrix]

ASPECT = (3 / 4, 4 / 3)  # width to height, as usual for random crops
MIN_AREA = 0.2  # of the image; smaller regions get more of what surrounds them


def cut_out(
    transform: ImageTransform,
    image: RGBImage,
    window: Window,
    *,
    seed: int = 0,
) -> View:
    """Transform a window of an image.

    The matrix moves points of the whole image.

    Args:
        transform: of what is cut out.
        image: the whole one, 8-bit RGB.
        window: ``(x0, y0, x1, y1)`` in its pixels.
        seed: of the transform's random choices.
    """
    x0, y0, x1, y1 = window
    pixels, matrix = transform(np.ascontiguousarray(image[y0:y1, x0:x1]), seed=seed)
    return pixels, np.stack([*matrix[:2], matrix[2] - np.array([x0, y0]) @ matrix[:2]])


def around(box: np.ndarray, image_size: tuple[int, int], *, padding: float) -> Window:
    """Pad a box within the image to a usual shape.

    Args:
        box: ``(x0, y0, x1, y1)`` in pixels.
        image_size: (width, height) of the image in pixels.
        padding: on each side, as a share of that side.
    """
    size = np.array(image_size, dtype=float)
    center = (box[:2] + box[2:]) / 2
    width, height = np.maximum((box[2:] - box[:2]) * (1 + 2 * padding), 1)

    # The shorter side grows: a window may show more than its region, never less.
    width, height = max(width, height * ASPECT[0]), max(height, width / ASPECT[1])
    grown = max(1.0, np.sqrt(MIN_AREA * size.prod() / (width * height)))
    extent = np.minimum(np.array([width, height]) * grown, size)

    low = np.clip(center - extent / 2, 0, size - extent)
    (x0, y0), (x1, y1) = np.floor(low).astype(int), np.ceil(low + extent).astype(int)
    return int(x0), int(y0), int(min(x1, image_size[0])), int(min(y1, image_size[1]))
