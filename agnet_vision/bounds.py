"""Between which numbers options lie, each bound once.

Region proposer, head, schema of options and the reading of a stranger's network share them: what is
far larger than anything useful would only take the machine's memory or time. They bind everybody,
so that whatever can be made can also be opened again.
"""

from __future__ import annotations

from numbers import Integral, Real
from reprlib import repr as short_repr
from typing import Any, NamedTuple


class Bound(NamedTuple):
    """The numbers, or whole numbers, from ``low`` to ``high``, inclusive."""

    low: float
    high: float
    whole: bool = True

    def holds(self, value: Any) -> bool:
        """Tell whether a value is one of them (NaN never)."""
        kind = Integral if self.whole else Real
        number = isinstance(value, kind) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number in [{self.low}, {self.high}]"


# Ours, all of them. The paper's network has kappa 8, p 7, d 32.
BOUNDS = {
    # the head
    "in_channels": Bound(1, 65_536),
    "num_classes": Bound(1, 1_000_000),
    "num_clusters": Bound(1, 64),  # the cache stores a group in a byte
    "pool_size": Bound(1, 64),
    "attention_units": Bound(1, 4_096),
    "width": Bound(1, 65_536),
    "dropout": Bound(0, 0.99, whole=False),
    "upsample": Bound(1, 256),
    "region_dropout": Bound(0, 0.99, whole=False),
    # data_config, each number of it
    "input_size": Bound(1, 8_192),
    "mean": Bound(-1_000, 1_000, whole=False),
    "std": Bound(1e-6, 1_000, whole=False),
    "crop_pct": Bound(0.01, 1, whole=False),
    # regions
    "keep_fraction": Bound(0.001, 1, whole=False),
    "max_side": Bound(32, 8_192),
    "seed": Bound(0, 2**32 - 1),  # what every random generator in here takes
    # calibration: beyond these the fit follows single images
    "temperature": Bound(0.05, 20, whole=False),
    "tau": Bound(0, 4, whole=False),
    # data
    "val_fraction": Bound(0, 0.99, whole=False),
    "test_fraction": Bound(0, 0.99, whole=False),
    # each number of taps and backbone_kwargs
    "taps": Bound(-64, 64),
    "backbone_kwargs": Bound(-10_000, 10_000, whole=False),
}


def check_bounds(**options: Any) -> None:
    """Raise a ``ValueError`` for the first number that is out of the bounds of its name."""
    for name, value in options.items():
        if not BOUNDS[name].holds(value):
            raise ValueError(f"{name} must be {BOUNDS[name]}, got {short_repr(value)}")
