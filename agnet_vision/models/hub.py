"""Save, load and share a trained ``AGNet``: safetensors weights, one JSON file that rebuilds the network, and a model card.

Nothing here can run code from a file: weights are safetensors, which hold numbers only, and the configuration names a timm
architecture and plain options. The folder's layout is the Hugging Face Hub's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from huggingface_hub import HfApi, snapshot_download
from safetensors import SafetensorError

from agnet_vision.errors import CheckpointError
from agnet_vision.models.agnet import AGNet

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1  # raise when an older version of this library could not read the folder


def save_pretrained(
    model: AGNet, folder: Path | str, *, metrics: Mapping[str, float] | None = None
) -> Path:
    """Write the model to a folder that ``load_model`` and the Hub understand.

    Args:
        model: the network; its ``classes``, ``data_config`` and proposer settings travel along.
        folder: made if missing; the files in it are overwritten.
        metrics: measured scores by name (``{"acc": 0.93}``), for the configuration and the card.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "library": "agnet_vision",
        "format": FORMAT,
        "model": model.config(),
        "metrics": dict(metrics or {}),
    }
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    safetensors.torch.save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(model_card(model, metrics or {}), encoding="utf-8")
    return folder


def load_model(source: Path | str, *, revision: str | None = None) -> AGNet:
    """Load a model from a folder of ``save_pretrained`` or from the Hub, on the CPU, in evaluation mode.

    Args:
        source: a folder, or ``owner/name`` of a Hub repository.
        revision: branch, tag or commit of the repository.

    Raises:
        CheckpointError: files are missing, damaged, unsafe, or do not fit each other.
    """
    folder = Path(source)
    if folder.is_file() or (folder / "best.ckpt").is_file():
        raise CheckpointError(
            f"{folder} is of a training run; open it with agnet_vision.models.checkpoint.open_model, or make a folder of it: "
            f"python tools/export.py checkpoint={folder} format=pretrained"
        )
    if not folder.is_dir():
        folder = _download(str(source), revision)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder} has no {name}; give a folder written by save_pretrained"
            )
    model = _build(folder / CONFIG)
    try:
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except SafetensorError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} is damaged or not a safetensors file: {error}"
        ) from error
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} does not fit {folder / CONFIG}: {error}"
        ) from error
    return model.eval()


def push_to_hub(
    model: AGNet,
    repository: str,
    folder: Path | str,
    *,
    metrics: Mapping[str, float] | None = None,
    private: bool = False,
) -> str:
    """Write the model to ``folder`` and upload it; the login is huggingface_hub's.

    Returns:
        The address of the commit.
    """
    api = HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    save_pretrained(model, folder, metrics=metrics)
    return str(
        api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=[CONFIG, WEIGHTS, CARD]
        )
    )


def model_card(model: AGNet, metrics: Mapping[str, float]) -> str:
    """Describe the model in Markdown, with the metadata the Hub reads."""
    classes = ", ".join(model.classes) if model.classes is not None else "not named"
    scores = (
        "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics.items())
        or "| not measured | |"
    )
    settings = model.proposer.settings()
    return f"""---
library_name: agnet_vision
pipeline_tag: image-classification
tags: [image-classification, fine-grained, agnet, timm]
---
# AG-Net on {model.backbone.architecture}

{model.head.num_classes} classes: {classes}.

| metric | value |
|---|---|
{scores}

Variant `{model.head.variant}`, {model.head.num_clusters} clusters ({model.head.num_regions} regions), regions from
`{settings["source"]}` with detector `{settings["detector"]}`. Images: {model.data_config["input_size"]},
normalised with mean {model.data_config["mean"]} and std {model.data_config["std"]}.

```python
from agnet_vision import load_model

model = load_model("path/or/owner/name")
regions = model.proposer(photographs)  # 8-bit RGB arrays of the frame
logits = model(images, regions)  # (B, 3, H, W), the same frames normalised as above; without regions: right, but slower
```

Method: Bera, Wharton, Liu, Bessis, Behera, *Attend and Guide (AG-Net)*, IEEE TIP 30, 2021.
"""


def _build(path: Path) -> AGNet:
    """Rebuild the network of a configuration file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format", 0) > FORMAT:
            raise CheckpointError(
                f"{path} has format {content['format']}, this version reads up to {FORMAT}; update agnet_vision"
            )
        return AGNet.from_config(content["model"])
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a configuration of agnet_vision: {error}") from error


def _download(repository: str, revision: str | None) -> Path:
    """Fetch the two files from the Hub."""
    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, WEIGHTS])
        )
    except (
        ValueError,
        OSError,
    ) as error:  # huggingface_hub's errors are OSErrors; a name that is none is a ValueError
        raise CheckpointError(
            f"{repository} is neither a folder written by save_pretrained nor a Hub repository that can be read: {error}"
        ) from error
