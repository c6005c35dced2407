"""Parameter groups, optimizers and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import OptimizerConfig, ScheduleConfig


def parameter_groups(model: AGNet, options: OptimizerConfig) -> list[dict[str, Any]]:
    """Split the learnable parameters by learning rate and weight decay.

    Norms, biases and other vectors, and what the backbone itself exempts (position embeddings), are
    not decayed: pulling them to zero regularizes nothing.

    Returns:
        Groups as torch's optimizers take them, each with a ``name``.
    """
    backbone = model.backbone.model
    exempt = {f"backbone.model.{name}" for name in getattr(backbone, "no_weight_decay", set)()}
    scales: dict[int, float] = {}
    if options.layer_decay is not None:
        for layer in param_groups_layer_decay(backbone, layer_decay=options.layer_decay):
            scales |= {id(parameter): layer["lr_scale"] for parameter in layer["params"]}

    groups: dict[tuple[str, bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "backbone" if name.startswith("backbone.") else "head"
            decayed = parameter.ndim > 1 and name not in exempt
            key = (part, decayed, scales.get(id(parameter), 1.0))
            groups.setdefault(key, []).append(parameter)

    described = []
    for (part, decayed, scale), parameters in groups.items():
        name = f"{part}_{'decay' if decayed else 'no_decay'}"
        if scales and part == "backbone":
            name += f"_x{scale:.3g}"
        described.append(
            {
                "name": name,
                "params": parameters,
                "lr": (options.backbone_lr if part == "backbone" else options.lr) * scale,
                "weight_decay": options.weight_decay if decayed else 0.0,
            }
        )
    return described


def build_optimizer(model: AGNet, options: OptimizerConfig) -> Optimizer:
    """Create AdamW, or SGD with momentum."""
    groups = parameter_groups(model, options)
    match options.name:
        case "adamw":
            return AdamW(groups, lr=options.lr)
        case "sgd":
            return SGD(groups, lr=options.lr, momentum=options.momentum)


def schedule_factor(
    options: ScheduleConfig, *, steps_per_epoch: float, epochs: int
) -> Callable[[int], float]:
    """Return the learning rates' factor as a function of steps.

    The warm-up rises linearly from 1 / warm-up steps to 1, for half of the run at most. After it
    ``cosine`` falls to ``final_fraction`` at the last step; ``step`` multiplies by ``step_factor``
    every ``step_epochs`` epochs, counted from the start of the run.

    A factor, not torch's schedulers in a row: those store their length and one final rate for all
    groups, so that a run which goes on for longer, with other rates, or with a rate a layer, would
    follow the old course.
    """
    warmup = round(min(options.warmup_epochs, epochs / 2) * steps_per_epoch)
    total = max(round(epochs * steps_per_epoch), warmup + 1)

    def factor(step: int) -> float:
        """Return the factor after that many steps."""
        if step < warmup:
            return (step + 1) / warmup
        match options.name:
            case "cosine":
                progress = min((step - warmup) / (total - warmup), 1.0)
                cosine = (1 + math.cos(math.pi * progress)) / 2
                return options.final_fraction + (1 - options.final_fraction) * cosine
            case "step":
                return options.step_factor ** int(step / (steps_per_epoch * options.step_epochs))
            case "constant":
                return 1.0

    return factor
