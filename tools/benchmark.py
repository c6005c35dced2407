"""Measure a part of the library: ``python tools/benchmark.py PART [options]``; ``--help`` after PART lists them."""

from __future__ import annotations

import argparse
import importlib
import sys

from agnet_vision.errors import friendly_errors

PARTS = ("regions", "extraction", "loader", "decode", "model", "onnx")


def main() -> None:
    """Hand over to ``agnet_vision.benchmark.<part>``; only that part is imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    part = parser.parse_args(sys.argv[1:2]).part
    module = importlib.import_module(f"agnet_vision.benchmark.{part}")
    options = argparse.ArgumentParser(prog=f"benchmark.py {part}", description=module.__doc__)
    module.add_arguments(options)
    module.run(options.parse_args(sys.argv[2:]))


if __name__ == "__main__":
    with friendly_errors():
        main()
