"""AUC Distracted Driver: V1 has lists of a random split, V2 folders of two cameras by driver."""

from __future__ import annotations

from pathlib import Path

from agnet_vision.data.sources.layouts.lists import ListedFiles, read_rows
from agnet_vision.data.sources.layouts.scan import image_files, report_extra_folders
from agnet_vision.data.sources.listing import Listing, Sample
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError

# One driver of V2's test split also drives in its training split: these images of camera 1, class
# c0 (numbers inclusive).
SHARED_DRIVER_FIRST, SHARED_DRIVER_LAST = 322, 415


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
            name = parts[0] if parts else ""
            label = classes.index(name) if name in classes else -1
            if str(label) != row["Label"].strip():
                correct = label if label >= 0 else "a class"
                detail = f"{row['Image']} is labeled {row['Label']}, not {correct}"
                listing.report("wrong_list", root / list_name, f"line {number}: {detail}")
                continue
            files.add(split, images.joinpath(*parts), label, list_name=list_name)

    report_extra_folders(images, classes, listing)
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
    groups = _drivers(root, Path(drivers).expanduser()) if drivers is not None else {}
    listing = Listing(classes, {"train": [], "test": []})

    folders = tuple(f"c{label}" for label in range(len(classes)))

    for split, samples in listing.splits.items():
        for camera in ("Camera 1", "Camera 2"):
            report_extra_folders(root / camera / split, folders, listing)
            for label, name in enumerate(folders):
                found = [
                    Sample(path, label, groups.get(path.relative_to(root).as_posix()))
                    for path in image_files(root / camera / split / name, listing)
                ]
                if clean and (camera, split, name) == ("Camera 1", "test", "c0"):
                    listing.left_out += [s for s in found if _is_shared_driver(s.path)]
                    found = [s for s in found if not _is_shared_driver(s.path)]
                samples += found

    without = [sample.path for sample in listing.splits["train"] if sample.group is None]
    if drivers is not None and without:
        raise DatasetError(
            f"drivers={drivers} names no driver for {len(without)} images, first {without[0]}"
        )
    return listing


def _is_shared_driver(path: Path) -> bool:
    """Tell by the number of an image whether it shows the driver who is in both splits."""
    return path.stem.isdigit() and SHARED_DRIVER_FIRST <= int(path.stem) <= SHARED_DRIVER_LAST


def _drivers(root: Path, csv_path: Path) -> dict[str, str]:
    """Read who drives in which image."""
    if not csv_path.is_file():
        raise DatasetNotFoundError(
            f"drivers={csv_path} does not exist; give a CSV with the columns path,driver"
        )
    rows = [row for _, row in read_rows(csv_path, ("path", "driver"))]
    unknown = [row["path"] for row in rows if not (root / row["path"]).is_file()]
    if unknown:
        raise ConfigError(f"drivers={csv_path} names {unknown[0]}, which is not in {root}")
    return {Path(row["path"]).as_posix(): row["driver"] for row in rows}
