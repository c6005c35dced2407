"""Store keypoints: ``python tools/extract_regions.py --help``, or ``agnet extract``."""

from agnet_vision.cli.main import run

if __name__ == "__main__":
    run("extract")
