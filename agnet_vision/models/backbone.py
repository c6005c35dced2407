"""Any timm model as the source of a map.

Layout, channels and stride are found by a dry run.

timm's models answer ``forward_features`` in three layouts: NCHW maps (CNNs), NHWC maps (Swin),
token sequences with or without class tokens (ViT). A *sketch* of the model on the meta device,
which costs neither memory nor arithmetic, shows which one; its backward pass shows which modules
the map never uses (classifiers, later stages), and these are taken out; a second size shows whether
the model is tied to the size it was made for.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import timm
import torch
from jaxtyping import Float
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn
from torch.nn.functional import interpolate

Layout = Literal["NCHW", "NHWC", "tokens"]


class SizeRule(NamedTuple):
    """Which image sizes a model takes.

    One (``fixed``), or those divisible by ``multiple``.
    """

    fixed: tuple[int, int] | None = None
    multiple: int = 1

    def nearest(self, height: int, width: int) -> tuple[int, int]:
        """Return the closest size that the model takes."""
        if self.fixed is not None:
            return self.fixed
        up, half = self.multiple, self.multiple // 2
        return max((height + half) // up, 1) * up, max((width + half) // up, 1) * up


class TimmBackbone(nn.Module):
    """A timm model without its classifier: images to one map.

    Args:
        name: any name ``timm.create_model`` knows, ``hf-hub:`` names included.
        pretrained: load timm's pretrained weights.
        taps: None for the map the model's own classifier sees (paper), or indices into the model's
            stages as in timm's ``forward_intermediates`` (``(-2,)``: the last but one, twice as
            fine). Several maps are resized to the finest of them and concatenated along the
            channels.
        options: passed on to ``timm.create_model`` (``in_chans``, ``img_size``, ``output_stride``,
            ``drop_path_rate`` ...).

    Attributes:
        architecture: timm's name of the architecture, without the source of its weights.
        channels: C of the map.
        map_size: (height, width) of the map at ``data_config``'s input size.
        stride: pixels of the image per cell of the map.
        layout: how the model answers, see ``read_map``.
        size_rule: which image sizes the model takes: any, multiples of its patch, or one. Images of
            another size are resized to the nearest it takes; boxes are fractions of the image, so
            regions stay where they are.
        model: the timm model.

    Raises:
        ValueError: the model gives no map, or has no such taps.
    """

    model: Any  # timm's methods are not nn.Module's

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        taps: Sequence[int] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._frozen: list[str] = []  # modules that freeze_stages keeps in evaluation mode
        self.taps = tuple(taps) if taps is not None else None
        with torch.device("meta"):
            sketch, options = _sketch(name, options or {})
            images = torch.empty(2, *_input_size(sketch, options))
            try:
                self.layout: Layout = _layout(sketch, images)
                dry_map = read_map(sketch, images, self.layout, self.taps)
            except (AssertionError, IndexError, RuntimeError) as error:
                raise ValueError(
                    f"backbone must give a map (B, C, H, W), and {name!r} with taps={taps} does not "
                    f"({error}); choose other taps or another timm model, or put AGNetHead on your "
                    "own network"
                ) from error
            dry_map.sum().backward()
            self.map_size = (dry_map.shape[-2], dry_map.shape[-1])
            self.stride = round(images.shape[-1] / dry_map.shape[-1])
            self.size_rule = _size_rule(sketch, images)
            self.architecture: str = sketch.pretrained_cfg.get("architecture", name)
            removed, frozen = self._split_unused(sketch, images)
        self.in_channels, self.channels = images.shape[1], dry_map.shape[1]
        self.model = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        for module_name in removed:
            self.model.set_submodule(module_name, nn.Identity())
        for module_name in frozen:
            self.model.get_submodule(module_name).requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the map.

        Raises:
            ValueError: the images are not (B, C, H, W) with the channels the model was made for, or
                not floating point.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images must be (B, {self.in_channels}, H, W), got {tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ValueError(
                f"images must be normalised floating point, got {images.dtype}; see data_config"
            )
        size = self.size_rule.nearest(*images.shape[-2:])
        if size != tuple(images.shape[-2:]):
            images = interpolate(images, size, mode="bilinear", align_corners=False)
        return read_map(self.model, images, self.layout, self.taps)

    def freeze_stages(self, count: int) -> None:
        """Keep the stem and the first stages as they are, in training, too.

        Their parameters get no gradient, so that the backward pass ends before them, and they stay
        in evaluation mode.

        Args:
            count: of stages, as timm groups the model; 0: nothing is frozen, not even the stem.

        Raises:
            ValueError: timm knows no stages of this model, or not so many.
        """
        if count == 0:
            return
        name = self.architecture
        if not hasattr(self.model, "group_matcher"):
            raise ValueError(f"freeze_at must be 0: timm knows no stages of {name}")
        stages = group_parameters(self.model, self.model.group_matcher(coarse=True), reverse=True)
        last = max(stages.values())
        if count > last:
            raise ValueError(f"freeze_at must be at most {last}, the stages of {name}, got {count}")
        frozen = {parameter for parameter, stage in stages.items() if stage <= count}
        for parameter_name, parameter in self.model.named_parameters():
            if parameter_name in frozen:
                parameter.requires_grad_(False)
        self._frozen = [
            module_name
            for module_name, module in self.model.named_modules()
            if (inside := [f"{module_name}.{p}" for p, _ in module.named_parameters()])
            and frozen.issuperset(inside)
        ]
        self.train(self.training)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Change to training mode, but for frozen stages."""
        super().train(mode)
        for name in self._frozen:
            self.model.get_submodule(name).eval()
        return self

    def _split_unused(self, sketch: Any, images: Tensor) -> tuple[list[str], list[str]]:
        """Sort the modules the map does not use.

        Some can be taken out, others must stay because the model runs them anyway.
        """
        removed, frozen = list[str](), list[str]()
        for name in unused_modules(sketch):
            module = sketch.get_submodule(name)
            sketch.set_submodule(name, nn.Identity())
            try:
                with torch.no_grad():
                    read_map(sketch, images, self.layout, self.taps)
                removed.append(name)
            except (
                RuntimeError,
                TypeError,
            ):  # CrossViT's last block computes its small branch in any case
                sketch.set_submodule(name, module)
                frozen.append(name)
        return removed, frozen

    def data_config(self) -> dict[str, Any]:
        """Return timm's input size, interpolation, mean and std."""
        config = resolve_model_data_config(self.model)
        config["input_size"] = (self.in_channels, *config["input_size"][1:])
        for name in ("mean", "std"):
            values = config[name]
            if (
                len(values) != self.in_channels
            ):  # as timm folds the first convolution's weights: one value for all
                config[name] = (sum(values) / len(values),) * self.in_channels
        return config


