"""``python -m benchmarks.faults``."""

import argparse

from benchmarks.faults import __doc__ as description
from benchmarks.faults import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=description)
    add_arguments(parser)
    run(parser.parse_args())
