"""``agnet demo``: its networks and its port."""

from __future__ import annotations

from pathlib import Path

import pytest

from agnet_vision.cli.demo import load_models
from agnet_vision.errors import ConfigError
from tests.cli.saved import call, save_network


def test_value_networks_are_named_by_variant_backbone_and_place(tmp_path: Path) -> None:
    places = [str(save_network(tmp_path / name)) for name in ("one", "two")]
    models = load_models(places)
    assert list(models) == [f"full, test_resnet ({place})" for place in places]
    assert list(load_models(places[0])) == [f"full, test_resnet ({places[0]})"]
    assert all(model.classes == ("ant", "bee", "шмель") for model in models.values())


@pytest.mark.parametrize("port", [0, 65536])
def test_raises_on_a_port_there_is_not(port: int) -> None:
    with pytest.raises(ConfigError, match=r"port must be a whole number in \[1, 65535\]"):
        call("demo", f"port={port}")