def read_map(
    model: Any,
    images: Float[Tensor, "batch _ _ _"],
    layout: Layout,
    taps: tuple[int, ...] | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """Run the model up to its map.

    Args:
        model: a timm model.
        images: normalised images.
        layout: what ``forward_features`` returns; of ``tokens``, whose class tokens timm's
            ``forward_intermediates`` drops and whose grid it knows.
        taps: see ``TimmBackbone``.
    """
    if taps is None and layout == "NCHW":
        return model.forward_features(images)
    if taps is None and layout == "NHWC":
        return model.forward_features(images).permute(0, 3, 1, 2)
    if taps is None:
        indices: int | list[int] = 1
        norm = (
            getattr(model, "norm", None) is not None
        )  # models without a final norm refuse to be asked for it
    else:
        indices, norm = sorted({range(len(model.feature_info))[tap] for tap in taps}), False
    maps = model.forward_intermediates(
        images,
        indices=indices,
        norm=norm,
        stop_early=taps is not None,
        output_fmt="NCHW",
        intermediates_only=True,
    )
    finest = max((m.shape[-2:] for m in maps), key=math.prod)
    return torch.cat(
        [
            m
            if m.shape[-2:] == finest
            else interpolate(m, finest, mode="bilinear", align_corners=False)
            for m in maps
        ],
        1,
    )


def unused_modules(sketch: Any) -> list[str]:
    """Name the largest modules that the map does not use.

    None of their parameters took part in the backward pass just run.
    """
    unused: list[str] = []
    for name, module in sketch.named_modules():
        parameters = list(module.parameters())
        inside_unused = any(name.startswith(f"{outer}.") for outer in unused)
        if name and parameters and not inside_unused and all(p.grad is None for p in parameters):
            unused.append(name)
    return unused


def _sketch(name: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Make the model on the current (meta) device.

    Freed from its training size where its class has an option for that.
    """
    sketch = timm.create_model(name, num_classes=0, **options)
    accepted = {
        key for cls in type(sketch).__mro__[:-1] for key in inspect.signature(cls).parameters
    }
    freeing = {"dynamic_img_size": True, "strict_img_size": False}
    added = {key: value for key, value in freeing.items() if key in accepted and key not in options}
    options = {**options, **added}
    return (timm.create_model(name, num_classes=0, **options) if added else sketch).eval(), options


def _size_rule(sketch: Any, images: Tensor) -> SizeRule:
    """Find which sizes the model takes.

    By trying an odd one, then one in whole patches.
    """
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


def _input_size(sketch: Any, options: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return (channels, height, width) of images the model certainly takes."""
    _, height, width = resolve_model_data_config(sketch)["input_size"]
    size = options.get("img_size") or (height, width)
    height, width = (size, size) if isinstance(size, int) else size
    return options.get("in_chans", 3), height, width


def _layout(sketch: Any, images: Tensor) -> Layout:
    """Find how the model answers."""
    features = sketch.forward_features(images)
    if isinstance(features, Tensor) and features.ndim == 4:
        fmt = str(getattr(sketch, "output_fmt", "NCHW")).rsplit(".", 1)[-1]
        return (
            "NHWC"
            if fmt == "NHWC" or features.shape[1] != sketch.num_features == features.shape[3]
            else "NCHW"
        )
    return "tokens"
