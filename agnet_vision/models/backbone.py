"""Any timm model as a source of feature maps; ``sketch`` finds out how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn
from torch.nn.functional import interpolate

from agnet_vision.models.sketch import (
    Layout,
    find_size_rule,
    input_size,
    layout_of_output,
    make_sketch,
    read_map,
    unused_modules,
)


class TimmBackbone(nn.Module):
    """A timm model without its classifier: images in, one feature map out.

    Args:
        name: a name that ``timm.create_model`` knows, ``hf-hub:`` names included.
        pretrained: whether timm's pretrained weights are loaded.
        taps: indices of the stages whose maps are taken; by default the map that the model's own
            classifier sees (paper). They count as in timm's ``forward_intermediates`` (``(-2,)``:
            the second to last, twice as fine). Several maps are resized to the finest of them and
            concatenated along the channels.
        options: options of ``timm.create_model`` (``in_chans``, ``img_size``, ``output_stride``,
            ``drop_path_rate`` ...).

    Attributes:
        architecture: timm's name of the architecture, without the source of its weights.
        map_size: (height, width) of the map at ``data_config``'s input size.
        stride: pixels of the image per cell of the map.
        layout: layout in which the model answers.
        size_rule: image sizes that the model takes: any, multiples of its patch, or one. Images of
            another size are resized to the nearest it takes; boxes are fractions of the image, so
            regions stay where they are.

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
        self.taps = tuple(taps) if taps is not None else None

        with torch.device("meta"):
            sketch, options = make_sketch(name, options or {})
            images = torch.empty(2, *input_size(sketch, options))
            try:
                self.layout: Layout = layout_of_output(sketch, images)
                dry_map = read_map(sketch, images, self.layout, self.taps)
            except (AssertionError, IndexError, RuntimeError) as error:
                raise ValueError(
                    f"backbone must give a map (B, C, H, W); {name!r} with taps={taps} does not "
                    f"({error}); choose other taps or another timm model, or put AGNetHead on your "
                    "own network"
                ) from error

            dry_map.sum().backward()
            self.map_size = (dry_map.shape[-2], dry_map.shape[-1])
            self.stride = round(images.shape[-1] / dry_map.shape[-1])
            self.size_rule = find_size_rule(sketch, images)
            self.architecture: str = sketch.pretrained_cfg.get("architecture", name)
            removed = self._remove_unused(sketch, images)

        self.in_channels = images.shape[1]
        self.channels = dry_map.shape[1]
        self.model = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        for module_name in removed:
            self.model.set_submodule(module_name, nn.Identity())
        for parameter_name, parameter in sketch.named_parameters():
            if parameter.grad is None:  # it runs, but the map does not depend on it
                self.model.get_parameter(parameter_name).requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the feature map."""
        if not images.is_floating_point():
            raise ValueError(
                f"images must be normalized floating point, got {images.dtype}; see data_config"
            )
        size = self.size_rule.nearest(*images.shape[-2:])
        if size != tuple(images.shape[-2:]):
            images = interpolate(images, size, mode="bilinear", align_corners=False)
        return read_map(self.model, images, self.layout, self.taps)

    def freeze_stages(self, count: int) -> None:
        """Freeze the stem and the first stages for good.

        Their parameters get no gradient, so that the backward pass ends before them, and they stay
        in evaluation mode. ``count`` are stages as timm groups the model; with 0 nothing is frozen.
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

        for parameter_name, stage in stages.items():
            if stage <= count:
                self.model.get_parameter(parameter_name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Change to training mode, but for modules whose parameters are all frozen."""
        super().train(mode)
        for module in self.model.modules():
            parameters = list(module.parameters())
            if parameters and not any(each.requires_grad for each in parameters):
                module.eval()
        return self

    def _remove_unused(self, sketch: Any, images: Tensor) -> list[str]:
        """Take the modules out that the map does not need, and return their names."""
        removed = []
        for name in unused_modules(sketch):
            module = sketch.get_submodule(name)
            sketch.set_submodule(name, nn.Identity())
            try:
                with torch.no_grad():
                    read_map(sketch, images, self.layout, self.taps)
                removed.append(name)
            # CrossViT's last block computes its small branch in any case.
            except (RuntimeError, TypeError):
                sketch.set_submodule(name, module)
        return removed

    def data_config(self) -> dict[str, Any]:
        """Return timm's input size, interpolation, mean and std."""
        config = resolve_model_data_config(self.model)
        config["input_size"] = (self.in_channels, *config["input_size"][1:])
        for name in ("mean", "std"):
            values = config[name]
            # As timm folds the first convolution's weights: one value for all.
            if len(values) != self.in_channels:
                config[name] = (sum(values) / len(values),) * self.in_channels
        return config
