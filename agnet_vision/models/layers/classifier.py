"""Image descriptor to logits (AG-Net section III-E)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AveragePoolClassifier(nn.Module):
    """Classifier of the average over the bins (ours): batch norm and a linear layer.

    Args:
        channels: C.
        dropout: probability of dropping a channel of y before the linear layer; 0 (paper).
    """

    def __init__(self, channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, num_classes)

    def forward(
        self, descriptor: Float[Tensor, "batch bins channels"], pre_logits: bool = False
    ) -> Float[Tensor, "batch outputs"]:
        """Return the logits, or (``pre_logits``) what dropout and linear layer would see."""
        embedding = self.norm(self.pool(descriptor))
        return embedding if pre_logits else self.linear(self.dropout(embedding))

    def pool(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch channels"]:
        """Reduce the bins to one value per channel."""
        return descriptor.mean(dim=1)

    def share(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch bins channels"]:
        """Weigh each bin in the pooled value, ``pool(f) = sum_n share_n f_n``."""
        return torch.full_like(descriptor, 1 / descriptor.shape[1])

    @property
    def scale(self) -> Float[Tensor, " channels"]:
        """What the batch norm of evaluation multiplies each channel by."""
        return self.norm.weight * (self.norm.get_buffer("running_var") + self.norm.eps).rsqrt()

    def folded(self) -> tuple[Float[Tensor, "classes channels"], Float[Tensor, " classes"]]:
        """Fold the batch norm of evaluation into the linear layer: weight and bias."""
        norm, linear = self.norm, self.linear
        shift = norm.bias - norm.get_buffer("running_mean") * self.scale
        return linear.weight * self.scale, linear.bias + linear.weight @ shift


class AttentionPoolClassifier(AveragePoolClassifier):
    """Classifier of a learned weighted average over the bins (ours).

    Each of eight groups of channels has its own weights, ``softmax_n(w f_n)``, so that a group can
    look elsewhere than the others. It begins as the average.
    """

    GROUPS = 8

    def __init__(self, channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__(channels, num_classes, dropout=dropout)
        self.look = nn.Linear(channels, self.GROUPS, bias=False)
        nn.init.zeros_(self.look.weight)

    def pool(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch channels"]:
        """Weigh the bins, and add them up."""
        return (self.share(descriptor) * descriptor).sum(dim=1)

    def share(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch bins channels"]:
        """Give each channel the weights of its group."""
        channels = descriptor.shape[-1]
        group = torch.arange(channels, device=descriptor.device) * self.GROUPS // channels
        return self.look(descriptor).softmax(dim=1)[..., group]


class MixedPoolClassifier(AveragePoolClassifier):
    """Classifier of a learned mix of max and average pooling (paper).

    ``y = omega GMP(f) + (1 - omega) GAP(f)``, where ``omega = sigmoid(W_o GAP(f) + b_o)``.
    """

    def __init__(self, channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__(channels, num_classes, dropout=dropout)
        self.mix = nn.Linear(channels, 1)

    def pool(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch channels"]:
        """Mix max and average pooling over the bins."""
        average = descriptor.mean(dim=1)
        omega = self.mix(average).sigmoid()  # (batch, 1)
        return average + omega * (descriptor.amax(dim=1) - average)

    def share(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch bins channels"]:
        """Weigh each bin: the winner of a channel gets omega, and all bins share the rest."""
        omega = self.mix(descriptor.mean(dim=1)).sigmoid()[:, :, None]  # (batch, 1, 1)
        best = descriptor.argmax(dim=1, keepdim=True)
        winner = torch.zeros_like(descriptor).scatter_(1, best, 1.0)
        return omega * winner + (1 - omega) / descriptor.shape[1]
