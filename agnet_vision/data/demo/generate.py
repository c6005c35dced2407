"""The demo set: generated photographs of beetles.

Their class is the shape of one small mark. Six classes share palette, pose, floor, litter and
light. The mark covers about one hundredth of the image, sits anywhere on a wing cover at any
rotation, and lies between look-alikes on pebbles that mean nothing. ``scene`` paints it.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from agnet_vision.data.demo.marks import MARKS
from agnet_vision.data.demo.scene import paint_scene
from agnet_vision.errors import DatasetError

# Raise it whenever a change of the painter changes an image: an older set is then refused, not
# mixed in.
_VERSION = 1
_MARKER = "demo.json"
_SPLITS = ("train", "val", "test")


def generate_demo(
    root: Path | str,
    *,
    seed: int = 0,
    num_train: int = 1800,
    num_val: int = 240,
    num_test: int = 480,
    image_size: int = 128,
) -> None:
    """Write ``root/{train,val,test}/<class>/<number>.jpg``, unless all is there already.

    The set appears whole or not at all: it is painted beside ``root`` and renamed. Same arguments,
    same bytes; every image depends on (seed, split, number) alone, so a longer split extends a
    shorter one.

    Args:
        root: the folder to create.
        seed: chooses the images.
        num_train: images in ``train``, dealt to the classes in turn.
        num_val: images in ``val``.
        num_test: images in ``test``.
        image_size: side of the square images, in pixels.

    Raises:
        DatasetError: ``root`` holds something else.
        ValueError: a split has fewer images than there are classes.
    """
    root = Path(root)
    counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
    if min(counts.values()) < len(MARKS):
        raise ValueError(f"each split needs an image of each of {len(MARKS)} classes, got {counts}")
    settings = {"version": _VERSION, "seed": seed, "image_size": image_size, **counts}
    if _is_present(root, settings):
        return
    images = [
        (key, split, number) for key, split in enumerate(_SPLITS) for number in range(counts[split])
    ]
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as scratch:
        unfinished = Path(scratch) / root.name
        for key, split, number in track(
            images, "painting the demo set", console=Console(stderr=True)
        ):
            _write_image(
                unfinished / split, number, np.random.default_rng((seed, key, number)), image_size
            )
        (unfinished / _MARKER).write_text(json.dumps(settings, indent=2) + "\n")
        try:
            unfinished.rename(root)
        except OSError as error:
            # Another process may have finished the same set meanwhile; anything else is an error.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not _is_present(
                root, settings
            ):
                raise


def _is_present(root: Path, settings: dict[str, int]) -> bool:
    """Tell whether ``root`` is this set, refusing anything else there."""
    if not root.exists() or not any(root.iterdir()):
        return False
    cure = "delete the folder, or choose another with dataset.root="
    marker = root / _MARKER
    if not marker.is_file():
        raise DatasetError(
            f"the demo set goes into a folder of its own, but {root} holds other files: {cure}"
        )
    try:
        found = json.loads(marker.read_text())
    except ValueError as error:
        raise DatasetError(f"{marker} cannot be read ({error}): {cure}") from error
    if found != settings:
        raise DatasetError(f"{root} holds another demo set ({found} instead of {settings}): {cure}")
    for split in _SPLITS:
        if (there := sum(1 for _ in root.glob(f"{split}/*/*.jpg"))) != settings[split]:
            raise DatasetError(
                f"{root / split} should hold {settings[split]} images, found {there}: {cure}"
            )
    return True


def _write_image(split: Path, number: int, rng: np.random.Generator, image_size: int) -> None:
    """Paint one image of class ``number`` modulo the classes."""
    mark = MARKS[number % len(MARKS)]
    image = paint_scene(rng, mark, image_size=image_size)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 96))]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    folder = split / mark
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:05d}.jpg").write_bytes(data.tobytes())
