"""A linear head: logits are a linear map of the mean frame (methods E: linear and softmax)."""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads._base import Dropout, masked_mean


class Linear(nn.Module):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    Projection and mean commute, so pooled features (F = 1) train it exactly. `dropout` falls on the mean frame. It is
    ours, and strong: on wide frozen features it is to keep a head that is fitted to one language from leaning on few
    directions (docs/results/adaptation.md says how it was chosen). By default 0.8, or less where that would leave fewer
    than 100 features at a time; pass a number in [0, 1) to choose.
    """

    name = "linear"

    def __init__(self, width: int, classes: int, *, dropout: float | None = None) -> None:
        super().__init__()
        self.dropout = Dropout(max(0.0, min(0.8, 1 - 100 / width)) if dropout is None else dropout)
        self.output = nn.Linear(width, classes)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.output(self.dropout(masked_mean(frames, mask)))
