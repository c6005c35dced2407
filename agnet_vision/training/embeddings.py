"""What a network's last layer sees of images, stored once, with what marks say of it.

All below the last layer stays as it is, so one pass over the images is enough: logits, evidence
inside marks and its gradient are products of the last layer with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from agnet_vision.models.agnet import AGNet
from agnet_vision.models.evidence import (
    cell_embeddings,
    centered_square,
    marked_embedding,
    share_outside,
)
from agnet_vision.structures import NO, YES, Marks, Regions
from agnet_vision.training.last_layer import Layer


@dataclass(frozen=True)
class Embeddings:
    """What is stored of images, in their order.

    Attributes:
        embedding: input of the last layer.
        label: true class.
        no: what the cells inside an image's "not there" marks bring to the last layer, of the
            images that have such marks.
        no_image: number of each of them.
        yes: what each cell brings, of the images that have "there" marks.
        inside: which of these cells lie inside.
        yes_image: number of each of them.
    """

    embedding: Float[Tensor, "images channels"]
    label: Int[Tensor, " images"]
    no: Float[Tensor, "marked channels"]
    no_image: Int[Tensor, " marked"]
    yes: Float[Tensor, "wanted height width channels"]
    inside: Bool[Tensor, "wanted height width"]
    yes_image: Int[Tensor, " wanted"]

    def only(self, chosen: Bool[Tensor, " images"]) -> Embeddings:
        """Return those of some of the images."""
        number = chosen.cumsum(0) - 1
        no, yes = chosen[self.no_image], chosen[self.yes_image]
        return Embeddings(
            self.embedding[chosen],
            self.label[chosen],
            self.no[no],
            number[self.no_image[no]],
            self.yes[yes],
            self.inside[yes],
            number[self.yes_image[yes]],
        )

    def with_marks(self, marked: Embeddings, rows: Int[Tensor, " marked"]) -> Embeddings:
        """Take over what marks say of some of the images.

        Args:
            marked: what is stored of these images.
            rows: number of each of them here.
        """
        return replace(
            self,
            no=marked.no,
            no_image=rows[marked.no_image],
            yes=marked.yes,
            inside=marked.inside,
            yes_image=rows[marked.yes_image],
        )

    @staticmethod
    def cat(parts: Sequence[Embeddings]) -> Embeddings:
        """Put several after each other."""
        starts = np.cumsum([0, *(len(part.label) for part in parts)])
        rows = {
            name: [getattr(part, name) for part in parts] for name in Embeddings.__annotations__
        }
        for name in ("no_image", "yes_image"):
            pairs = zip(rows[name], starts.tolist(), strict=False)
            rows[name] = [number + start for number, start in pairs]
        for name in ("yes", "inside"):  # an empty one does not know its map
            rows[name] = [value for value in rows[name] if len(value)] or rows[name][:1]
        return Embeddings(**{name: torch.cat(values) for name, values in rows.items()})

    def evidence_inside(self, layer: Layer) -> Float[Tensor, "marked classes"]:
        """Compute what the marked cells add to every logit."""
        return self.no @ layer.weight.T

    def evidence_loss(self, layer: Layer) -> Float[Tensor, ""]:
        """Compute ``evidence_loss`` of the marked images."""
        loss = self.embedding.new_zeros(())
        if len(self.no):
            loss = loss + centered_square(self.evidence_inside(layer)).mean()
        if len(self.yes):
            own = layer.weight[self.label[self.yes_image]]
            cells = torch.einsum("mhwc,mc->mhw", self.yes, own)
            loss = loss + share_outside(cells, self.inside).mean()
        return loss


@torch.no_grad()
def embed(model: AGNet, batches: Iterable[dict[str, Tensor]], device: torch.device) -> Embeddings:
    """Run a network over batches of a data module, and store what its last layer sees."""
    head = model.head
    scale = head.classifier.scale
    rows: dict[str, list[Tensor]] = {name: [] for name in Embeddings.__annotations__}
    count = 0
    for batch in batches:
        images = batch["image"].to(device, memory_format=torch.channels_last)
        regions = Regions(batch["boxes"], batch["mask"]).to(device) if "boxes" in batch else None
        feature_map = model.forward_features(images)
        rows["embedding"].append(head(feature_map, regions, pre_logits=True).float().cpu())
        rows["label"].append(batch["label"])

        if "look" in batch:
            marks = Marks(batch["mark_boxes"].to(device), batch["look"].to(device))
            height, width = feature_map.shape[-2:]
            for look, name in ((NO, "no"), (YES, "yes")):
                chosen = (marks.look == look).any(dim=1).nonzero().squeeze(1)
                if not len(chosen):
                    continue
                own = regions and regions[chosen]
                inside = marks.cells(look, height, width)[chosen]
                rows[f"{name}_image"].append(count + chosen.cpu())
                if look == NO:
                    marked = marked_embedding(head, feature_map[chosen], own, inside)
                    rows["no"].append((marked * scale).float().cpu())
                else:
                    parts = cell_embeddings(head, feature_map[chosen], own)
                    rows["yes"].append((parts * scale).float().cpu())
                    rows["inside"].append(inside.cpu())
        count += len(images)

    channels = len(scale)
    empty = {
        "no": torch.zeros(0, channels),
        "no_image": torch.zeros(0, dtype=torch.int64),
        "yes": torch.zeros(0, 1, 1, channels),
        "inside": torch.zeros(0, 1, 1, dtype=torch.bool),
        "yes_image": torch.zeros(0, dtype=torch.int64),
    }
    return Embeddings(**{name: torch.cat(v) if v else empty[name] for name, v in rows.items()})
