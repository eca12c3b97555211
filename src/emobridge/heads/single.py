"""One linear map: the single-layer probe of Han et al. 2025 (methods C), the linear + softmax of Agarla et al. 2024
(methods E)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from emobridge.heads._base import Dropout, masked_mean


class Single(nn.Module):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    The map and the mean commute, so pooled features (F = 1) train it exactly. `dropout`, in [0, 1), falls on the mean
    frame. Neither paper has one; `emobridge adapt` asks for a strong one (adaptation.DROPOUT).
    """

    name = "single"
    needs_frames: ClassVar = False
    all_layers: ClassVar = False

    def __init__(self, width: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(width, classes)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.output(self.dropout(masked_mean(frames, mask)))
