"""The search for a dataset below the folder that the user names."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from agnet_vision.data.sources.card import Card
from agnet_vision.data.sources.layouts.scan import class_folders
from agnet_vision.errors import DatasetNotFoundError


def find_layout(card: Card, root: Path) -> Path:
    """Find the folder that holds the official layout.

    That is the root itself, the folder an archive unpacks into, or either of them one folder
    deeper, as some copies have it.

    Args:
        card: card that names what must be there.
        root: folder in which the user says the dataset lies.

    Raises:
        DatasetNotFoundError: it is not there; the message says what was looked for, where to get
            it and which command checks it.
        DatasetError: the root cannot be read.
    """
    folders = [root / inside for inside in card.inside]
    for folder in folders:
        if _is_layout(card, folder):
            return folder

    if card.needs and root.is_dir():
        deeper = [inner / inside for inner in class_folders(root) for inside in card.inside]
        for folder in deeper:
            if _is_layout(card, folder):
                return folder

    raise DatasetNotFoundError(
        f"{card.title} is not there: {_what_lacks(card, root, folders)}.\n"
        f"  {card.how_to_get}\n"
        f"  If it lies elsewhere, name that folder as its root. "
        f"To check it: {check_command(card.name, root, {})}"
    )


def _is_layout(card: Card, folder: Path) -> bool:
    return folder.is_dir() and all((folder / need).exists() for need in card.needs)


def _what_lacks(card: Card, root: Path, folders: list[Path]) -> str:
    """Say which parts of a layout were not found."""
    if not root.is_dir():
        return f"{root} {'is not a folder' if root.exists() else 'does not exist'}"
    for folder in folders:
        missing = [str(folder / need) for need in card.needs if not (folder / need).exists()]
        if len(missing) < len(card.needs):
            return f"{' and '.join(missing)} missing, though part of the dataset lies beside it"
    return " or ".join(str(folder / card.needs[0]) for folder in folders) + " does not exist"


def check_command(name: str, root: Path, options: dict[str, Any]) -> str:
    """Write the command that checks a dataset, ready for a shell."""
    given = {"root": root, **{key: value for key, value in options.items() if value is not None}}
    words = shlex.join(f"dataset.{key}={value}" for key, value in given.items())
    return f"agnet prepare dataset={name} {words}"
