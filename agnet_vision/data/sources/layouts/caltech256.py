"""Caltech-256: ``256_ObjectCategories/<number>.<class>/<number>_<image>.jpg``, split by a hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agnet_vision.data.sources.card import load_card
from agnet_vision.data.sources.layouts.lists import ListedFiles
from agnet_vision.data.sources.layouts.scan import image_files, report_extra_folders
from agnet_vision.data.sources.listing import Listing, Sample

TRAIN_PER_CLASS = 60  # paper
CLUTTER = "257.clutter"


def draw_training_paths(
    classes: tuple[str, ...], totals: tuple[int, ...], split_seed: int
) -> list[str]:
    """Draw the training paths of one seed: of every class the 60 whose SHA-256 comes first.

    No random generator is involved, so the lists are the same anywhere; a test compares them with
    the checksums of those that results were published with. The publishers count the images of a
    class (``totals``) from 1 without a gap.
    """
    drawn = []
    for name, total in zip(classes, totals, strict=True):
        paths = [f"{name}/{name[:3]}_{number:04d}.jpg" for number in range(1, total + 1)]
        paths.sort(key=lambda path: hashlib.sha256(f"{split_seed} {path}".encode()).digest())
        drawn += sorted(paths[:TRAIN_PER_CLASS])
    return drawn


def read_caltech256(root: Path, classes: tuple[str, ...], *, split_seed: int = 0) -> Listing:
    """Read one of the five splits: 60 training images per class, all others are for the test.

    The publishers ask for several random splits; that there are five, 0 to 4, is ours. The
    background folder ``257.clutter`` is no class. ``198.spider/RENAME2`` and the folder
    ``056.dog/greg`` hold no images of the set: only image files directly inside a class folder
    count.
    """
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)
    labels = {name: label for label, name in enumerate(classes)}

    training: set[Path] = set()
    for line in draw_training_paths(classes, load_card("caltech256").totals, split_seed):
        path = root / line
        training.add(path)
        files.add("train", path, labels[path.parent.name], list_name=f"split {split_seed}")

    for label, name in enumerate(classes):
        listing.folders["train", name] = listing.folders["test", name] = root / name
        rest = [path for path in image_files(root / name, listing) if path not in training]
        listing.splits["test"] += [Sample(path, label) for path in rest]

    report_extra_folders(root, {*classes, CLUTTER}, listing)
    return listing
