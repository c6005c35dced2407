"""PPMI, 24 classes: ``norm_image/{play_instrument,with_instrument}/<instrument>/{train,test}/``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.scan import class_folders, image_files
from agnet_vision.data.sources.listing import Listing, Sample


def read_ppmi(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split. Classes are ``play_<instrument>`` and ``with_<instrument>``.

    Instrument folders are matched without regard to case, blanks, hyphens and underscores (``french_horn``, ``frenchhorn``).
    """
    listing = Listing(classes, {"train": [], "test": []})
    known: set[Path] = set()
    for label, name in enumerate(classes):
        kind, _, instrument = name.partition("_")
        parent = root / "norm_image" / f"{kind}_instrument"
        folder = _find(parent, instrument) or parent / instrument
        known.add(folder)
        for split, samples in listing.splits.items():
            listing.folders[split, name] = folder / split
            samples += [Sample(path, label) for path in image_files(folder / split, listing)]
    for parent in (
        root / "norm_image" / "play_instrument",
        root / "norm_image" / "with_instrument",
    ):
        for folder in class_folders(parent):
            if folder not in known:
                listing.report("extra_class", folder, "no such class in the card; it is left out")
    return listing


def _find(parent: Path, instrument: str) -> Path | None:
    """Find the folder of an instrument whatever way its name is joined."""
    for folder in class_folders(parent):
        if _letters(folder.name) == _letters(instrument):
            return folder
    return None


def _letters(name: str) -> str:
    """Keep letters only, in lower case."""
    return "".join(c for c in name.lower() if c.isalpha())
