"""The six benchmarks, each in the layout and with the split that its publishers chose."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agnet_vision.data.sources.card import load_card
from agnet_vision.data.sources.layouts.lists import ListedFiles, read_lines, read_rows
from agnet_vision.data.sources.layouts.scan import class_folders, image_files
from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import DatasetError

# One driver of AUCD V2's test split also drives in its training split: these images of camera 1,
# class c0 (numbers inclusive).
SHARED_DRIVER_FIRST, SHARED_DRIVER_LAST = 322, 415
CALTECH_TRAIN_PER_CLASS = 60  # paper


def read_aucd_v1(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read ``{Train,Test}_data_list.csv``: ``/distracted.driver/Drive Safe/1887.jpg,0`` ...

    The leading ``distracted.driver`` may or may not exist on disk. Copies in circulation lack some
    listed files.
    """
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)
    inner = root / "distracted.driver"
    images = inner if inner.is_dir() else root

    for split, list_name in (("train", "Train_data_list.csv"), ("test", "Test_data_list.csv")):
        for number, row in read_rows(root / list_name, ("Image", "Label")):
            parts = [p for p in row["Image"].split("/") if p and p != "distracted.driver"]
            label = classes.index(parts[0]) if parts and parts[0] in classes else -1
            if str(label) == row["Label"]:
                files.add(split, images.joinpath(*parts), label, list_name=list_name)
                continue
            correct = label if label >= 0 else "a class"
            detail = f"{row['Image']} is labeled {row['Label']}, not {correct}"
            listing.report("wrong_list", root / list_name, f"line {number}: {detail}")
    return listing


def read_aucd_v2(
    root: Path, classes: tuple[str, ...], *, clean: bool = False, drivers: str | Path | None = None
) -> Listing:
    """Read ``Camera {1,2}/{train,test}/c0..c9/``.

    Args:
        root: folder that holds the two camera folders.
        classes: names of the classes c0 to c9.
        clean: whether the test images of the one driver who is also in train are left out; False,
            the official split (ours).
        drivers: a CSV with the columns ``path`` (inside the root) and ``driver``. With it,
            validation is held out by driver, and drivers in both official splits are reported.
    """
    groups: dict[Path, str] = {}
    if drivers is not None:
        rows = read_rows(Path(drivers).expanduser(), ("path", "driver"))
        groups = {root / row["path"]: row["driver"] for _, row in rows}
    listing = Listing(classes, {"train": [], "test": []})

    for split, samples in listing.splits.items():
        for camera in ("Camera 1", "Camera 2"):
            for label in range(len(classes)):
                paths = image_files(root / camera / split / f"c{label}", listing)
                found = [Sample(path, label, groups.get(path)) for path in paths]
                if clean and (camera, split, label) == ("Camera 1", "test", 0):
                    listing.left_out = [s for s in found if _is_shared_driver(s.path)]
                    found = [s for s in found if not _is_shared_driver(s.path)]
                samples += found

    without = [sample.path for sample in listing.splits["train"] if sample.group is None]
    if drivers is not None and without:
        raise DatasetError(
            f"drivers={drivers} names no driver for {len(without)} images, first {without[0]}; "
            f"its paths start inside {root}"
        )
    return listing


def _is_shared_driver(path: Path) -> bool:
    """Tell by the number of an image whether it shows the driver who is in both splits."""
    return path.stem.isdigit() and SHARED_DRIVER_FIRST <= int(path.stem) <= SHARED_DRIVER_LAST


def read_stanford40(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read ``JPEGImages/`` by ``ImageSplits/<class>_{train,test}.txt``, a list per class."""
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)

    for split in listing.splits:
        for label, name in enumerate(classes):
            list_path = root / "ImageSplits" / f"{name}_{split}.txt"
            for line in read_lines(list_path, listing):
                files.add(split, root / "JPEGImages" / line, label, list_name=list_path.name)
    return listing


def read_ppmi(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read ``norm_image/{play_instrument,with_instrument}/<instrument>/{train,test}/``.

    The 24 classes are ``play_<instrument>`` and ``with_<instrument>``. Instrument folders are
    matched without regard to case, blanks, hyphens and underscores (``french_horn``,
    ``frenchhorn``).
    """
    listing = Listing(classes, {"train": [], "test": []})

    found = {
        (kind, _letters(folder.name)): folder
        for kind in ("play", "with")
        for folder in class_folders(root / "norm_image" / f"{kind}_instrument")
    }

    for label, name in enumerate(classes):
        kind, _, instrument = name.partition("_")
        official = root / "norm_image" / f"{kind}_instrument" / instrument
        folder = found.get((kind, _letters(instrument)), official)
        for split, samples in listing.splits.items():
            samples += [Sample(path, label) for path in image_files(folder / split, listing)]
    return listing


def _letters(name: str) -> str:
    """Keep the letters of a name, in lower case."""
    return "".join(c for c in name.lower() if c.isalpha())


def read_food101(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read ``images/<class>/<number>.jpg`` by the two lists ``meta/{train,test}.txt``."""
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)
    labels = {name: label for label, name in enumerate(classes)}

    for split in listing.splits:
        list_path = root / "meta" / f"{split}.txt"
        for line in read_lines(list_path, listing):
            name = line.partition("/")[0]
            if name in labels:
                path = root / "images" / f"{line}.jpg"
                files.add(split, path, labels[name], list_name=list_path.name)
            else:
                detail = f"lists {line}, but there is no class {name}"
                listing.report("wrong_list", list_path, detail)
    return listing


def read_caltech256(root: Path, classes: tuple[str, ...], *, split_seed: int = 0) -> Listing:
    """Read ``<number>.<class>/<number>_<image>.jpg`` in one of five splits.

    Of each class 60 images are for training, all others for the test. The publishers ask for
    several random splits; that there are five, 0 to 4, is ours. The background folder
    ``257.clutter`` is no class. ``198.spider/RENAME2`` and the folder ``056.dog/greg`` hold no
    images of the set: only image files directly inside a class folder count.
    """
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)
    labels = {name: label for label, name in enumerate(classes)}

    lines = draw_training_paths(classes, load_card("caltech256").totals, split_seed)
    training = dict.fromkeys(root / line for line in lines)
    for path in training:
        files.add("train", path, labels[path.parent.name], list_name=f"split {split_seed}")

    for label, name in enumerate(classes):
        rest = [path for path in image_files(root / name, listing) if path not in training]
        listing.splits["test"] += [Sample(path, label) for path in rest]
    return listing


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
        drawn += sorted(paths[:CALTECH_TRAIN_PER_CLASS])
    return drawn
