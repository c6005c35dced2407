"""A network's input, in timm's words."""

from __future__ import annotations

from typing import Any


def input_config(side: int, **changes: Any) -> dict[str, Any]:
    """Describe an input that is not normalized, so that pixels are fractions of white."""
    return {
        "input_size": (3, side, side),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "crop_mode": "center",
        **changes,
    }
