"""A package that is missing is named with the extra that has it."""

from __future__ import annotations

import pytest

from agnet_vision.errors import EXTRAS, ConfigError, extra_needed


def test_a_module_of_our_own_is_no_extra() -> None:
    with pytest.raises(ModuleNotFoundError), extra_needed("train"):
        import agnet_vision.nowhere  # noqa: F401


@pytest.mark.parametrize(("package", "extra"), [*EXTRAS.items(), ("unheard_of", "train")])
def test_value_the_extra_of_a_package(package: str, extra: str) -> None:
    with (
        pytest.raises(ConfigError, match=rf"^{package} .*agnet_vision\[{extra}\]"),
        extra_needed("train"),
    ):
        raise ModuleNotFoundError(name=f"{package}.inner")
