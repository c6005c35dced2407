"""Image to keypoints, step 1 of the method.

Keypoints come without descriptors. Images larger than ``max_side`` are shrunk first and the points
mapped back: the cost does not grow with the camera. Points come in one order whatever the thread
count: strongest first, then top to bottom, then left to right.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from agnet_vision.choices import Detector
from agnet_vision.errors import ConfigError
from agnet_vision.structures import GrayOrRGBImage

# Ours: 144 points, about as many as SIFT keeps on an image of 224 x 224.
DENSE_POINTS_PER_SIDE = 12
MIN_PYRAMID_SIDE = 32  # pixels


def detect(
    image: GrayOrRGBImage,
    detector: Detector = "sift",
    *,
    keep_fraction: float = 0.5,
    max_side: int = 320,
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, " points"]]:
    """Find the strongest keypoints of an image, one per location.

    Args:
        image: RGB (height, width, 3), RGBA (transparency ignored) or gray; 8 bits per channel.
        detector: ``"sift"`` (paper), ``"orb"`` (paper's second choice), ``"akaze"``, or
            ``"dense"``, a regular grid of equal strength, the ablation without keypoints.
        keep_fraction: share of the distinct locations to keep; 0.5 (paper).
        max_side: longer side, in pixels, at which detection runs; 320 (ours). Smaller images are
            not enlarged.

    Returns:
        Positions ``(x, y)`` in pixels of the image, and the detector's responses, strongest first.

    Raises:
        TypeError: the image is not an array of ``uint8``.
        ValueError: its shape is not an image's.
        ConfigError: this build of OpenCV lacks the detector.
    """
    gray = shrink(gray_image(image), max_side)
    if detector == "dense":
        points, response = _dense_points(*gray.shape[::-1])
    else:
        points, response = strongest(*_opencv_points(gray, detector), keep_fraction)

    frame = np.array(image.shape[1::-1], dtype=np.float32)
    xy = points * (frame.astype(np.float64) / gray.shape[::-1])
    return np.clip(xy.astype(np.float32), 0, frame), response


def gray_image(image: GrayOrRGBImage) -> UInt8[np.ndarray, "height width"]:
    """Turn a gray, RGB or RGBA image into a contiguous gray one."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(
            f"image must be a NumPy array of uint8, got {found}; "
            "read files with agnet_vision.data.image.read_image"
        )

    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            f"image must be (height, width, 3), got shape {image.shape}; "
            "gray and RGBA images are accepted too"
        )

    image = np.ascontiguousarray(image)
    if channels == 1:
        return image.reshape(image.shape[:2])
    return np.asarray(cv2.cvtColor(image[..., :3], cv2.COLOR_RGB2GRAY))


def shrink(
    gray: UInt8[np.ndarray, "height width"], max_side: int
) -> UInt8[np.ndarray, "rows columns"]:
    """Average an image down until its longer side has ``max_side`` pixels, if it has more."""
    ratio = max_side / max(gray.shape)
    if ratio >= 1:
        return gray
    size = [max(1, round(side * ratio)) for side in gray.shape[::-1]]
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA))


def strongest(
    points: Float[np.ndarray, "found 2"],
    response: Float[np.ndarray, " found"],
    keep_fraction: float,
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, " points"]]:
    """Keep one point per location, then the strongest share of them.

    Ties go top to bottom, then left to right. SIFT reports a location once for each dominant
    orientation; a mixture would count it as several points. The share is rounded up.
    """
    order = np.lexsort((points[:, 0], points[:, 1], -response))
    points = points[order]
    response = response[order]

    first = np.sort(np.unique(points, axis=0, return_index=True)[1])
    kept = first[: math.ceil(keep_fraction * len(first))]
    return points[kept], response[kept]


@lru_cache(maxsize=8)
def _opencv_detector(detector: Detector) -> Any:
    """Create (and cache) an OpenCV detector."""
    opencv: Any = cv2  # its stubs lack the detectors
    match detector:
        case "sift":
            # By default every point lies a quarter pixel too far right and down.
            return opencv.SIFT_create(enable_precise_upscale=True)
        case "orb":
            # The defaults ignore a border of 31 pixels and stop at 500 points, most of them on one
            # textured patch.
            return opencv.ORB_create(nfeatures=2000, edgeThreshold=3)
        case _:
            if hasattr(opencv, "AKAZE_create"):
                return opencv.AKAZE_create()
            raise ConfigError(
                f"detector=akaze is not part of OpenCV {cv2.__version__}, it left the main modules "
                "in 5.0; use sift or orb, or install opencv-python-headless below 5"
            )


def _opencv_points(
    gray: UInt8[np.ndarray, "height width"], detector: Detector
) -> tuple[Float[np.ndarray, "found 2"], Float[np.ndarray, " found"]]:
    """Run a detector; points come in continuous coordinates."""
    height, width = gray.shape
    below = max(0, MIN_PYRAMID_SIDE - height)
    right = max(0, MIN_PYRAMID_SIDE - width)
    if detector != "sift" and (below or right):  # their pyramids fail on images of a few pixels
        gray = np.asarray(cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_REPLICATE))

    found = _opencv_detector(detector).detect(gray, None)
    if not found:
        return np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.float32)

    # OpenCV puts pixel centers at integers.
    points = np.array(cv2.KeyPoint.convert(found), dtype=np.float32).reshape(-1, 2)
    points += np.float32(0.5)
    response = np.array([point.response for point in found], dtype=np.float32)
    inside = (points[:, 0] <= width) & (points[:, 1] <= height)
    return points[inside], response[inside]


def _dense_points(
    width: int, height: int
) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, " points"]]:
    """Spread a regular grid of equally strong points over the image."""
    per_side = (np.arange(DENSE_POINTS_PER_SIDE) + 0.5) / DENSE_POINTS_PER_SIDE
    y, x = np.meshgrid(per_side * height, per_side * width, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    return points, np.ones(len(points), dtype=np.float32)
