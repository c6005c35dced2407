"""docs/head.md: every example runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

TEXT = (Path(__file__).parents[2] / "docs/head.md").read_text(encoding="utf-8")
START, *EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
TITLES = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)[1 : 1 + len(EXAMPLES)]


# What an example leaves behind -> its shape.
RESULTS: dict[str, dict[str, tuple[int, ...]]] = {
    "A torchvision model": {"logits": (2, 10), "feature_map": (2, 512, 14, 14)},
    "A bare `nn.Sequential`": {"logits": (2, 10)},
    "A `DataLoader`": {"logits": (2, 10)},
    '"Not there": evidence as a loss': {"logits": (2, 10)},
    "A Hugging Face backbone": {"logits": (2, 10), "feature_map": (2, 128, 27, 27)},
    "Any timm model": {"logits": (2, 10)},
    "timm's factory": {"logits": (2, 10)},
    "Its parts": {"logits": (2, 10)},
    "Saved, shared, exported": {"logits": (2, 10)},
}

# An example that goes on with the network of another.
GOES_ON = {
    "A `DataLoader`": "A bare `nn.Sequential`",
    "Saved, shared, exported": "timm's factory",
}


@pytest.mark.parametrize("title", TITLES)
def test_example(title: str) -> None:
    """It runs, and tells the two images apart."""
    torch.manual_seed(0)
    names: dict = {}
    exec(START, names)
    if "Hugging Face" in title:
        pytest.importorskip("transformers")
    if earlier := GOES_ON.get(title):
        exec(EXAMPLES[TITLES.index(earlier)], names)
    exec(EXAMPLES[TITLES.index(title)], names)
    for name, shape in RESULTS[title].items():
        assert names[name].shape == shape
        assert names[name].isfinite().all()
        assert not torch.equal(names[name][0], names[name][1])
