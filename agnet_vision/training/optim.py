"""Parameter groups, optimizers and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from timm.optim import param_groups_layer_decay
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.models.agnet import AGNet
from agnet_vision.options.run import OptimizerName, ScheduleName


def parameter_groups(
    model: AGNet,
    *,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Split the learnable parameters by learning rate and weight decay.

    Norms, biases and other vectors, and what the backbone itself exempts (position embeddings), are
    not decayed: pulling them to zero regularizes nothing. A vector has one axis longer than 1 at
    most, as ``(1, 1, channels)`` has; the weight of a convolution or linear layer is a matrix, even
    where a single input or output gives it such a shape.

    Args:
        model: the network.
        lr: learning rate of the head.
        backbone_lr: learning rate of the backbone.
        weight_decay: of what is decayed.
        layer_decay: factor on the learning rate for each layer further from the backbone's last,
            layers as timm counts them; None: all alike.

    Returns:
        Groups as torch's optimizers take them, with a ``name`` and ``lr_scale``, the factor that is
        in ``lr``.
    """
    exempt = {
        f"backbone.model.{name}" for name in getattr(model.backbone.model, "no_weight_decay", set)()
    }
    kernels = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | _ConvNd)
    }
    scales = _layer_scales(model.backbone.model, layer_decay) if layer_decay is not None else {}

    groups: dict[tuple[str, bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "backbone" if name.startswith("backbone.") else "head"
            matrix = name in kernels or parameter.squeeze().ndim > 1
            key = (part, matrix and name not in exempt, scales.get(id(parameter), 1.0))
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "name": _group_name(part, decayed, scale if layer_decay is not None else None),
            "params": parameters,
            "lr": (backbone_lr if part == "backbone" else lr) * scale,
            "lr_scale": scale,
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (part, decayed, scale), parameters in groups.items()
    ]


def _layer_scales(backbone: nn.Module, layer_decay: float) -> dict[int, float]:
    """Return each parameter's learning-rate factor, by identity."""
    groups = param_groups_layer_decay(backbone, layer_decay=layer_decay)
    return {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}


def _group_name(part: str, decayed: bool, scale: float | None) -> str:
    name = f"{part}_{'decay' if decayed else 'no_decay'}"
    return name if scale is None or part == "head" else f"{name}_x{scale:.3g}"


def build_optimizer(
    model: AGNet,
    name: OptimizerName,
    *,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    layer_decay: float | None = None,
) -> Optimizer:
    """Make AdamW, or SGD with momentum.

    Args:
        model: what is trained.
        name: ``adamw`` or ``sgd``.
        lr: learning rate of the head.
        backbone_lr: of the backbone.
        weight_decay: of matrices and kernels; norms, biases and scales have none.
        momentum: of ``sgd``.
        layer_decay: factor on the backbone's rate from one layer to the one before it; None: 1.
    """
    groups = parameter_groups(
        model, lr=lr, backbone_lr=backbone_lr, weight_decay=weight_decay, layer_decay=layer_decay
    )
    match name:
        case "adamw":
            return AdamW(groups, lr=lr)
        case "sgd":
            return SGD(groups, lr=lr, momentum=momentum)


def renew_options(
    optimizer: Optimizer,
    scheduler: LambdaLR,
    *,
    name: OptimizerName,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    layer_decay: float | None = None,
) -> None:
    """Set optimizer and schedule to these options, keeping momenta.

    Args:
        optimizer: with the groups of ``build_optimizer``.
        scheduler: of that optimizer.
        name: as for ``build_optimizer``, and so are those that follow.
        lr: see there.
        backbone_lr: see there.
        weight_decay: see there.
        momentum: see there.
        layer_decay: not used; a group keeps its factor.
    """
    for group, factor in zip(optimizer.param_groups, scheduler.lr_lambdas, strict=True):
        own = backbone_lr if group["name"].startswith("backbone") else lr
        group["initial_lr"] = own * group["lr_scale"]
        group["lr"] = group["initial_lr"] * factor(scheduler.last_epoch)
        group["weight_decay"] = 0.0 if "no_decay" in group["name"] else weight_decay
        if name == "sgd":
            group["momentum"] = momentum
    scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]


def schedule_factor(
    name: ScheduleName,
    *,
    steps_per_epoch: float,
    epochs: int,
    warmup_epochs: float = 0.0,
    final_fraction: float = 0.0,
    step_epochs: int = 50,
    step_factor: float = 0.1,
) -> Callable[[int], float]:
    """Return the learning rates' factor as a function of steps.

    The warm-up rises linearly from 1 / warm-up steps to 1, for half of the run at most. After it
    ``cosine`` falls to ``final_fraction`` at the last step; ``step`` multiplies by ``step_factor``
    every ``step_epochs`` epochs, counted from the start of the run.

    A factor, not torch's schedulers in a row: those store their length and one final rate for all
    groups, so that a run which goes on for longer, with other rates, or with a rate a layer, would
    follow the old course.

    Args:
        name: ``cosine``, ``step`` or ``constant``.
        steps_per_epoch: of the optimizer.
        epochs: of the whole run.
        warmup_epochs: how long the rates rise.
        final_fraction: of the rates, where ``cosine`` ends.
        step_epochs: epochs between two falls of ``step``.
        step_factor: of each fall.
    """
    warmup = round(min(warmup_epochs, epochs / 2) * steps_per_epoch)
    total = max(round(epochs * steps_per_epoch), warmup + 1)

    def factor(step: int) -> float:
        """Return the factor after that many steps."""
        if step < warmup:
            return (step + 1) / warmup
        match name:
            case "cosine":
                progress = min((step - warmup) / (total - warmup), 1.0)
                cosine = (1 + math.cos(math.pi * progress)) / 2
                return final_fraction + (1 - final_fraction) * cosine
            case "step":
                return step_factor ** int(step / (steps_per_epoch * step_epochs))
            case "constant":
                return 1.0

    return factor
