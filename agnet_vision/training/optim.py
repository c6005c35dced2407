"""What is learnt how fast: parameter groups, optimizers, and the learning rate's course."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.models.agnet import AGNet

OptimizerName = Literal["adamw", "sgd"]
ScheduleName = Literal["cosine", "step", "constant"]
OPTIMIZERS: tuple[str, ...] = ("adamw", "sgd")
SCHEDULES: tuple[str, ...] = ("cosine", "step", "constant")


def parameter_groups(
    model: AGNet, *, lr: float, backbone_lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Split the learnable parameters by learning rate (head, backbone) and by weight decay.

    Norms, biases and other vectors, and what the backbone itself exempts (position embeddings), are not decayed: pulling
    them to zero regularises nothing. A vector has one axis longer than 1 at most, as ``(1, 1, channels)`` has; the weight of
    a convolution or linear layer is none, though that of a single input or output has its shape.
    """
    exempt = {
        f"backbone.model.{name}" for name in getattr(model.backbone.model, "no_weight_decay", set)()
    }
    kernels = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | _ConvNd)
    }
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "backbone" if name.startswith("backbone.") else "head"
            matrix = name in kernels or parameter.squeeze().ndim > 1
            groups.setdefault((part, matrix and name not in exempt), []).append(parameter)
    return [
        {
            "name": f"{part}_{'decay' if decayed else 'no_decay'}",
            "params": parameters,
            "lr": backbone_lr if part == "backbone" else lr,
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (part, decayed), parameters in groups.items()
    ]


def build_optimizer(
    model: AGNet,
    name: OptimizerName,
    *,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Optimizer:
    """Make AdamW, or SGD with momentum.

    Raises:
        ValueError: an unknown name, or a negative number.
    """
    if min(lr, backbone_lr, weight_decay, momentum) < 0:
        raise ValueError(
            "optimizer.lr, backbone_lr, weight_decay and momentum must not be negative"
        )
    groups = parameter_groups(model, lr=lr, backbone_lr=backbone_lr, weight_decay=weight_decay)
    match name:
        case "adamw":
            return AdamW(groups, lr=lr, betas=betas)
        case "sgd":
            return SGD(groups, lr=lr, momentum=momentum)
    raise ValueError(f"optimizer.name must be one of {', '.join(OPTIMIZERS)}, got {name!r}")


def renew_options(
    optimizer: Optimizer,
    scheduler: LambdaLR,
    *,
    name: OptimizerName,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    momentum: float = 0.9,
) -> None:
    """Set an optimizer of ``build_optimizer``, and its schedule, to these options; its momenta stay."""
    for group, factor in zip(optimizer.param_groups, scheduler.lr_lambdas, strict=True):
        group["initial_lr"] = backbone_lr if group["name"].startswith("backbone") else lr
        group["lr"] = group["initial_lr"] * factor(scheduler.last_epoch)
        group["weight_decay"] = 0.0 if group["name"].endswith("no_decay") else weight_decay
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
    """Return the factor on every learning rate as a function of the number of optimizer steps already taken.

    The warm-up rises linearly from 1 / warm-up steps to 1, for half of the run at most. After it
    ``cosine`` falls to ``final_fraction`` at the last step;
    ``step`` multiplies by ``step_factor`` every ``step_epochs`` epochs, counted from the start of the run.

    Raises:
        ValueError: an unknown name, or a number out of range.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule.name must be one of {', '.join(SCHEDULES)}, got {name!r}")
    if warmup_epochs < 0:
        raise ValueError(f"schedule.warmup_epochs must not be negative, got {warmup_epochs}")
    if step_epochs < 1:
        raise ValueError(f"schedule.step_epochs must be at least 1, got {step_epochs}")
    warmup = round(min(warmup_epochs, epochs / 2) * steps_per_epoch)
    total = max(round(epochs * steps_per_epoch), warmup + 1)

    def factor(step: int) -> float:
        """Return the factor after that many steps."""
        if step < warmup:
            return (step + 1) / warmup
        match name:
            case "cosine":
                progress = min((step - warmup) / (total - warmup), 1.0)
                return (
                    final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2
                )
            case "step":
                return step_factor ** int(step / (steps_per_epoch * step_epochs))
            case _:
                return 1.0

    return factor
