"""Errors keep what they say, wherever they travel."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from agnet_vision import errors
from agnet_vision.errors import (
    EXTRAS,
    AGNetError,
    ConfigError,
    ImageReadError,
    Stopped,
    extra_needed,
)


def test_a_missing_extra_is_one_line() -> None:
    with (
        pytest.raises(
            ConfigError,
            match=r"nowhere_at_all is not installed; pip install 'agnet_vision\[train\]'",
        ),
        extra_needed("train"),
    ):
        import nowhere_at_all  # noqa: F401
    with pytest.raises(ModuleNotFoundError), extra_needed("train"):
        import agnet_vision.nowhere  # noqa: F401


def test_errors_of_loader_workers_survive_their_trip() -> None:
    error = pickle.loads(pickle.dumps(ImageReadError("a.png", "it is empty")))
    assert str(error) == "cannot read a.png as an image: it is empty"
    assert (error.path, error.reason) == (Path("a.png"), "it is empty")


def test_value_a_stop_has_its_signal_and_advice() -> None:
    assert isinstance(Stopped(15), KeyboardInterrupt)
    assert (Stopped(15).number, str(Stopped(15))) == (15, "")
    assert str(Stopped(2, "go on")) == "go on"


@pytest.mark.parametrize(("package", "extra"), [*EXTRAS.items(), ("unheard_of", "train")])
def test_value_the_extra_of_a_package(package: str, extra: str) -> None:
    with (
        pytest.raises(ConfigError, match=rf"^{package} .*agnet_vision\[{extra}\]"),
        extra_needed("train"),
    ):
        raise ModuleNotFoundError(name=f"{package}.inner")


def test_mistakes_of_a_user_are_all_of_one_kind() -> None:
    public = [each for each in vars(errors).values() if isinstance(each, type)]
    mistakes = {each.__name__ for each in public if issubclass(each, Exception)}
    kin = {each.__name__ for each in public if issubclass(each, AGNetError)}
    assert mistakes == kin
