"""From the image descriptor to logits: a learned mix of max and average pooling, batch norm, linear (AG-Net section III-E)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class MixedPoolClassifier(nn.Module):
    """Classify ``y = omega GMP(f) + (1 - omega) GAP(f)`` with one learned ``omega = sigmoid(W_o GAP(f) + b_o)`` an image.

    Args:
        channels: C.
        num_classes: number of logits; 0 to stop before the linear layer.
        dropout: probability of dropping a channel of y before the linear layer; 0 (paper).
    """

    def __init__(self, channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, 1)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.linear: nn.Module = nn.Linear(channels, num_classes) if num_classes else nn.Identity()

    def forward(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits of each descriptor."""
        return self.linear(self.dropout(self.embed(descriptor)))

    def embed(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch channels"]:
        """Return what the linear layer sees."""
        return self.norm(self.pool(descriptor))

    def pool(
        self, descriptor: Float[Tensor, "batch bins channels"]
    ) -> Float[Tensor, "batch channels"]:
        """Mix max and average pooling over the bins."""
        average = descriptor.mean(dim=1)
        omega = self.mix(average).sigmoid()  # (batch, 1)
        return average + omega * (descriptor.amax(dim=1) - average)
