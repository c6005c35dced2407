"""PPMI: ``norm_image/{play_instrument,with_instrument}/<instrument>/{train,test}/``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.scan import (
    class_folders,
    image_files,
    report_extra_folders,
)
from agnet_vision.data.sources.listing import Listing, Sample


def read_ppmi(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split of the 24 classes ``play_<instrument>`` and ``with_<instrument>``.

    Instrument folders are
    matched without regard to case, blanks, hyphens and underscores (``french_horn``,
    ``frenchhorn``).
    """
    listing = Listing(classes, {"train": [], "test": []})
    known: dict[Path, set[str]] = {
        root / "norm_image" / f"{kind}_instrument": set() for kind in ("play", "with")
    }

    for label, name in enumerate(classes):
        kind, _, instrument = name.partition("_")
        parent = root / "norm_image" / f"{kind}_instrument"
        folder = _find(parent, instrument) or parent / instrument
        known[parent].add(folder.name)
        for split, samples in listing.splits.items():
            listing.folders[split, name] = folder / split
            samples += [Sample(path, label) for path in image_files(folder / split, listing)]

    for parent, names in known.items():
        report_extra_folders(parent, names, listing)
    return listing


def _find(parent: Path, instrument: str) -> Path | None:
    """Find the folder of an instrument, however the words of its name are joined."""
    for folder in class_folders(parent):
        if _letters(folder.name) == _letters(instrument):
            return folder
    return None


def _letters(name: str) -> str:
    """Keep the letters of a name, in lower case."""
    return "".join(c for c in name.lower() if c.isalpha())
