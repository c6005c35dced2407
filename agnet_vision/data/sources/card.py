"""Dataset cards: what the publishers say of their data, read from ``datasets/<name>/card.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from agnet_vision.errors import ConfigError
from agnet_vision.files import user_cache

DatasetName = Literal[
    "demo", "folder", "hf", "aucd_v1", "aucd_v2", "stanford40", "ppmi", "food101", "caltech256"
]
DATASET_NAMES: tuple[DatasetName, ...] = get_args(DatasetName)


@dataclass(frozen=True)
class RemoteFile:
    """One archive of a dataset: its addresses in order, and what publishers state of it."""

    name: str
    urls: tuple[str, ...]
    md5: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Card:
    """Facts about a dataset known before any file is read.

    Attributes:
        name: name of the dataset, as in ``dataset=<name>``.
        title: name that the publishers use.
        metric: score that the papers report.
        license, citation, source: one line each; ``source`` is the address of the publishers' page.
        classes: names of the classes in label order; empty where the folder decides.
        splits: images per official split; empty where the folder decides.
        counts: images per class in every split, in class order, where the publishers state them.
        files: archives to download; empty where none may be.
        how_to_get: steps that a user takes to have it.
        inside: folders below the root in which the layout may begin, in order of preference.
        needs: folders or files that the layout cannot do without.
        totals: images per class over all splits, in class order, where the publishers state only
            these.
        note: warning to users of the official split.
        own: whether it is the user's own data, without an official split.
        how_to_repair: what a user does about damaged files where there are no archives.
    """

    name: str
    title: str
    metric: Literal["acc", "mAP"]
    license: str
    citation: str
    source: str
    how_to_get: str
    classes: tuple[str, ...] = ()
    splits: dict[str, int] = field(default_factory=dict)
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    files: tuple[RemoteFile, ...] = ()
    inside: tuple[str, ...] = (".",)
    needs: tuple[str, ...] = ()
    totals: tuple[int, ...] = ()
    note: str = ""
    own: bool = False
    how_to_repair: str = ""


def datasets_folder() -> Path:
    """Find the folder of the dataset cards, in a checkout or in an installed package."""
    package = Path(__file__).parents[2]
    installed = package / "_datasets"
    return installed if installed.is_dir() else package.parent / "datasets"


def dataset_root(name: str, root: Path | str | None) -> Path:
    """Return the folder of a dataset: the user's, or one beside its card in a checkout."""
    if root is not None:
        return Path(root).expanduser()
    folder = datasets_folder()
    if folder.name == "_datasets":  # an installed package is no place for images
        folder = user_cache() / "datasets"
    return folder / name / "data"


@cache
def load_card(name: str) -> Card:
    """Read the card of a dataset.

    Raises:
        ConfigError: there is no such dataset.
    """
    if name not in DATASET_NAMES:
        raise ConfigError(f"dataset={name} is not known; choose one of {', '.join(DATASET_NAMES)}")

    path = datasets_folder() / name / "card.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    files = tuple(RemoteFile(**{**f, "urls": tuple(f["urls"])}) for f in content.pop("files", ()))
    per_class = len(content.get("classes", ()))
    counts = {
        split: (values,) * per_class if isinstance(values, int) else tuple(values)
        for split, values in content.pop("counts", {}).items()
    }

    facts: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
    }
    return Card(files=files, counts=counts, **facts)
