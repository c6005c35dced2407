"""AGNet: a timm backbone with the AG-Net head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from jaxtyping import Float
from torch import Tensor, nn

from agnet_vision.models import checkpoint
from agnet_vision.models.backbone import TimmBackbone
from agnet_vision.models.description import REACHING_OUT, Description, limited_modules
from agnet_vision.models.head import POOL_SIZE, AGNetHead
from agnet_vision.models.layers import Attention
from agnet_vision.models.model_card import TEMPLATE
from agnet_vision.regions.proposer import RegionProposer
from agnet_vision.structures import Regions
from agnet_vision.task import SINGLE_LABEL, Task, task_from


class AGNet(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="agnet_vision",
    pipeline_tag="image-classification",
    tags=["image-classification", "fine-grained", "agnet", "timm"],
    model_card_template=TEMPLATE,
):
    """A timm backbone whose head looks where keypoints are.

    ``save_pretrained(folder)`` and ``push_to_hub("owner/name")`` are the Hub's own methods; both
    take ``model_card_kwargs={"metrics": {"acc": 0.93}}`` for the scores on the model card.

    Args:
        backbone: name of a timm model.
        num_clusters: kappa, the number of primary regions; 8 (paper).
        variant: the head's variant: ``full`` (paper), ``no_attention`` or ``backbone_only``.
        pretrained: whether timm's pretrained weights are loaded into the backbone.
        taps: stages whose maps the head reads, such as ``(-2, -1)``, see ``TimmBackbone``; None for
            the backbone's last map (paper).
        backbone_kwargs: options of ``timm.create_model`` (``in_chans``, ``output_stride``,
            ``drop_path_rate`` ...).
        head_kwargs: options of ``AGNetHead`` (``pool_size``, ``normalize_context``, ``dropout``
            ...). Where the map is smaller than the paper's 7 x 7 grid, ``pool_size`` is its side
            (ours).
        classes: names of the classes in the order of the logits; they travel with the weights.
        proposer: maker of the regions when ``forward`` gets none; SIFT with this kappa by default.
        image_size: side in pixels of the images to come, which decides ``pool_size``;
            ``data_config``'s by default.
        task: what the logits mean: one class per image, by default, or several labels.

    Attributes:
        data_config: input size, interpolation, mean and std the backbone was trained with, as timm
            names them.
        calibration: temperature and tau that the last layer's weights were corrected by, for the
            record; empty: none.
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        num_clusters: int = 8,
        variant: str = "full",
        pretrained: bool = False,
        taps: Sequence[int] | None = None,
        backbone_kwargs: Mapping[str, Any] | None = None,
        head_kwargs: Mapping[str, Any] | None = None,
        classes: Sequence[str] | None = None,
        proposer: RegionProposer | None = None,
        image_size: int | None = None,
        task: Task = SINGLE_LABEL,
    ) -> None:
        super().__init__()
        names = [name for name in classes or () if isinstance(name, str)]
        if classes is not None and len(names) != num_classes:
            raise ValueError(f"classes must name all {num_classes} classes, got {len(names)} names")
        if proposer is not None and proposer.num_clusters != num_clusters:
            raise ValueError(
                f"proposer must have num_clusters={num_clusters}, got {proposer.num_clusters}"
            )

        self.variant = variant
        self.taps = tuple(taps) if taps is not None else None
        self.backbone_name = backbone
        self.backbone_kwargs = dict(backbone_kwargs or {})
        self.backbone = TimmBackbone(
            backbone, pretrained=pretrained, taps=taps, options=self.backbone_kwargs
        )
        side = -(-image_size // self.backbone.stride) if image_size else min(self.backbone.map_size)
        self.head_kwargs = {"pool_size": min(POOL_SIZE, side), **(head_kwargs or {})}
        self.head = AGNetHead(
            self.backbone.channels,
            num_classes,
            num_clusters=num_clusters,
            variant=variant,
            **self.head_kwargs,
        )

        self.classes = tuple(classes) if classes is not None else None
        self.data_config = self.backbone.data_config()
        self.calibration: dict[str, float] = {}
        self.task = task
        self.proposer = proposer or RegionProposer(num_clusters=num_clusters)

    def forward(
        self,
        images: Float[Tensor, "batch in_channels image_height image_width"],
        regions: Regions | None = None,
        return_attention: bool = False,
    ) -> Float[Tensor, "batch classes"] | tuple[Float[Tensor, "batch classes"], Attention]:
        """Classify normalized images by what their regions show.

        Args:
            images: normalized with ``data_config``'s mean and std.
            regions: boxes and mask; if None, they are proposed from the images: correct, but slow.
            return_attention: whether importance (B, R) and pairwise (B, R, R) are returned too.
        """
        if regions is None and self.head.needs_regions:
            regions = self.propose(images)
        return self.head(self.forward_features(images), regions, return_attention)

    def forward_features(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Compute the feature map of the backbone."""
        return self.backbone(images)

    @torch.no_grad()
    def propose(
        self, images: Float[Tensor, "batch in_channels image_height image_width"]
    ) -> Regions:
        """Propose regions for normalized RGB or gray images, on their device."""
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"regions are proposed from (B, 3 or 1, H, W) images, got {tuple(images.shape)}; "
                "pass regions"
            )

        mean = images.new_tensor(self.data_config["mean"])[:, None, None]
        std = images.new_tensor(self.data_config["std"])[:, None, None]
        pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        pixels = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()
        return self.proposer(list(pixels.cpu().numpy())).to(images.device)

    def config(self) -> dict[str, Any]:
        """Return what rebuilds network and input, as plain data that ``from_config`` takes."""
        options = self.backbone_kwargs.items()
        return asdict(
            Description(
                backbone=self.backbone.architecture,
                backbone_kwargs={key: each for key, each in options if key not in REACHING_OUT},
                taps=self.taps,
                head_kwargs=self.head_kwargs,
                num_classes=self.head.num_classes,
                num_clusters=self.head.num_clusters,
                variant=self.variant,
                classes=self.classes,
                data_config=self.data_config,
                regions=self.proposer.settings(),
                calibration=self.calibration,
                task=self.task.settings(),
            )
        )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> AGNet:
        """Build the network that ``config()`` described, with fresh weights.

        The configuration may be a stranger's: nothing is downloaded or read from disk, and sizes
        are held against ``bounds`` first.
        """
        options = asdict(Description(**config))
        data_config = options.pop("data_config")
        calibration = options.pop("calibration")
        proposer = RegionProposer.from_settings(options.pop("regions"))
        task = task_from(options.pop("task"), options["num_classes"])
        with limited_modules():
            model = cls(**options, proposer=proposer, task=task)

        model.data_config = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in data_config.items()
        }
        model.calibration = calibration
        return model

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the Hub's own passes options on to __init__
        cls, source: Path | str, *, revision: str | None = None, **hub: Any
    ) -> AGNet:
        """Open a trained network as ``load_model`` does.

        ``hub`` are options of ``huggingface_hub.snapshot_download``, such as ``token``.
        """
        saved = checkpoint.find(source, revision=revision, **hub)
        return checkpoint.rebuild(cls.from_config, saved)

    def generate_model_card(self, metrics: Mapping[str, float] | None = None) -> ModelCard:
        """Describe the network and its scores in Markdown, with the Hub's metadata."""
        return ModelCard.from_template(
            card_data=self._hub_mixin_info.model_card_data,
            template_str=self._hub_mixin_info.model_card_template,
            metrics=metrics or {},
            num_regions=self.head.num_regions,
            **{**self.config(), "classes": ", ".join(self.classes or ("not named",))},
        )

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write configuration and weights."""
        (save_directory / checkpoint.CARD).unlink(missing_ok=True)  # the mixin writes it anew
        checkpoint.write_folder(save_directory, self.config(), self.state_dict())


def load_model(source: Path | str, *, revision: str | None = None) -> AGNet:
    """Open a trained network, on the CPU, in evaluation mode.

    Args:
        source: a run folder, a ``.ckpt`` of one, a folder written by ``save_pretrained``, or
            ``owner/name`` of a Hub repository.
        revision: branch, tag or commit of the repository.

    Raises:
        CheckpointError: none of these; or damaged, unsafe, or too large to be true.
    """
    return AGNet.from_pretrained(source, revision=revision)
