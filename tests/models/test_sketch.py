"""What is found out about timm models without running them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from agnet_vision.models.sketch import (
    SizeRule,
    find_size_rule,
    input_size,
    layout_of_output,
    make_sketch,
    unused_modules,
)


def test_value_size_rule() -> None:
    assert SizeRule(multiple=14).nearest(224, 160) == (224, 154)
    assert SizeRule(fixed=(224, 224)).nearest(300, 100) == (224, 224)
    assert SizeRule().nearest(33, 65) == (33, 65)


def sketch_of(name: str, **options: object) -> tuple[Any, torch.Tensor]:
    """Make a sketch, and images of a size it takes."""
    with torch.device("meta"):
        sketch, options = make_sketch(name, options)
        return sketch, torch.empty(2, *input_size(sketch, options))


@pytest.mark.parametrize(
    ("name", "layout", "rule"),
    [
        ("test_resnet", "NCHW", SizeRule()),
        ("test_vit", "tokens", SizeRule(multiple=16)),
        ("swin_tiny_patch4_window7_224", "NHWC", SizeRule(multiple=32)),
        ("mixer_s32_224", "tokens", SizeRule(fixed=(224, 224))),
    ],
)
def test_value_layout_and_sizes(name: str, layout: str, rule: SizeRule) -> None:
    sketch, images = sketch_of(name)
    assert next(sketch.parameters()).is_meta
    assert layout_of_output(sketch, images) == layout
    assert find_size_rule(sketch, images) == rule


def test_value_input_size_follows_the_options() -> None:
    sketch, images = sketch_of("test_vit", in_chans=1, img_size=64)
    assert images.shape == (2, 1, 64, 64)
    assert input_size(sketch, {"img_size": (32, 48)}) == (3, 32, 48)


def test_value_unused_modules_are_the_largest() -> None:
    model = nn.Sequential(
        OrderedDict(used=nn.Linear(2, 2), unused=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    )
    model.used(torch.ones(1, 2)).sum().backward()
    assert unused_modules(model) == ["unused"]
