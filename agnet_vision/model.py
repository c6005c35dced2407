"""AGNet: a timm backbone with the AG-Net head."""

from __future__ import annotations

from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from agnet_vision.head import AGNetHead, Variant
from agnet_vision.layers import Attention
from agnet_vision.regions import RegionProposer
from agnet_vision.structures import Regions


class AGNet(nn.Module):
    """A CNN that looks where its keypoints are: timm backbone, then ``AGNetHead``.

    Args:
        backbone: any timm model name.
        num_classes: number of logits.
        num_clusters: kappa, the number of primary regions; 8 (paper).
        variant: see ``AGNetHead``.
        pretrained: load timm's pretrained weights into the backbone.
        backbone_kwargs: passed on to ``timm.create_model`` (``output_stride``, ``drop_path_rate``, ``pad_type`` ...).
        head_kwargs: passed on to ``AGNetHead`` (``pool_size``, ``normalize_context``, ``dropout`` ...).
        classes: names of the classes in the order of the logits; they travel with the weights.
        proposer: makes the regions when ``forward`` gets none; by default SIFT with this kappa.
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        num_clusters: int = 8,
        variant: Variant = "full",
        pretrained: bool = False,
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
        classes: tuple[str, ...] | None = None,
        proposer: RegionProposer | None = None,
    ) -> None:
        super().__init__()
        if classes is not None and len(classes) != num_classes:
            raise ValueError(f"classes must name all {num_classes} classes, got {len(classes)} names")
        self.backbone = timm.create_model(
            backbone, pretrained=pretrained, num_classes=0, global_pool="", **(backbone_kwargs or {})
        )
        self.head = AGNetHead(
            self.backbone.num_features, num_classes, num_clusters=num_clusters, variant=variant, **(head_kwargs or {})
        )
        self.backbone_name, self.backbone_kwargs, self.head_kwargs = backbone, backbone_kwargs or {}, head_kwargs or {}
        self.classes = tuple(classes) if classes is not None else None
        self.data_config = resolve_model_data_config(self.backbone)
        self.proposer = proposer or RegionProposer(num_clusters=num_clusters)

    def forward(
        self,
        images: Float[Tensor, "batch 3 image_height image_width"],
        regions: Regions | None = None,
        return_attention: bool = False,
    ) -> Float[Tensor, "batch classes"] | tuple[Float[Tensor, "batch classes"], Attention]:
        """Classify normalised images.

        Args:
            images: normalised with ``data_config``'s mean and std.
            regions: boxes and mask; without them they are proposed from the images here: correct, but slow.
            return_attention: also return importance (B, R) and pairwise (B, R, R).
        """
        if regions is None and self.head.variant != "backbone_only":
            regions = self.propose(images)
        return self.head(self.forward_features(images), regions, return_attention)

    def forward_features(
        self, images: Float[Tensor, "batch 3 image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the backbone's map."""
        return self.backbone.forward_features(images)

    @torch.no_grad()
    def propose(self, images: Float[Tensor, "batch 3 image_height image_width"]) -> Regions:
        """Propose regions for normalised images, on their device."""
        mean = images.new_tensor(self.data_config["mean"])[:, None, None]
        std = images.new_tensor(self.data_config["std"])[:, None, None]
        pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        return self.proposer(list(pixels.permute(0, 2, 3, 1).cpu().numpy())).to(images.device)
