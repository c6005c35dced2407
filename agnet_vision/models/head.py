"""AGNetHead: the paper's layers in order, on any CNN's map."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from agnet_vision.bounds import check_bounds
from agnet_vision.models.layers import (
    Attention,
    AttentionPoolClassifier,
    AveragePoolClassifier,
    MapFeatures,
    MixedPoolClassifier,
    RegionAttention,
    RegionDropout,
    RegionFeatures,
    SelfAttention,
    SlotSqueezeExcite,
    UniformAttention,
)
from agnet_vision.structures import Regions, check_regions, num_regions

POOL_SIZE = 7  # paper
CLASSIFIERS: dict[str, type[AveragePoolClassifier]] = {
    "mixed": MixedPoolClassifier,  # paper
    "average": AveragePoolClassifier,  # ours
    "attention": AttentionPoolClassifier,  # ours
}


class Parts(NamedTuple):
    """The layers of a variant, in the paper's order; one that it lacks changes nothing."""

    needs_regions: bool
    self_attention: type[SelfAttention | nn.Identity]
    squeeze_excite: type[SlotSqueezeExcite | nn.Identity]
    region_attention: type[RegionAttention | UniformAttention]


# A new variant is a line here and a name in ``Variant``; its parts take what the paper's take.
VARIANTS: dict[str, Parts] = {
    "full": Parts(True, SelfAttention, SlotSqueezeExcite, RegionAttention),  # the paper's network
    "no_attention": Parts(True, nn.Identity, SlotSqueezeExcite, UniformAttention),  # its ablation
    "backbone_only": Parts(False, nn.Identity, nn.Identity, UniformAttention),  # another ablation
}


class AGNetHead(nn.Module):
    """Keypoint-region attention and classifier for any CNN's map.

    Args:
        in_channels: C of the feature map.
        num_clusters: kappa; the head has kappa (kappa + 1) / 2 + 1 region slots; 8 (paper).
        variant: ``full``, or one of the paper's ablations: ``no_attention`` (the mean of the gated
            regions instead of both attentions), ``backbone_only`` (no regions at all).
        pool_size: p, the side of a region's pooled grid; 7 (paper).
        attention_units: d of the pairwise attention; 32 (paper).
        width: channels that a linear layer takes each cell of the map to before the regions are
            made, for a head that costs little beside a small backbone (ours); None: those of the
            map (paper).
        normalize_context: whether a region's context is a mean instead of a sum, see
            ``RegionAttention``.
        dropout: probability of dropping a channel before the linear layer; 0 (paper).
        pooling: how the classifier reduces the descriptor's bins: ``mixed``, a learned mix of max
            and average pooling (paper), ``average``, or ``attention``, a learned weighted average
            (both ours).
        upsample: side that the map is enlarged to, bilinearly, before regions are pooled from it,
            at no cost; None: as it is. The paper says nothing of it.
        region_dropout: probability of leaving a region out in training, see ``RegionDropout``; 0.
            The paper says nothing of it.

    Attributes:
        num_regions: R, the number of region slots.
        needs_regions: whether ``forward`` must be given regions.
        has_attention: whether regions are weighed by what they show.

    Raises:
        ValueError: the variant or the pooling is unknown, or a number is out of bounds.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        num_clusters: int = 8,
        variant: str = "full",
        pool_size: int = POOL_SIZE,
        attention_units: int = 32,
        width: int | None = None,
        normalize_context: bool = True,
        dropout: float = 0.0,
        pooling: str = "mixed",
        upsample: int | None = None,
        region_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("variant", variant, VARIANTS),
            ("pooling", pooling, CLASSIFIERS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        check_bounds(
            in_channels=in_channels,
            num_classes=num_classes,
            num_clusters=num_clusters,
            pool_size=pool_size,
            attention_units=attention_units,
            dropout=dropout,
            width=in_channels if width is None else width,
            upsample=1 if upsample is None else upsample,
            region_dropout=region_dropout,
        )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.num_clusters = num_clusters
        self.num_regions = num_regions(num_clusters)
        self.pool_size = pool_size
        self.upsample = upsample
        self.region_dropout = RegionDropout(region_dropout)

        parts = VARIANTS[variant]
        self.needs_regions = parts.needs_regions
        channels = width or in_channels
        self.projection: nn.Module = nn.Identity()
        if width:
            self.projection = nn.Sequential(
                nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
            )
        self.self_attention = parts.self_attention(channels)
        self.squeeze_excite = parts.squeeze_excite(self.num_regions, channels)
        self.region_attention = parts.region_attention(
            channels * pool_size**2, units=attention_units, normalize_context=normalize_context
        )
        self.has_attention = self.region_attention.has_attention
        self.classifier = CLASSIFIERS[pooling](channels, num_classes, dropout=dropout)

    def forward(
        self,
        feature_map: Float[Tensor, "batch channels height width"],
        regions: Regions | None = None,
        return_attention: bool = False,
        pre_logits: bool = False,
    ) -> Float[Tensor, "batch classes"] | tuple[Float[Tensor, "batch classes"], Attention]:
        """Classify the map.

        Args:
            feature_map: map of any CNN.
            regions: boxes (B, R, 4) and mask (B, R) on the map's device; not needed, and not looked
                at, by ``backbone_only``.
            return_attention: also return importance (B, R) and pairwise (B, R, R).
            pre_logits: return what the classifier's linear layer sees, (B, C or width), not logits.

        Raises:
            ValueError: the map or the regions do not fit, or there is no attention to return.
        """
        if return_attention and not self.has_attention:
            raise ValueError("this variant has no attention to return")

        features, attention = self.describe(feature_map, regions)
        descriptor = features.weighted_sum(attention.coefficients)  # section III-D, the sum
        logits = self.classifier(descriptor, pre_logits)  # section III-E
        return (logits, attention) if return_attention else logits

    def describe(
        self, feature_map: Float[Tensor, "batch channels height width"], regions: Regions | None
    ) -> tuple[MapFeatures, Attention]:
        """Return what ``forward`` makes logits from: region features and attention.

        The arguments are those of ``forward``.
        """
        regions = self._check(feature_map, regions)
        feature_map = self.self_attention(self.projection(feature_map))  # section III-B
        features = MapFeatures(feature_map)
        if regions is not None:
            features = RegionFeatures(
                feature_map, self.region_dropout(regions), self.pool_size, upsample=self.upsample
            )
        features = self.squeeze_excite(features)  # section III-C
        return features, self.region_attention(features)  # section III-D

    def _check(self, feature_map: Tensor, regions: Regions | None) -> Regions | None:
        """Refuse a map or regions that do not fit; clear the empty slots of needed regions."""
        if feature_map.ndim != 4 or feature_map.shape[1] != self.in_channels:
            raise ValueError(
                f"feature_map must be (B, {self.in_channels}, H, W), got {tuple(feature_map.shape)}"
            )

        if not self.needs_regions:
            return None
        if regions is None:
            raise ValueError(
                "this variant needs regions; RegionProposer makes them from the images"
            )

        return check_regions(regions, feature_map, self.num_clusters)
