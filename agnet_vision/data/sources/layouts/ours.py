"""Folders that this library wrote beside images: runs, exports and figures."""

from __future__ import annotations

import os
from pathlib import Path

from agnet_vision.data.image import READ_SUFFIXES, is_image_name
from agnet_vision.data.sources.layouts.scan import class_folders

RUN_FILES = frozenset({".lock", "config.yaml", "run.json", "metrics.json", "predictions.csv"})
EXPORT_SUFFIXES = frozenset({".onnx", ".pt2", ".ckpt", ".safetensors"})


def own_folders(folder: Path) -> list[Path]:
    """List the visible folders inside ``folder`` but for those that this library wrote."""
    return [inner for inner in class_folders(folder) if not _is_ours(inner)]


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder holds runs, exports or figures, and no other images."""
    found = False
    for place, inner, names in os.walk(folder):
        if len(RUN_FILES.intersection(names)) > 1:
            found = True
            inner.clear()
            continue

        images = [Path(place, name) for name in names if is_image_name(name)]
        if not all(map(_is_figure, images)) and folder.name != "outputs":
            return False
        written = ".lock" in names or any(Path(name).suffix in EXPORT_SUFFIXES for name in names)
        found = found or written or (bool(images) and all(map(_is_figure, images)))
    return found


def _is_figure(path: Path) -> bool:
    """Tell whether ``agnet predict`` drew an image: ``cat.jpg.png``, by Matplotlib."""
    if path.suffix != ".png" or Path(path.stem).suffix.lower() not in READ_SUFFIXES:
        return False
    with path.open("rb") as file:
        return b"Matplotlib" in file.read(512)
