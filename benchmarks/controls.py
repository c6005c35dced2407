"""The heads and controls of the benchmark ``heads``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agnet_vision.models.head import AGNetHead
from agnet_vision.models.layers import Attention
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Regions

CHANNELS = 1280
CLASSES = 40
SOURCES = {
    "keypoints": RegionProposer(),
    "16 groups": RegionProposer(num_clusters=16),
    "grid": RegionProposer(source="grid"),
    "random": RegionProposer(source="random"),
}


class Head(nn.Module):
    """The library's head, and how its regions are chosen.

    Args:
        source: of the regions.
        keep: which slots take part; None: all.
        counterfactual: weight of the loss of what attention changes over a random one (CAL).
        options: of ``AGNetHead``.
    """

    def __init__(
        self,
        source: str = "keypoints",
        keep: Sequence[int] | None = None,
        counterfactual: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.source = source
        self.keep = keep
        self.counterfactual = counterfactual
        kappa = SOURCES[source].num_clusters
        self.head = AGNetHead(CHANNELS, CLASSES, pool_size=5, num_clusters=kappa, **options)

    def forward(self, maps: Tensor, regions: dict[str, Regions]) -> Tensor:
        """Compute the logits."""
        return self.head(maps, self.choose(regions))

    def choose(self, regions: dict[str, Regions]) -> Regions:
        """Mask the slots that take no part."""
        boxes, mask = regions[self.source]
        if self.keep is not None:
            kept = torch.zeros_like(mask)
            kept[:, list(self.keep)] = True
            mask = mask & kept
        return Regions(boxes * mask[..., None], mask)

    def loss(self, maps: Tensor, labels: Tensor, regions: dict[str, Regions]) -> Tensor:
        """Return the training loss."""
        if not self.counterfactual:
            return smooth_loss(self(maps, regions), labels)
        chosen = self.choose(regions)
        logits, own = self.head(maps, chosen, return_attention=True)
        random = random_attention(own, chosen.mask)
        effect = logits - self.head(maps, chosen, attention=random)
        return smooth_loss(logits, labels) + self.counterfactual * smooth_loss(effect, labels)


def random_attention(own: Attention, mask: Tensor) -> Attention:
    """Draw an attention that knows nothing."""
    pairs = mask[:, None] & mask[:, :, None]
    importance = torch.rand_like(own.importance) * mask
    pairwise = torch.rand_like(own.pairwise) * pairs
    importance = importance / importance.sum(dim=1, keepdim=True)
    scale = own.pairwise.sum(dim=2, keepdim=True) / pairwise.sum(dim=2, keepdim=True).clamp_min(
        1e-6
    )
    return own._replace(importance=importance, pairwise=pairwise * scale)


class Beside(nn.Module):
    """Average pooling beside the regions, logits added."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.whole = Head(variant="backbone_only")
        self.regions = Head(**options)

    def forward(self, maps: Tensor, regions: dict[str, Regions]) -> Tensor:
        """Compute the logits."""
        return self.whole(maps, regions) + self.regions(maps, regions)


class SimPool(nn.Module):
    """Attention of the mean over the cells, a control.

    After Psomas et al., ICCV 2023.
    """

    power = 1.25

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(CHANNELS, CHANNELS)
        self.key = nn.Linear(CHANNELS, CHANNELS)
        self.norm = nn.LayerNorm(CHANNELS)
        self.classifier = nn.Sequential(nn.BatchNorm1d(CHANNELS), nn.Linear(CHANNELS, CLASSES))

    def forward(self, maps: Tensor, regions: dict[str, Regions]) -> Tensor:
        """Compute the logits; the regions are not looked at."""
        cells = maps.flatten(2).transpose(1, 2)
        normed = self.norm(cells)
        query = self.query(normed.mean(dim=1, keepdim=True))
        weight = (query @ self.key(normed).transpose(1, 2) / CHANNELS**0.5).softmax(dim=-1)
        low = cells.amin(dim=(1, 2), keepdim=True)
        powered = (cells - low + 1e-6) ** self.power
        pooled = (weight @ powered) ** (1 / self.power) + low
        return self.classifier(pooled[:, 0])


class Queries(nn.Module):
    """Learned queries over the cells, a control."""

    def __init__(self, count: int = 8, width: int = 256) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(count, width) / width**0.5)
        self.key = nn.Linear(CHANNELS, width)
        self.value = nn.Linear(CHANNELS, width)
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(count * width), nn.Linear(count * width, CLASSES)
        )

    def forward(self, maps: Tensor, regions: dict[str, Regions]) -> Tensor:
        """Compute the logits; the regions are not looked at."""
        cells = F.layer_norm(maps.flatten(2).transpose(1, 2), (CHANNELS,))
        weight = (self.queries @ self.key(cells).transpose(1, 2)).softmax(dim=-1)
        return self.classifier((weight @ self.value(cells)).flatten(1))


HEADS: dict[str, Callable[[], nn.Module]] = {
    "average pooling": lambda: Head(variant="backbone_only"),
    "no_attention": lambda: Head(variant="no_attention"),
    "full": Head,
    "width 256": lambda: Head(width=256),
    "width 256, counterfactual loss": lambda: Head(counterfactual=1.0, width=256),
    "width 256, random boxes": lambda: Head("random", width=256),
    "width 256, grid": lambda: Head("grid", width=256),
    "width 256, whole image alone": lambda: Head(keep=[36], width=256),
    "width 256, 16 groups without pairs": lambda: Head("16 groups", [*range(16), 136], width=256),
    "width 256 beside average pooling": lambda: Beside(width=256),
    "SimPool": SimPool,
    "8 queries": Queries,
}


def smooth_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy with the library's smoothing."""
    return F.cross_entropy(logits, labels, label_smoothing=0.1)
