"""AUC Distracted Driver: V1 (lists, random split) and V2 (class folders of two cameras, split by driver)."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_rows
from agnet_vision.data.sources.layouts.scan import class_folders, image_files
from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

# One driver of V2's test split also drives in its training split: these images of camera 1, class c0 (numbers inclusive).
SHARED_DRIVER_FIRST, SHARED_DRIVER_LAST = 322, 415


def read_aucd_v1(root: Path, classes: tuple[str, ...]) -> Listing:
    """Read ``{Train,Test}_data_list.csv``: rows such as ``/distracted.driver/Drive Safe/1887.jpg,0``.

    The leading ``distracted.driver`` may or may not exist on disk. Copies in circulation lack some listed files.
    """
    listing = Listing(classes, {"train": [], "test": []})
    files = ListedFiles(listing)
    inner = root / "distracted.driver"
    images = inner if inner.is_dir() else root
    for split, list_name in (("train", "Train_data_list.csv"), ("test", "Test_data_list.csv")):
        for number, row in read_rows(root / list_name, ("Image", "Label")):
            parts = [
                part for part in row["Image"].split("/") if part and part != "distracted.driver"
            ]
            name = parts[0] if parts else ""
            label = classes.index(name) if name in classes else -1
            if str(label) != row["Label"].strip():
                detail = f"line {number}: {row['Image']} is labelled {row['Label']}, not {label if label >= 0 else 'a class'}"
                listing.report("wrong_list", root / list_name, detail)
                continue
            files.add(split, images.joinpath(*parts), label, list_name=list_name)
    _report_extra(images, classes, listing)
    return listing


def _report_extra(folder: Path, names: tuple[str, ...], listing: Listing) -> None:
    """Record folders that are none of the classes."""
    for found in class_folders(folder) if folder.is_dir() else []:
        if found.name not in names:
            listing.report("extra_class", found, "no such class in the card; it is left out")


def read_aucd_v2(
    root: Path, classes: tuple[str, ...], *, clean: bool = False, drivers: str | Path | None = None
) -> Listing:
    """Read ``Camera {1,2}/{train,test}/c0..c9/``.

    Args:
        root: holds the two camera folders.
        classes: names of c0 to c9.
        clean: leave out the test images of the one driver who is also in train (ours: False, the official split).
        drivers: CSV with the columns ``path`` (inside the root) and ``driver``; with it, validation is held out by driver.
    """
    if not isinstance(clean, bool):
        raise ConfigError(f"dataset.clean must be true or false, got {clean!r}")
    groups = _drivers(root, Path(drivers).expanduser()) if drivers is not None else {}
    listing = Listing(classes, {"train": [], "test": []})
    for split, samples in listing.splits.items():
        for camera in ("Camera 1", "Camera 2"):
            _report_extra(
                root / camera / split, tuple(f"c{label}" for label in range(len(classes))), listing
            )
            for label in range(len(classes)):
                paths = image_files(root / camera / split / f"c{label}", listing)
                if clean and split == "test" and camera == "Camera 1" and label == 0:
                    listing.left_out += [
                        Sample(path, label) for path in paths if _is_shared_driver(path)
                    ]
                    paths = [path for path in paths if not _is_shared_driver(path)]
                samples += [
                    Sample(path, label, groups.get(path.relative_to(root).as_posix()))
                    for path in paths
                ]
    without = [sample.path for sample in listing.splits["train"] if sample.group is None]
    if drivers is not None and without:
        raise DatasetError(
            f"dataset.drivers={drivers} names no driver for {len(without)} images, first {without[0]}"
        )
    return listing


def _is_shared_driver(path: Path) -> bool:
    """Tell the images of the driver who is in both splits by their number."""
    return path.stem.isdigit() and SHARED_DRIVER_FIRST <= int(path.stem) <= SHARED_DRIVER_LAST


def _drivers(root: Path, csv_path: Path) -> dict[str, str]:
    """Read who drives in which image."""
    if not csv_path.is_file():
        raise DatasetNotFoundError(
            f"dataset.drivers={csv_path} does not exist; give a CSV with the columns path,driver"
        )
    rows = [row for _, row in read_rows(csv_path, ("path", "driver"))]
    unknown = [row["path"] for row in rows if not (root / row["path"]).is_file()]
    if unknown:
        raise ConfigError(f"dataset.drivers={csv_path} names {unknown[0]}, which is not in {root}")
    return {Path(row["path"]).as_posix(): row["driver"] for row in rows}
