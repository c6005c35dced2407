"""Heads on stored feature maps: how they are fitted, and what they answer."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from agnet_vision.evaluation.metrics import Predictions
from agnet_vision.models.agnet import AGNet
from agnet_vision.models.head import AGNetHead
from agnet_vision.options.run import TrainConfig
from agnet_vision.training.last_layer import Layer, fit_layer
from agnet_vision.training.optim import build_optimizer, schedule_factor
from agnet_vision.training.stored_maps import StoredMaps

WEIGHT_DECAYS = tuple(10.0**power for power in range(0, -6, -1))  # ours


def fit_average(
    model: AGNet, train: StoredMaps, val: StoredMaps, label_smoothing: float, device: torch.device
) -> float:
    """Fit the head of a network with average pooling by L-BFGS, and return its weight decay.

    The batch norm gets mean and variance of all training images. The weight decay is that of the
    best accuracy on the validation images, the largest of equals.
    """
    classifier = model.head.classifier
    pooled = torch.cat([maps.mean(dim=(2, 3)).cpu() for maps, _ in train.parts(device)])
    classifier.norm.get_buffer("running_mean").copy_(pooled.mean(dim=0))
    classifier.norm.get_buffer("running_var").copy_(pooled.var(dim=0, correction=0))
    embedding = outputs(model.head, train, device, pre_logits=True)
    held_out = outputs(model.head, val, device, pre_logits=True)

    linear = classifier.linear
    layer = Layer(torch.zeros(linear.weight.shape), torch.zeros(linear.bias.shape))
    best = (-1.0, 0.0, layer)
    for weight_decay in WEIGHT_DECAYS:
        penalty = partial(decayed, weight_decay=weight_decay)
        layer = fit_layer(layer, embedding, train.label, penalty, label_smoothing=label_smoothing)
        right = layer.logits(held_out).argmax(dim=1) == val.label
        accuracy = float(right.float().mean())
        if accuracy > best[0]:
            best = (accuracy, weight_decay, layer)

    with torch.no_grad():
        linear.weight.copy_(best[2].weight)
        linear.bias.copy_(best[2].bias)
    return best[1]


def decayed(layer: Layer, *, weight_decay: float) -> Tensor:
    """Return what weight decay adds to the loss."""
    return weight_decay / 2 * layer.weight.square().sum()


def fit_by_steps(
    model: AGNet, train: StoredMaps, options: TrainConfig, device: torch.device
) -> None:
    """Train the head of a network whose backbone is frozen as ``train`` would, on stored maps."""
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    size = min(options.batch_size, len(train.label))
    steps = len(train.label) // size
    optimizer = build_optimizer(model, options.optimizer)
    factor = schedule_factor(options.schedule, steps_per_epoch=steps, epochs=options.epochs)
    scheduler = LambdaLR(optimizer, factor)

    head = model.head.train()
    for _ in range(options.epochs):
        order = generator.permutation(len(train.label))[: steps * size]
        for rows in order.reshape(steps, size):
            logits = head(*train.take(rows, device))
            label = train.label[rows].to(device)
            loss = cross_entropy(logits, label, label_smoothing=options.loss.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            if options.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(head.parameters(), options.gradient_clip)
            optimizer.step()
            scheduler.step()
    head.eval()


@torch.no_grad()
def outputs(
    head: AGNetHead, stored: StoredMaps, device: torch.device, *, pre_logits: bool = False
) -> Float[Tensor, "images outputs"]:
    """Compute the logits of stored images, or what the last layer sees."""
    parts = stored.parts(device)
    return torch.cat([head(*part, pre_logits=pre_logits).cpu() for part in parts])


def predict(head: AGNetHead, stored: StoredMaps, device: torch.device) -> Predictions:
    """Compute the probabilities of stored images."""
    probability = outputs(head, stored, device).softmax(dim=1)
    return Predictions(torch.arange(len(stored.label)), stored.label, probability)
