"""``agnet benchmark PART``: hands over to ``benchmarks/`` of a checkout."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from agnet_vision.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]


def run(words: Sequence[str]) -> None:
    """Measure a part of the library.

    Raises:
        ConfigError: this is no checkout.
    """
    if not (CHECKOUT / "benchmarks" / "__init__.py").is_file():
        raise ConfigError(
            "the benchmarks are not installed with the package; run this in a checkout of its "
            "sources"
        )
    sys.path.insert(0, str(CHECKOUT))
    importlib.import_module("benchmarks").run(words)
