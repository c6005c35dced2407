"""AGNetHead: the layers in the paper's order. It plugs into any CNN that gives a (B, C, H, W) map."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agnet_vision.models.layers import (
    Attention,
    MixedPoolClassifier,
    RegionAttention,
    SelfAttention,
    SlotSqueezeExcite,
    pool_region_means,
    pool_regions,
    project_regions,
    sum_regions,
)
from agnet_vision.structures import Regions, check_boxes, num_regions, valid_images

Variant = Literal["full", "no_attention", "backbone_only"]
POOL_SIZE = 7  # paper
PART_BYTES = 32 * 2**20  # of region features worked on at a time; ours, see _summarize_in_parts


class RegionDescription(NamedTuple):
    """How the head sees an image before it classifies: ``descriptor = sum_r coefficients_r * features_r``.

    Attributes:
        features: phi, the gated region features.
        coefficients: the weight of each region in the descriptor; zero in masked slots.
        attention: importance and pairwise attention.
    """

    features: Float[Tensor, "batch regions bins channels"]
    coefficients: Float[Tensor, "batch regions"]
    attention: Attention

    def descriptor(self) -> Float[Tensor, "batch bins channels"]:
        """Sum the regions up to the image descriptor."""
        summed = torch.bmm(
            self.coefficients[:, None].to(self.features.dtype), self.features.flatten(2)
        )
        return summed.squeeze(1).unflatten(1, self.features.shape[2:])


class AGNetHead(nn.Module):
    """Keypoint-region attention and classifier for the last map of any CNN.

    Args:
        in_channels: C of the feature map.
        num_classes: number of logits; 0 for the embedding that the linear layer would see.
        num_clusters: kappa; the head has kappa (kappa + 1) / 2 + 1 region slots; 8 (paper).
        variant: ``full``; ``no_attention`` (the mean of the gated regions instead of both attentions) or ``backbone_only``
            (no regions at all): the paper's ablation.
        pool_size: p, the side of a region's pooled grid; 7 (paper).
        attention_units: d of the pairwise attention; 32 (paper).
        normalize_context: see ``RegionAttention``.
        dropout: see ``MixedPoolClassifier``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        num_clusters: int = 8,
        variant: Variant = "full",
        pool_size: int = POOL_SIZE,
        attention_units: int = 32,
        normalize_context: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if variant not in get_args(Variant):
            raise ValueError(
                f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}"
            )
        for name, value, least in (
            ("in_channels", in_channels, 1),
            ("num_classes", num_classes, 0),
            ("num_clusters", num_clusters, 1),
            ("pool_size", pool_size, 1),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.in_channels, self.num_classes, self.num_clusters = (
            in_channels,
            num_classes,
            num_clusters,
        )
        self.variant, self.pool_size = variant, pool_size
        self.num_regions = num_regions(num_clusters)
        self.self_attention = SelfAttention(in_channels) if variant == "full" else None
        self.squeeze_excite = (
            SlotSqueezeExcite(self.num_regions, in_channels) if variant != "backbone_only" else None
        )
        self.region_attention = (
            RegionAttention(
                in_channels * pool_size**2,
                units=attention_units,
                normalize_context=normalize_context,
            )
            if variant == "full"
            else None
        )
        self.classifier = MixedPoolClassifier(in_channels, num_classes, dropout=dropout)

    @property
    def needs_regions(self) -> bool:
        """Tell whether ``forward`` must be given regions."""
        return self.variant != "backbone_only"

    @property
    def has_attention(self) -> bool:
        """Tell whether regions are weighed by what they show."""
        return self.variant == "full"

    def forward(
        self,
        feature_map: Float[Tensor, "batch channels height width"],
        regions: Regions | None = None,
        return_attention: bool = False,
        pre_logits: bool = False,
    ) -> Float[Tensor, "batch classes"] | tuple[Float[Tensor, "batch classes"], Attention]:
        """Classify the map.

        Args:
            feature_map: the backbone's map.
            regions: boxes (B, R, 4) and mask (B, R) on the map's device; ``backbone_only`` ignores them.
            return_attention: also return importance (B, R) and pairwise (B, R, R); ``full`` only.
            pre_logits: return what the classifier's linear layer sees, (B, C), in place of the logits.

        Raises:
            ValueError: the map or the regions do not fit the head, or the variant has no attention to return.
        """
        if return_attention and self.variant != "full":
            raise ValueError(
                f"only variant 'full' has attention to return, this head is {self.variant!r}"
            )
        classify = self.classifier.embed if pre_logits else self.classifier
        if self.variant == "backbone_only":
            self._check_map(feature_map)
            return classify(feature_map.flatten(2).transpose(1, 2))
        prepared = self._prepare(feature_map, regions)
        if feature_map.device.type != "cpu" or torch.compiler.is_compiling():
            descriptor, attention = self._summarize(*prepared)
        elif _fits_passes(prepared[0], prepared[1]):
            descriptor, attention = self._summarize_in_passes(*prepared)
        else:
            descriptor, attention = self._summarize_in_parts(*prepared)
        logits = classify(descriptor)
        return (logits, attention) if return_attention else logits

    def describe(
        self, feature_map: Float[Tensor, "batch channels height width"], regions: Regions | None
    ) -> RegionDescription:
        """Pool, gate and weigh the regions of each image; the descriptor is their weighted sum.

        Raises:
            ValueError: the map or the regions do not fit the head.
        """
        return self._weigh(*self._prepare(feature_map, regions))

    def _prepare(
        self, feature_map: Tensor, regions: Regions | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Check the input; return the map after self-attention, boxes, mask and the gates of each region."""
        boxes, mask = self._check(feature_map, regions)
        if self.self_attention is not None:
            feature_map = self.self_attention(feature_map)
        assert self.squeeze_excite is not None  # every variant with regions has it
        gates = self.squeeze_excite.gates(pool_region_means(feature_map, boxes, self.pool_size))
        return feature_map, boxes, mask, gates

    def _weigh(
        self, feature_map: Tensor, boxes: Tensor, mask: Tensor, gates: Tensor
    ) -> RegionDescription:
        """Pool and gate the regions, and weigh them."""
        features, scale = pool_regions(feature_map, boxes, self.pool_size), (1 + gates)[:, :, None]
        # In place where it may be: half the memory traffic.
        features = features * scale if torch.is_grad_enabled() else features.mul_(scale)
        if self.region_attention is None:
            return RegionDescription(features, *_uniform_attention(mask, features.dtype))
        coefficients, attention = self.region_attention(features.flatten(2), mask)
        return RegionDescription(features, coefficients, attention)

    def _summarize(
        self, feature_map: Tensor, boxes: Tensor, mask: Tensor, gates: Tensor
    ) -> tuple[Float[Tensor, "batch bins channels"], Attention]:
        """Return the image descriptors, and drop the region features."""
        description = self._weigh(feature_map, boxes, mask, gates)
        return description.descriptor(), description.attention

    def _summarize_in_passes(
        self, feature_map: Tensor, boxes: Tensor, mask: Tensor, gates: Tensor
    ) -> tuple[Float[Tensor, "batch bins channels"], Attention]:
        """Do the same without ever holding all region features: in float32 on the CPU, the fastest way."""
        if self.region_attention is None:
            coefficients, attention = _uniform_attention(mask, feature_map.dtype)
        else:
            weight = self.region_attention.project.weight
            projected = project_regions(feature_map, boxes, gates, weight, self.pool_size)
            coefficients, attention = self.region_attention.relate(projected, mask)
        return sum_regions(feature_map, boxes, gates, coefficients, self.pool_size), attention

    def _summarize_in_parts(
        self, *prepared: Tensor
    ) -> tuple[Float[Tensor, "batch bins channels"], Attention]:
        """Do the same for a few images at a time, and in training compute the features again in the backward pass.

        For whatever the passes do not take: autocast, half precision, gradients of boxes. The features of a whole batch would
        leave the processor's cache and be most of the memory the head takes. A small network has one part.
        """
        image_bytes = (
            self.num_regions * self.pool_size**2 * self.in_channels * prepared[0].element_size()
        )
        images = max(PART_BYTES // image_bytes, 1)
        if images >= len(prepared[0]):
            return self._summarize(*prepared)
        parts = zip(*(tensor.split(images) for tensor in prepared), strict=True)
        if torch.is_grad_enabled():
            results = [
                checkpoint(self._summarize, *part, use_reentrant=False, preserve_rng_state=False)
                for part in parts
            ]
        else:
            results = [self._summarize(*part) for part in parts]
        descriptors, attentions = zip(*results, strict=True)
        importance, pairwise = (torch.cat(tensors) for tensors in zip(*attentions, strict=True))
        return torch.cat(descriptors), Attention(importance, pairwise)

    def _check_map(self, feature_map: Tensor) -> None:
        """Refuse a map that does not fit."""
        if feature_map.ndim != 4 or feature_map.shape[1] != self.in_channels:
            raise ValueError(
                f"feature_map must be (B, {self.in_channels}, H, W), got {tuple(feature_map.shape)}"
            )
        if self.variant != "backbone_only" and min(feature_map.shape[-2:]) < self.pool_size:
            raise ValueError(
                f"feature_map must be at least pool_size={self.pool_size} cells high and wide, got "
                f"{tuple(feature_map.shape[-2:])}; use larger images, an earlier map or a smaller pool_size "
                "(AGNet chooses it when given image_size)"
            )

    def _check(self, feature_map: Tensor, regions: Regions | None) -> Regions:
        """Return the regions; refuse shapes, types and devices that do not fit, and on the CPU boxes that are none."""
        self._check_map(feature_map)
        if regions is None:
            raise ValueError(
                f"variant {self.variant!r} needs regions; RegionProposer makes them from the images"
            )
        boxes, mask = regions
        expected = (feature_map.shape[0], self.num_regions)
        if tuple(boxes.shape) != (*expected, 4) or tuple(mask.shape) != expected:
            raise ValueError(
                f"regions must have boxes {(*expected, 4)} and mask {expected} for num_clusters={self.num_clusters}, "
                f"got {tuple(boxes.shape)} and {tuple(mask.shape)}"
            )
        if not boxes.is_floating_point() or mask.dtype != torch.bool:
            raise ValueError(
                f"boxes must be floating point and mask bool, got {boxes.dtype} and {mask.dtype}"
            )
        if boxes.device != feature_map.device or mask.device != feature_map.device:
            raise ValueError(
                f"regions must be on the map's device {feature_map.device}, got {boxes.device} and {mask.device}; "
                "move them with regions.to(device)"
            )
        emptied = Regions(
            boxes.masked_fill(~mask[..., None], 0), mask
        )  # whatever an empty slot holds, NaN too, takes no part
        if boxes.device.type == "cpu" and not torch.compiler.is_compiling():
            check_boxes(
                emptied
            )  # elsewhere reading a value would wait for the device: see valid_images
            return emptied
        return Regions(emptied.boxes.where(valid_images(emptied)[:, None, None], torch.nan), mask)


def _uniform_attention(mask: Tensor, dtype: torch.dtype) -> tuple[Tensor, Attention]:
    """Return the coefficients of a mean over the valid regions, and that there is no attention behind them."""
    uniform = mask.to(dtype) / mask.sum(dim=1, keepdim=True)
    return uniform, Attention(uniform, uniform.new_zeros(*mask.shape, mask.shape[1]))


def _fits_passes(feature_map: Tensor, boxes: Tensor) -> bool:
    """Tell whether all is computed in the map's own precision, and no gradient is wanted of the boxes."""
    cast = torch.is_autocast_enabled("cpu") or feature_map.dtype not in (
        torch.float32,
        torch.float64,
    )
    return not cast and not boxes.requires_grad
