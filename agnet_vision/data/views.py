"""Test-time augmentation: two views of an image, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from jaxtyping import Float
from torch import Tensor

from agnet_vision.choices import TTA
from agnet_vision.data.preprocessing import EvaluationTransform, Matrix, change_view
from agnet_vision.errors import ConfigError
from agnet_vision.structures import RGBImage

COUNTS: Mapping[str, int] = {"none": 1, "whole": 2}

# The network's input, and the matrix that takes points (x, y, 1) of the image to where they are.
View = tuple[Float[Tensor, "3 side side"], Matrix]


class TestTimeViews:
    """The views of an image that a network gets to see.

    Args:
        data_config: description of the network's input in timm's words.
        tta: ``"none"``: the view of evaluation alone; ``"whole"``: that and the whole image,
            squeezed to a square.

    Raises:
        ConfigError: there is no such augmentation, or its two views are the same.
    """

    __test__ = False  # pytest takes the name for that of a test

    def __init__(self, data_config: Mapping[str, Any], tta: TTA) -> None:
        if tta not in get_args(TTA):
            raise ConfigError(f"tta must be one of {', '.join(get_args(TTA))}, got {tta!r}")

        configs = [dict(data_config)]
        if tta == "whole":
            configs.append(change_view(data_config, view="whole"))
            if configs[0] == configs[1]:
                raise ConfigError(
                    "tta must be none where the whole image is the view already, got whole"
                )
        self.tta = tta
        self.transforms = [EvaluationTransform(config) for config in configs]

    def __call__(self, image: RGBImage) -> list[View]:
        """Return the views of an image, that of evaluation first."""
        return [transform(image) for transform in self.transforms]
