"""What a timm model does with an image, found out without running it.

timm's models answer ``forward_features`` in three layouts: NCHW maps (CNNs), NHWC maps (Swin),
token sequences with or without class tokens (ViT). A *sketch* of the model on the meta device,
which costs neither memory nor arithmetic, shows which one; its backward pass shows which modules
the map never uses (classifiers, later stages); a second size shows whether the model is tied to the
size it was made for.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import timm
import torch
from jaxtyping import Float
from timm.data import resolve_model_data_config
from torch import Tensor
from torch.nn.functional import interpolate

Layout = Literal["NCHW", "NHWC", "tokens"]


class SizeRule(NamedTuple):
    """Image sizes that a model takes: a single one (``fixed``), or the multiples of a number."""

    fixed: tuple[int, int] | None = None
    multiple: int = 1

    def nearest(self, height: int, width: int) -> tuple[int, int]:
        """Return the closest size in pixels that the model takes."""
        if self.fixed is not None:
            return self.fixed
        up, half = self.multiple, self.multiple // 2
        return max((height + half) // up, 1) * up, max((width + half) // up, 1) * up


def read_map(
    model: Any,
    images: Float[Tensor, "batch _ _ _"],
    layout: Layout,
    taps: tuple[int, ...] | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Run a timm model up to its feature map; ``TimmBackbone`` describes layout and taps."""
    if taps is None and layout == "NCHW":
        return model.forward_features(images)
    if taps is None and layout == "NHWC":
        return model.forward_features(images).permute(0, 3, 1, 2)

    # timm's forward_intermediates drops class tokens, and knows the grid of the others.
    if taps is None:
        indices: int | list[int] = 1
        # Models without a final norm refuse to be asked for it.
        norm = getattr(model, "norm", None) is not None
    else:
        indices = sorted({range(len(model.feature_info))[tap] for tap in taps})
        norm = False
    maps = model.forward_intermediates(
        images,
        indices=indices,
        norm=norm,
        stop_early=taps is not None,
        output_fmt="NCHW",
        intermediates_only=True,
    )

    finest = max((m.shape[-2:] for m in maps), key=math.prod)
    resized = [
        each
        if each.shape[-2:] == finest
        else interpolate(each, finest, mode="bilinear", align_corners=False)
        for each in maps
    ]
    return torch.cat(resized, dim=1)


def unused_modules(sketch: Any) -> list[str]:
    """Name the largest modules that the last backward pass did not reach."""
    unused: list[str] = []
    for name, module in sketch.named_modules():
        parameters = list(module.parameters())
        inside_unused = any(name.startswith(f"{outer}.") for outer in unused)
        if name and parameters and not inside_unused and all(p.grad is None for p in parameters):
            unused.append(name)
    return unused


def make_sketch(name: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make the sketch of a model, freed from the image size of its training where it can be.

    Returns:
        The sketch, and the options of ``timm.create_model`` with those that free it.
    """
    sketch = timm.create_model(name, num_classes=0, **options)
    accepted = {
        key for cls in type(sketch).__mro__[:-1] for key in inspect.signature(cls).parameters
    }
    freeing = {"dynamic_img_size": True, "strict_img_size": False}
    added = {key: value for key, value in freeing.items() if key in accepted and key not in options}
    options = {**options, **added}
    return (timm.create_model(name, num_classes=0, **options) if added else sketch).eval(), options


def find_size_rule(sketch: Any, images: Tensor) -> SizeRule:
    """Find the sizes that a model takes, by trying two others than that of ``images``."""
    height, width = images.shape[-2:]
    patch = round(max(info["reduction"] for info in getattr(sketch, "feature_info", [])) or 1)
    for multiple, more in ((1, (19, 37)), (patch, (patch, 2 * patch))):
        try:
            with torch.no_grad():
                sketch.forward_features(
                    images.new_empty(2, images.shape[1], height + more[0], width + more[1])
                )
        except (AssertionError, RuntimeError, ValueError):  # how timm's models refuse a size
            continue
        return SizeRule(multiple=multiple)
    return SizeRule(fixed=(height, width))


def input_size(sketch: Any, options: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return (channels, height, width) of images that a model certainly takes."""
    _, height, width = resolve_model_data_config(sketch)["input_size"]
    size = options.get("img_size") or (height, width)
    height, width = (size, size) if isinstance(size, int) else size
    return options.get("in_chans", 3), height, width


def layout_of_output(sketch: Any, images: Tensor) -> Layout:
    """Find the layout in which a model answers."""
    features = sketch.forward_features(images)
    if isinstance(features, Tensor) and features.ndim == 4:
        fmt = str(getattr(sketch, "output_fmt", "NCHW")).rsplit(".", 1)[-1]
        last = fmt == "NHWC" or features.shape[1] != sketch.num_features == features.shape[3]
        return "NHWC" if last else "NCHW"
    return "tokens"
