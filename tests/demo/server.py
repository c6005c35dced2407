"""Serve the page in a process of its own.

``python -m tests.demo.server networks/ example.jpg``, and perhaps how old files grow, in seconds

Gradio drops sockets and event loops unclosed. Here they end with the process, and no test is
charged with them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agnet_vision.demo import page
from agnet_vision.models.agnet import load_model


def main(networks: str, example: str, age: str | None = None) -> None:
    """Serve saved networks, named by folder, until stdin is closed."""
    if age is not None:
        page.KEPT_SECONDS = (1, int(age))
    models = {folder.name: load_model(folder) for folder in sorted(Path(networks).iterdir())}
    print(page.launch(page.build_page(models, [Path(example)])), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
