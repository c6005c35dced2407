"""Draw pairs of images side by side, to be judged by eye."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from agnet_vision.data.image import read_image
from agnet_vision.data.prepare.duplicates import DuplicatePair

MAX_PAIRS = 24
_CELL = 200  # pixels: one image
_MARGIN = 8
_CAPTION = 30
_COLUMNS = 3


def draw_sheet(pairs: list[DuplicatePair], path: Path) -> None:
    """Write a PNG with the first pairs."""
    shown = pairs[:MAX_PAIRS]
    rows = max(1, -(-len(shown) // _COLUMNS))
    width, height = 2 * _CELL + 3 * _MARGIN, _CELL + _CAPTION + 2 * _MARGIN
    sheet = Image.new("RGB", (_COLUMNS * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)

    for number, pair in enumerate(shown):
        y = number // _COLUMNS * height + _MARGIN
        alike = "same bytes" if pair.similarity == 1.0 else f"{pair.similarity:.3f} alike"
        for i, file in enumerate((pair.first, pair.second)):
            x = number % _COLUMNS * width + _MARGIN + i * (_CELL + _MARGIN)
            image = ImageOps.contain(Image.fromarray(read_image(file)), (_CELL, _CELL))
            sheet.paste(image, (x, y))
            # The end of a long name tells most, and Pillow's own font has Latin letters alone.
            name = file.name[-32:].encode("latin-1", "replace").decode("latin-1")
            draw.text((x, y + _CELL + 2), f"{name}\n{alike}", fill="black")

    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
