"""Caltech-256: ``256_ObjectCategories/<number>.<class>/<number>_<image>.jpg``; the split is a committed list of paths."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agnet_vision.data.sources.card import datasets_folder
from agnet_vision.data.sources.layouts.lists import ListedFiles, read_lines
from agnet_vision.data.sources.layouts.scan import class_folders, image_files
from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import ConfigError

SPLIT_SEEDS = (0, 1, 2, 3, 4)
TRAIN_PER_CLASS = 60  # paper
CLUTTER = "257.clutter"


def draw_training_paths(
    classes: tuple[str, ...], totals: tuple[int, ...], split_seed: int
) -> list[str]:
    """Draw the training paths of one seed: of every class, the 60 images whose SHA-256 comes first.

    The committed lists were written by this function; no random generator is involved, so it gives them again anywhere.

    Args:
        classes: folder names.
        totals: images of every class; the publishers number them from 1 without a gap.
        split_seed: another seed, another list.
    """
    drawn = []
    for name, total in zip(classes, totals, strict=True):
        paths = [f"{name}/{name[:3]}_{number:04d}.jpg" for number in range(1, total + 1)]
        paths.sort(key=lambda path: hashlib.sha256(f"{split_seed} {path}".encode()).digest())
        drawn += sorted(paths[:TRAIN_PER_CLASS])
    return drawn


def split_list(split_seed: int) -> Path:
    """Name the committed list of the training images of one seed."""
    return datasets_folder() / "caltech256" / "splits" / f"train_seed{split_seed}.txt"


def read_caltech256(root: Path, classes: tuple[str, ...], *, split_seed: int = 0) -> Listing:
    """Read one of the five splits: 60 training images a class, all others test.

    The background folder ``257.clutter`` is no class. ``198.spider/RENAME2`` and the folder ``056.dog/greg`` hold no images
    of the set: only image files directly inside a class folder count.

    Args:
        root: holds the class folders.
        classes: folder names in label order.
        split_seed: which committed list (ours; the publishers ask for several random splits).
    """
    if type(split_seed) is not int or split_seed not in SPLIT_SEEDS:
        raise ConfigError(f"dataset.split_seed must be one of {SPLIT_SEEDS}, got {split_seed!r}")
    listing = Listing(classes, {"train": [], "test": []})
    files, labels = ListedFiles(listing), {name: label for label, name in enumerate(classes)}
    training: set[Path] = set()
    list_path = split_list(split_seed)
    for line in read_lines(list_path):
        path = root / line
        training.add(path)
        files.add("train", path, labels[path.parent.name], list_name=list_path.name)
    for label, name in enumerate(classes):
        listing.folders["train", name] = listing.folders["test", name] = root / name
        rest = [path for path in image_files(root / name, listing) if path not in training]
        listing.splits["test"] += [Sample(path, label) for path in rest]
    for folder in class_folders(root):
        if folder.name not in labels and folder.name != CLUTTER:
            listing.report("extra_class", folder, "no such class in the card; it is left out")
    return listing
