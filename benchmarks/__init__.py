"""Measurements behind the numbers in the documentation: ``python tools/benchmark.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

PARTS = {
    "regions": "finding regions, beside bare SIFT detection and scikit-learn's mixture",
    "extraction": "filling the keypoint cache with one process and with several",
    "loader": "a training loader with and without stored regions",
    "model": "the network's forward pass, training step and memory, beside the backbone alone",
    "throughput": "images per second of five networks, beside plain timm",
    "paper": "the paper's network on one GPU: speed, and the epoch chosen on test images",
    "guide": "what marks correct, where a painted label tells the class in training alone",
    "kills": "runs that are killed or stopped, and go on to the same result",
    "views": "scores by the view of a test image: which part of it, and how large",
    "onnx": "an exported network in ONNX Runtime, beside PyTorch",
}


def run(words: Sequence[str]) -> None:
    """Run the part that the first word names, with the options in the others."""
    lines = "\n".join(f"  {part:12}{what}" for part, what in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="agnet benchmark",
        description="Measure a part of the library; --help after PART lists its options.",
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args(words[:1]).part

    module = import_module(f"benchmarks.{part}")
    options = argparse.ArgumentParser(prog=f"agnet benchmark {part}", description=module.__doc__)
    module.add_arguments(options)
    module.run(options.parse_args(words[1:]))
