"""Fixtures of the source tests: a folder dataset, quiet miniatures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from agnet_vision.data.sources.samples import DatasetWarning
from tests.data import miniatures


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a folder with train, val and test."""
    miniatures.folder(tmp_path / "set", per_class=2)
    return tmp_path / "set"


@pytest.fixture
def incomplete() -> Iterator[None]:
    """Miniatures have fewer images than their cards say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        yield
