"""Hugging Face datasets, written out once as image files and a list, then read as a folder.

This is the only file that imports ``datasets``. Files hold the bytes of the dataset unchanged, so
that whatever works on files (region cache, split lists, search for duplicates) needs no second way.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agnet_vision.data.sources.layouts.table import read_table
from agnet_vision.data.sources.listing import SPLIT_NAMES, SPLITS, Listing
from agnet_vision.data.sources.split_list import ListedImage, write_split_list
from agnet_vision.errors import ConfigError, DatasetError, DatasetNotFoundError, extra_needed
from agnet_vision.files import write_atomically
from agnet_vision.task import SEPARATOR, SINGLE_LABEL, MultiLabel, Task

if TYPE_CHECKING:
    from datasets import Dataset

LIST, RECORD = "images.csv", "import.json"
LABEL_NAMES = ("label", "labels", "class", "target")  # of a column without a type of its own
# First bytes of a file -> its suffix; other files are named without one, and read all the same.
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif"}


class Columns(NamedTuple):
    """Names of the columns that are read; no group where it is unknown who or what is shown."""

    image: str
    label: str
    group: str | None


def read_hf(
    root: Path,
    classes: tuple[str, ...] = (),
    *,
    path: str,
    subset: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> Listing:
    """Read a dataset of the Hugging Face Hub, or of local files in its formats.

    Args:
        root: folder in which the images are written out.
        classes: classes of a network that is to be scored, as for ``read_folder``.
        path: name on the Hub, local folder, or Parquet file.
        subset: name of one of the dataset's configurations.
        image_column: column of images; the only one of that type where None.
        label_column: column of classes, or of lists of them; the only one of that type or name
            where None.
        group_column: column that says who or what an image shows.

    Raises:
        DatasetNotFoundError: there is no such dataset, or no network to get it.
        DatasetError: it has no training split.
        ConfigError: a column cannot be found.
    """
    splits = _map_splits(_load(path, subset), path, needs_train=not classes)
    columns = _find_columns(next(iter(splits.values())), image_column, label_column, group_column)
    folder = root / re.sub(r"[^\w.-]+", "-", f"{path} {subset or ''}").strip("-.")
    skipped = _write_out(splits, columns, folder)

    listing = read_table(folder, folder / LIST, group_column and "group", classes)
    listing.layout = folder
    listing.is_divided = len(splits) > 1
    if skipped:
        listing.report("skipped", path, f"{skipped:,} rows have no label and are left out")
    return listing


def _load(path: str, subset: str | None) -> dict[str, Dataset]:
    """Open a dataset without decoding its images."""
    with extra_needed("hf"):
        import datasets

    place = Path(path).expanduser()
    try:
        if place.is_file():
            return {"train": datasets.load_dataset("parquet", data_files=str(place))["train"]}
        if (place / "dataset_dict.json").is_file():
            return dict(datasets.load_from_disk(str(place)))
        if (place / "state.json").is_file():
            return {"train": datasets.load_from_disk(str(place))}
        return dict(datasets.load_dataset(str(place) if place.is_dir() else path, subset))
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        # Whatever the loader cannot do ends in one of these, its own errors among them.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetNotFoundError(
            f"path={path} cannot be opened ({reason}); give a folder or a Parquet file on this "
            "machine, or a name on the Hub and a network to get it once"
        ) from error


def _map_splits(found: dict[str, Dataset], path: str, *, needs_train: bool) -> dict[str, Dataset]:
    """Name the splits train, val and test; a single split is all train."""
    if len(found) == 1:
        return {"train": next(iter(found.values()))}

    named = {SPLIT_NAMES.get(name.lower(), name): part for name, part in found.items()}
    splits = {split: named[split] for split in SPLITS if split in named}
    if not splits or (needs_train and "train" not in splits) or len(named) < len(found):
        raise DatasetError(
            f"path={path} must have a split called train, and at most one val and one test, "
            f"has {', '.join(found)}"
        )
    return splits


def _find_columns(
    part: Dataset, image: str | None, label: str | None, group: str | None
) -> Columns:
    """Find the columns by the names given, or by their types."""
    from datasets import ClassLabel, Image

    types = part.features
    for option, name in (("image_column", image), ("label_column", label), ("group_column", group)):
        if name is not None and name not in types:
            raise ConfigError(f"{option}={name} must be one of {', '.join(types)}")

    images = [name for name, kind in types.items() if isinstance(kind, Image)]
    labels = [name for name, kind in types.items() if isinstance(_inner(kind), ClassLabel)]
    labels = labels or [name for name in LABEL_NAMES if name in types]
    for option, name, found in (("image_column", image, images), ("label_column", label, labels)):
        if name is None and len(found) != 1:
            raise ConfigError(
                f"{option}= must name one of the columns {', '.join(types)}: "
                f"{' and '.join(found) or 'none'} could be it"
            )
    return Columns(image or images[0], label or labels[0], group)


def _inner(kind: Any) -> Any:
    """Return the type of a list's items; any other type is returned as it is."""
    return getattr(kind, "feature", kind)


