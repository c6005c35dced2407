"""Serve the page in a process of its own: ``python -m tests.demo.server networks/ example.jpg``.

Gradio drops sockets and event loops unclosed. Here they end with the process, and no test is
charged with them.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from gradio import route_utils

from agnet_vision.demo import page
from agnet_vision.models.agnet import load_model


class Clock(datetime):
    """What Gradio takes for the time when it looks how old a file is."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz=None) -> Clock:
        return super().now(tz) + cls.ahead


def main(networks: str, example: str) -> None:
    """Serve saved networks, named by folder; lines of stdin are minutes that pass."""
    route_utils.datetime = Clock
    page.KEPT_SECONDS = (1, page.KEPT_SECONDS[1])  # look every second
    models = {folder.name: load_model(folder) for folder in sorted(Path(networks).iterdir())}
    print(page.launch(page.build_page(models, [Path(example)])), flush=True)
    for minutes in sys.stdin:
        Clock.ahead += timedelta(minutes=int(minutes))


if __name__ == "__main__":
    main(*sys.argv[1:])
