"""A small network, images on disk, and commands run here."""

from __future__ import annotations

from pathlib import Path

import torch

from agnet_vision.cli.command import load_command
from agnet_vision.cli.parse import parse
from agnet_vision.models.agnet import AGNet
from tests.data import miniatures


def call(command: str, *words: str) -> None:
    """Run a command as it is typed."""
    loaded = load_command(command)
    loaded.call(parse(words, loaded))


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
