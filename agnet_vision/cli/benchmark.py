"""``agnet benchmark PART``: hands over to ``benchmarks/`` of a checkout."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from agnet_vision.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]
PARTS = {
    "regions": "finding regions, beside bare SIFT detection and scikit-learn's mixture",
    "extraction": "filling the keypoint cache with one process and with several",
    "loader": "a training loader with and without stored regions",
    "model": "the network's forward pass, training step and memory, beside the backbone alone",
    "throughput": "images per second of five networks, beside plain timm",
    "kills": "runs that are killed or stopped, and go on to the same result",
    "onnx": "an exported network in ONNX Runtime, beside PyTorch",
}


def run(words: Sequence[str], program: str) -> None:
    """Import and run ``benchmarks.<part>``.

    Raises:
        ConfigError: this is no checkout.
    """
    lines = "\n".join(f"  {part:12}{what}" for part, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog=program,
        description="Measure a part of the library, in a checkout of its sources; --help after "
        "PART lists its options.",
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args(words[:1]).part
    if not (CHECKOUT / "benchmarks" / "__init__.py").is_file():
        raise ConfigError(
            "the benchmarks are not installed with the package; run this in a checkout of its "
            "sources"
        )
    sys.path.insert(0, str(CHECKOUT))
    module = importlib.import_module(f"benchmarks.{part}")
    options = argparse.ArgumentParser(prog=f"{program} {part}", description=module.__doc__)
    module.add_arguments(options)
    module.run(options.parse_args(words[1:]))
