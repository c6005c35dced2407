"""Stanford-40 Actions: ``JPEGImages/`` and ``ImageSplits/<class>_{train,test}.txt``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.layouts.scan import FolderIndex, read_lines
from agnet_vision.data.listing import Listing, Sample

FOLDERS = ("JPEGImages", "ImageSplits")


def read_stanford40(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split: one list of file names per class and split."""
    listing = Listing(classes, {"train": [], "test": []})
    index = FolderIndex()
    seen: dict[Path, str] = {}
    for label, name in enumerate(classes):
        for split, samples in listing.splits.items():
            list_path = root / "ImageSplits" / f"{name}_{split}.txt"
            if not list_path.is_file():
                listing.report("missing_file", list_path, "this split list is missing")
                continue
            for line in read_lines(list_path):
                path = root / "JPEGImages" / line
                first = seen.setdefault(path, list_path.name)
                if first != list_path.name:
                    listing.report("overlap", path, f"listed in {first} and in {list_path.name}")
                elif not index.has(path):
                    listing.report("missing_file", path, f"listed in {list_path.name}, not on disk")
                else:
                    samples.append(Sample(path, label))
    return listing
