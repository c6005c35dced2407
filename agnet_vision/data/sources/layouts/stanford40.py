"""Stanford-40 Actions: ``JPEGImages/`` and ``ImageSplits/<class>_{train,test}.txt``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_lines
from agnet_vision.data.sources.listing import Listing


def read_stanford40(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split, a list of files per class."""
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)

    for split in ("train", "test"):
        for label, name in enumerate(classes):
            list_path = root / "ImageSplits" / f"{name}_{split}.txt"
            if not list_path.is_file():
                listing.report("missing_file", list_path, "this split list is missing")
                continue
            for line in read_lines(list_path):
                files.add(split, root / "JPEGImages" / line, label, list_name=list_path.name)

    for path in sorted((root / "ImageSplits").glob("*_*.txt")):
        name, _, split = path.stem.rpartition("_")
        if split in ("train", "test") and name not in classes:
            detail = f"there is no class {name} in the card; it is left out"
            listing.report("extra_class", path, detail)
    return listing
