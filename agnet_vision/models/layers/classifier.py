"""Image descriptor to logits (AG-Net section III-E)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class MixedPoolClassifier(nn.Module):
    """Classifier of a learned mix of max and average pooling.

    ``y = omega GMP(f) + (1 - omega) GAP(f)``, where ``omega = sigmoid(W_o GAP(f) + b_o)``.

    Args:
        channels: C.
        dropout: probability of dropping a channel of y before the linear layer; 0 (paper).
    """

    def __init__(self, channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, 1)
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
        """Mix max and average pooling over the bins."""
        average = descriptor.mean(dim=1)
        omega = self.mix(average).sigmoid()  # (batch, 1)
        return average + omega * (descriptor.amax(dim=1) - average)
