"""Measure a part of the library: ``python tools/benchmark.py PART [options]``; ``--help`` after PART lists them."""

from __future__ import annotations

import argparse
import importlib
import sys

from agnet_vision.errors import friendly_errors

PARTS = {
    "regions": "finding regions, beside bare SIFT detection and scikit-learn's mixture",
    "extraction": "filling the keypoint cache with one process and with several",
    "loader": "a training loader with and without stored regions",
    "decode": "reading photographs of the benchmarks' formats and sizes",
    "model": "the network's forward pass, training step and memory, beside the backbone alone",
    "onnx": "an exported network in ONNX Runtime, beside PyTorch",
}


def main() -> None:
    """Hand over to ``benchmarks.<part>``; only that part is imported."""
    lines = "\n".join(f"  {part:12}{what}" for part, what in PARTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"parts:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args(sys.argv[1:2]).part
    module = importlib.import_module(f"benchmarks.{part}")
    options = argparse.ArgumentParser(prog=f"benchmark.py {part}", description=module.__doc__)
    module.add_arguments(options)
    module.run(options.parse_args(sys.argv[2:]))


if __name__ == "__main__":
    with friendly_errors():
        main()
