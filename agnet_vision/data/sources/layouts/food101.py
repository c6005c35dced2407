"""Food-101: ``images/<class>/<number>.jpg`` and ``meta/{train,test}.txt`` with lines ``<class>/<number>``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_lines
from agnet_vision.data.sources.layouts.scan import class_folders
from agnet_vision.data.sources.listing import Listing


def read_food101(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split."""
    listing = Listing(classes, {"train": [], "test": []})
    listing.folders = {
        (split, name): root / "images" / name for split in listing.splits for name in classes
    }
    files, labels = ListedFiles(listing), {name: label for label, name in enumerate(classes)}
    for split in ("train", "test"):
        list_path = root / "meta" / f"{split}.txt"
        if not list_path.is_file():
            listing.report("missing_file", list_path, "this split list is missing")
            continue
        for line in read_lines(list_path):
            name = line.partition("/")[0]
            if name not in labels:
                listing.report(
                    "extra_class", list_path, f"lists {line}, but there is no class {name}"
                )
            else:
                files.add(
                    split, root / "images" / f"{line}.jpg", labels[name], list_name=list_path.name
                )
    for folder in class_folders(root / "images"):
        if folder.name not in labels:
            listing.report("extra_class", folder, "no such class in the card; it is left out")
    names_path = root / "meta" / "classes.txt"
    if names_path.is_file() and tuple(read_lines(names_path)) != classes:
        listing.report(
            "wrong_list", names_path, "its classes are not those of the card, or in another order"
        )
    return listing
