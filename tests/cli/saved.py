"""A small network, images on disk, and commands run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from agnet_vision.cli.command import load_command
from agnet_vision.cli.words import for_hydra
from agnet_vision.models.agnet import AGNet
from agnet_vision.options.compose import compose
from agnet_vision.options.validation import validate
from tests.data import miniatures


def given(command: str, *words: str) -> dict[str, Any]:
    """Read the options of a command as they are typed."""
    parser = OverridesParser.create()
    overrides = parser.parse_overrides(for_hydra(words, command))
    return {each.key_or_group: each.value() for each in overrides}


def options(command: str, **given: Any) -> Any:
    """Compose and check the options of a command."""
    return validate(load_command(command).schema, compose(command, given).values)


def call(command: str, *words: str) -> None:
    """Run a command as it is typed."""
    load_command(command).run(compose(command, given(command, *words)))


def save_network(folder: Path, *, classes: tuple[str, ...] = ("ant", "bee", "шмель")) -> Path:
    """Save an untrained network for the miniature folder's classes."""
    torch.manual_seed(0)
    model = AGNet("test_resnet", len(classes), num_clusters=2, classes=classes)
    model.save_pretrained(folder)
    return folder


def write_folder(root: Path) -> Path:
    """Write two images a class and split."""
    miniatures.folder(root, per_class=2)
    return root
