"""Marks on images: where a network's evidence must not lie, or must.

A mark is a box of an image with ``look``: "no" (not there) or "yes" (there). Marks come from a CSV
``path,x0,y0,x1,y1,look``, from the boxes of a COCO file, or from a folder of pixel masks, of which
each connected part counts as its box: a coarse mark corrects a network as well as a fine one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from agnet_vision.choices import Look
from agnet_vision.data.preprocessing import Matrix
from agnet_vision.data.sources.layouts.coco import open_coco
from agnet_vision.data.sources.layouts.lists import read_rows
from agnet_vision.data.sources.listing import Sample, image_name
from agnet_vision.data.sources.samples import SampleTable
from agnet_vision.errors import DatasetError
from agnet_vision.structures import NO, YES, RGBImage

LOOKS: dict[str, int] = {"no": NO, "yes": YES}
COORDINATES = ("x0", "y0", "x1", "y1")


Box = tuple[float, float, float, float]  # (x0, y0, x1, y1)


class Mark(NamedTuple):
    """One mark.

    Attributes:
        box: ``(x0, y0, x1, y1)`` in fractions of the image, or in its pixels where one is over 1.
        look: -1 "not there" or 1 "there".
        where: file and line that say so, for errors.
    """

    box: Box
    look: int
    where: str


class ImageMarks(NamedTuple):
    """The marks of one image: boxes in its pixels, padded by empty slots to the most of any."""

    boxes: Float[np.ndarray, "marks 4"]
    look: Int[np.ndarray, " marks"]

    def moved(self, matrix: Matrix, side: int) -> dict[str, np.ndarray]:
        """Move them into a frame, as fractions of it; of a turned box the upright box counts.

        Args:
            matrix: matrix that takes points ``(x, y, 1)``, in pixels of the image, to the frame.
            side: side of the frame in pixels.
        """
        x0, y0, x1, y1 = self.boxes.T
        corners = np.stack([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]).transpose(2, 0, 1)
        moved = (corners @ matrix[:2] + matrix[2]) / side
        boxes = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
        return {"mark_boxes": boxes.astype(np.float32), "look": self.look}


class MarkTable:
    """The marks of a dataset's images.

    Args:
        layout: folder that names of images are relative to.
    """

    def __init__(self, layout: Path) -> None:
        self.layout = layout
        self._everywhere: list[Mark] = []
        self._by_name: dict[str, list[Mark]] = defaultdict(list)

    def add(self, name: str, mark: Mark) -> None:
        """Add a mark of one image, or of all (``name`` empty).

        Raises:
            DatasetError: it is no box.
        """
        check_box(mark.box, mark.where)
        (self._by_name[name] if name else self._everywhere).append(mark)

    @property
    def most(self) -> int:
        """Return how many marks an image has at most."""
        own = max(map(len, self._by_name.values()), default=0)
        return len(self._everywhere) + own

    def are_on(self, path: Path) -> bool:
        """Tell whether an image has a mark."""
        return bool(self._everywhere) or image_name(path, self.layout) in self._by_name

    def count(self, samples: Sequence[Sample]) -> int:
        """Count the samples that have a mark."""
        return sum(self.are_on(sample.path) for sample in samples)

    def of(self, path: Path, image: RGBImage) -> ImageMarks:
        """Return the marks of an image.

        Raises:
            DatasetError: a mark in pixels lies outside the image.
        """
        boxes, look = np.zeros((self.most, 4)), np.zeros(self.most, dtype=np.int64)

        name = image_name(path, self.layout)
        for slot, mark in enumerate([*self._everywhere, *self._by_name.get(name, [])]):
            boxes[slot] = box_in_pixels(mark.box, image, name, mark.where)
            look[slot] = mark.look
        return ImageMarks(boxes, look)


def read_box(row: Mapping[str, str], where: str) -> Box:
    """Read the columns of a box.

    Raises:
        DatasetError: says where they are no numbers.
    """
    try:
        x0, y0, x1, y1 = (float(row[name]) for name in COORDINATES)
    except ValueError as error:
        raise DatasetError(f"{where}: x0, y0, x1 and y1 must be numbers: {error}") from error
    return x0, y0, x1, y1


def check_box(box: Box, where: str) -> None:
    """Refuse what is no box.

    Raises:
        DatasetError: says where it stands.
    """
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 < np.inf and 0 <= y0 < y1 < np.inf):
        raise DatasetError(f"{where}: a box must have 0 <= x0 < x1 and 0 <= y0 < y1, got {box}")


def box_in_pixels(box: Box, image: RGBImage, name: str, where: str) -> Float[np.ndarray, " 4"]:
    """Take a box to the pixels of its image, cut to it; fractions are those of the image.

    Raises:
        DatasetError: it lies outside; ``name`` is that of the image.
    """
    height, width = image.shape[:2]
    size = np.array([width, height, width, height])
    found = np.array(box) * (size if max(box) <= 1 else 1)
    if (found[:2] >= size[:2]).any():
        raise DatasetError(f"{where}: the box lies outside {name}, which is {width} x {height}")
    return found.clip(max=size)


def read_marks(path: Path, table: SampleTable, look: Look = "no") -> MarkTable:
    """Read marks from a CSV, a COCO file or a folder of masks.

    Args:
        path: ``.csv`` with the columns ``x0,y0,x1,y1`` and, if need be, ``path`` (empty: all
            images) and ``look``; ``.json`` in COCO's format; or a folder with a mask per image, of
            its name and any suffix, in which every value but 0 is marked.
        table: images of the dataset; files name them as its split list does.
        look: what a mark says where its file does not.

    Raises:
        DatasetError: the file is damaged, a mark is no box, or of no image of the dataset.
    """
    layout = table.layout or table.root
    names = {image_name(sample.path, layout) for split in table.splits.values() for sample in split}
    if path.is_dir():
        marks = _read_masks(path, names, LOOKS[look])
    elif path.suffix.lower() == ".json":
        marks = _read_coco(path, names, LOOKS[look])
    elif path.is_file():
        marks = _read_csv(path, look)
    else:
        raise DatasetError(
            f"there is no {path}; marks are a CSV with {','.join(COORDINATES)} and path, look, a "
            "COCO .json, or a folder of masks"
        )

    found = MarkTable(layout)
    for name, mark in marks:
        if name and name not in names:
            raise DatasetError(
                f"{mark.where}: the dataset has no image {name!r}; its names are such as "
                f"{min(names, default='')!r}"
            )
        found.add(name, mark)
    if not found.most:
        raise DatasetError(f"{path} has no mark")
    return found


def _read_csv(path: Path, look: Look) -> Iterator[tuple[str, Mark]]:
    for number, row in read_rows(path, COORDINATES, optional=("path", "look")):
        where = f"{path}, line {number}"
        says = (row.get("look") or look).lower()
        if says not in LOOKS:
            raise DatasetError(f"{where}: look must be no or yes, got {says!r}")
        name = row.get("path", "").replace("\\", "/")
        yield name, Mark(read_box(row, where), LOOKS[says], where)


def _read_coco(path: Path, names: Collection[str], look: int) -> Iterator[tuple[str, Mark]]:
    """Read boxes; images are found by their name in the dataset, or its last part."""
    coco = open_coco(path)
    try:
        boxes = [(coco.imgs[each["image_id"]], each["bbox"]) for each in coco.anns.values()]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO file of boxes: {error}") from error

    full = {name: name for name in names}
    short: dict[str, set[str]] = defaultdict(set)
    for name in names:
        short[PurePosixPath(name).name].add(name)
    for image, (left, top, width, height) in boxes:
        name = str(image["file_name"])
        same = short.get(PurePosixPath(name).name, set())
        found = full.get(name) or (next(iter(same)) if len(same) == 1 else name)
        wide, high = float(image["width"]), float(image["height"])
        right, bottom = min(left + width, wide), min(top + height, high)
        box = (left / wide, top / high, right / wide, bottom / high)
        yield found, Mark(box, look, f"{path}, image {name}")


def _read_masks(folder: Path, names: Collection[str], look: int) -> Iterator[tuple[str, Mark]]:
    by_stem = {str(PurePosixPath(name).with_suffix("")): name for name in names}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        stem = file.relative_to(folder).with_suffix("").as_posix()
        try:
            with Image.open(file) as image:
                mask = np.asarray(image.convert("L")) > 0
        except (OSError, UnidentifiedImageError) as error:
            raise DatasetError(f"{file} is not a mask: {error}") from error

        height, width = mask.shape
        parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(parts):
            box = (
                columns.start / width,
                rows.start / height,
                columns.stop / width,
                rows.stop / height,
            )
            yield by_stem.get(stem, stem), Mark(box, look, str(file))
