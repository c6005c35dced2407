"""Exact evidence as a loss: what marked parts of an image add to the logits, punished or asked for.

Once the winners of the max pool, the mix and the attention are known, a logit is linear in the
cells of the map the head reads. So what the cells inside a mark add to every logit is the same head
applied to the map with the other cells at zero, and its gradient is that of one product.
"Right for the right reasons" (Ross et al., 2017) punishes input gradients instead, and "model
guidance" (Rao et al., 2023) attributions of other kinds; the exact parts and both losses are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet_vision.models.head import AGNetHead
from agnet_vision.structures import NO, YES, Marks, Regions


class HasHead(Protocol):
    """A network whose head is an ``AGNetHead``."""

    head: AGNetHead

    def forward_features(self, images: Tensor) -> Tensor:
        """Compute the map the head reads."""


def evidence_loss(
    model: HasHead,
    images: Float[Tensor, "batch in_channels image_height image_width"],
    regions: Regions | None,
    labels: Int[Tensor, " batch"],
    marks: Marks,
) -> Float[Tensor, ""]:
    """Punish evidence inside "not there" marks, and outside "there" marks.

    To be added, times a weight, to the loss of a training. It fits any network with
    ``forward_features`` and ``head``; ``map_evidence_loss`` is the same on a map.
    """
    return map_evidence_loss(model.head, model.forward_features(images), regions, labels, marks)


def map_evidence_loss(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
    labels: Int[Tensor, " batch"],
    marks: Marks,
) -> Float[Tensor, ""]:
    """Compute ``evidence_loss`` from the map that the head reads; 0 where no image is marked.

    Of an image with "not there" marks it is the mean over the classes of the squared evidence
    inside, less its mean over the classes (which a softmax does not see). Of an image with "there"
    marks it is the share of the positive evidence for its label that lies outside. Each is a mean
    over the images so marked. Under autocast it is computed in the precision of the weights.
    """
    feature_map = feature_map.to(head.classifier.linear.weight.dtype)
    with torch.autocast(feature_map.device.type, enabled=False), _as_in_evaluation(head):
        loss = feature_map.new_zeros(())
        for look in (NO, YES):
            chosen = (marks.look == look).any(dim=1).nonzero().squeeze(1)
            if not len(chosen):
                continue
            maps, own = feature_map[chosen], regions and regions[chosen]
            inside = marks.cells(look, *maps.shape[-2:])[chosen]
            if look == NO:
                punished = centered_square(evidence_inside(head, maps, own, inside))
            else:
                punished = share_outside(cell_evidence(head, maps, own, labels[chosen]), inside)
            loss = loss + punished.mean()
    return loss


@contextmanager
def _as_in_evaluation(head: AGNetHead) -> Iterator[None]:
    """Let batch norm and dropout count as in evaluation, and learn nothing, for a while."""
    modes = [(module, module.training) for module in head.modules()]
    head.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def evidence_inside(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
    inside: Bool[Tensor, "batch height width"],
) -> Float[Tensor, "batch classes"]:
    """Compute what the chosen cells of the map add to every logit, exactly.

    Batch norm counts as in evaluation, so that an image's evidence is its own. Through
    self-attention, a cell is one of the map that self-attention returns.
    """
    weight, _ = head.classifier.folded()
    return marked_embedding(head, feature_map, regions, inside) @ weight.T


def marked_embedding(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
    inside: Bool[Tensor, "batch height width"],
) -> Float[Tensor, "batch channels"]:
    """Pool what the chosen cells bring; the product with the folded weights is their evidence."""
    features, attention = head.describe(feature_map, regions)
    coefficients = attention.coefficients
    share = head.classifier.share(features.weighted_sum(coefficients))
    return (features.only(inside).weighted_sum(coefficients) * share).sum(dim=1)


def cell_evidence(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
    labels: Int[Tensor, " batch"],
) -> Float[Tensor, "batch height width"]:
    """Compute what each cell of the map adds to one logit per image, exactly."""
    weight, _ = head.classifier.folded()
    parts = cell_embeddings(head, feature_map, regions)
    return torch.einsum("bhwc,bc->bhw", parts, weight[labels])


def cell_embeddings(
    head: AGNetHead,
    feature_map: Float[Tensor, "batch channels height width"],
    regions: Regions | None,
) -> Float[Tensor, "batch height width channels"]:
    """Pool what each cell brings; the product with the folded weights is its evidence."""
    features, attention = head.describe(feature_map, regions)
    coefficients = attention.coefficients
    share = head.classifier.share(features.weighted_sum(coefficients))
    return features.share_among_cells(coefficients, share)


def centered_square(evidence: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
    """Average the squares of the evidence over the classes, less its mean over the classes."""
    return (evidence - evidence.mean(dim=1, keepdim=True)).square().mean(dim=1)


def share_outside(
    cells: Float[Tensor, "batch height width"], inside: Bool[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Return the share of the positive evidence that lies outside; 0 where there is none."""
    positive = cells.clamp(min=0)
    total = positive.sum(dim=(1, 2))
    outside = positive.masked_fill(inside, 0).sum(dim=(1, 2))
    return outside / total.clamp(min=torch.finfo(total.dtype).tiny)
