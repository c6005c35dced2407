"""docs/head.md: every example runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

TEXT = (Path(__file__).parents[1] / "docs/head.md").read_text(encoding="utf-8")
START, *EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
TITLES = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)[1 : 1 + len(EXAMPLES)]


@pytest.mark.parametrize("title", TITLES)
def test_example(title: str) -> None:
    torch.manual_seed(0)
    names: dict = {}
    exec(START, names)
    earlier = EXAMPLES[: TITLES.index(title)] if title.startswith("Saved") else []
    if "Hugging Face" in title:
        pytest.importorskip("transformers")
    if earlier:
        exec(earlier[-1], names)  # it goes on with that model
    exec(EXAMPLES[TITLES.index(title)], names)


def test_examples_are_short() -> None:
    assert len(EXAMPLES) == 5
    assert all(len([line for line in example.splitlines() if line.strip()]) <= 10 for example in EXAMPLES)