def _write_out(splits: dict[str, Dataset], columns: Columns, folder: Path) -> int:
    """Write images and list unless they are there, and return the number of skipped rows."""
    files = {name: [file["filename"] for file in part.cache_files] for name, part in splits.items()}
    record = {"files": files, "columns": list(columns)}
    place = folder / RECORD
    if place.is_file():
        before = json.loads(place.read_text(encoding="utf-8"))
        if before == {**record, "skipped": before.get("skipped")}:
            return before["skipped"]

    folder.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)  # written last, when the list is whole
    kind = next(iter(splits.values())).features[columns.label]
    task: Task = SINGLE_LABEL if _inner(kind) is kind else MultiLabel()
    rows, skipped = [], 0
    copies: Counter[str] = Counter()
    for split, part in splits.items():
        for content, label, group in _rows(part, columns):
            if label is None:
                skipped += 1
                continue

            digest = blake2b(content, digest_size=16).hexdigest()
            copies[digest] += 1
            # Copies of an image are files of their own, as in any folder: checks name them.
            again = f"_{copies[digest]}" if copies[digest] > 1 else ""
            suffix = next((s for start, s in SUFFIXES.items() if content.startswith(start)), "")
            name = f"{digest[:2]}/{digest}{again}{suffix}"
            if not (folder / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                write_atomically(folder / name, content)
            rows.append(ListedImage(name, label, split, group))
    write_split_list(folder / LIST, rows, task)
    write_atomically(place, json.dumps({**record, "skipped": skipped}))
    return skipped


def _rows(part: Dataset, columns: Columns) -> Iterator[tuple[bytes, str | None, str]]:
    """Yield the bytes, the class if there is one, and the group of each row."""
    from datasets import ClassLabel, Image

    kind = part.features[columns.label]
    names = _inner(kind)
    for row in part.cast_column(columns.image, Image(decode=False)):
        image, label = row[columns.image], row[columns.label]
        if label is None or label == -1:
            yield b"", None, ""
            continue

        shown = [label] if names is kind else sorted(set(label))
        texts = [names.int2str(k) if isinstance(names, ClassLabel) else str(k) for k in shown]
        if names is not kind and (wrong := [each for each in texts if SEPARATOR in each]):
            raise DatasetError(
                f"the name of a label must not have {SEPARATOR} in it, got {wrong[0]!r}; rename it"
            )
        text = SEPARATOR.join(texts)
        group = "" if columns.group is None else str(row[columns.group])
        try:  # in the row itself, or in a file that it names
            content = image["bytes"] or Path(image["path"]).read_bytes()
        except (TypeError, OSError) as error:
            raise DatasetError(
                f"a row with the label {text} has no image that can be read; remove such rows"
            ) from error
        yield content, text, group
