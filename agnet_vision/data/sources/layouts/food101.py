"""Food-101: ``images/<class>/<number>.jpg``, listed in ``meta/{train,test}.txt``."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_lines
from agnet_vision.data.sources.layouts.scan import report_extra_folders
from agnet_vision.data.sources.listing import Listing


def read_food101(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read the official split from its two lists."""
    listing = Listing(classes, {"train": [], "test": []})
    images = root / "images"
    listing.folders = {(split, name): images / name for split in listing.splits for name in classes}
    files = ListedFiles(listing)
    labels = {name: label for label, name in enumerate(classes)}

    for split in ("train", "test"):
        list_path = root / "meta" / f"{split}.txt"
        if not list_path.is_file():
            listing.report("missing_file", list_path, "this split list is missing")
            continue
        for line in read_lines(list_path):
            name = line.partition("/")[0]
            if name in labels:
                path = images / f"{line}.jpg"
                files.add(split, path, labels[name], list_name=list_path.name)
            else:
                detail = f"lists {line}, but there is no class {name}"
                listing.report("extra_class", list_path, detail)

    report_extra_folders(images, classes, listing)

    names_path = root / "meta" / "classes.txt"
    if names_path.is_file() and tuple(read_lines(names_path)) != classes:
        detail = "its classes are not those of the card, or in another order"
        listing.report("wrong_list", names_path, detail)
    return listing
