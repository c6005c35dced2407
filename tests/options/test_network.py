"""What the options of backbone, head and regions may be."""

from __future__ import annotations

from typing import Any

import pytest

from agnet_vision.errors import ConfigError
from agnet_vision.options.resolve import training_options


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("backbone.checkpoint", 5, "text, or null, got 5"),
        ("backbone.output_stride", 3, "one of 8, 16, 32, or null, got 3"),
        ("model.head.dropout", "0.2", r"a number in \[0, 0.99\], or null, got '0.2'"),
        ("backbone.taps", -2, r"a list such as \[-2\] or \[-2,-1\], or null, got -2"),
        ("backbone.taps", [], r"a list such as .* got \[\]"),
        ("regions.max_side", 10, r"a whole number in \[32, 8192\], got 10"),
    ],
)
def test_raises(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be {rule}") as caught:
        training_options({name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"head": {"dropuot": 0.2}}}, "did you mean model.head.dropout"),
        ({"model": {"head": 5}}, "model.head is a group of options; give one of them"),
        ({"backbone": "timm"}, "backbone.name must be given: any name of timm"),
        ({"backbone": "test_resne"}, "no model 'test_resne'; did you mean test_resnet"),
        ({"backbone.kwargs": {"in_chans": 1}}, "must not have in_chans: the images are RGB; leave"),
        ({"backbone.kwargs": {"output_stride": 8}}, "it is backbone.output_stride"),
        (
            {"backbone": {"kwargs": {"embed_dim": 10**6}}},
            r"backbone_kwargs must hold text, a number in .* got embed_dim=1000000",
        ),
    ],
)
def test_raises_on_groups(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        training_options(values)
    assert "\n" not in str(caught.value)


def test_allowed() -> None:
    assert training_options({"backbone.taps": [-2, -1]}).backbone.taps == [-2, -1]
