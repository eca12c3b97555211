"""One linear map: the single-layer probe of Han et al. 2025 (methods C), the linear + softmax of Agarla et al. 2024
(methods E)."""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads.base import Head, InputDropout, masked_mean


class Single(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    The map and the mean commute, so pooled features (F = 1) train it exactly. `input_dropout`, in [0, 1), is on the
    features of the mean frame. Neither paper has one; `emobridge adapt` has a strong one by default.
    """

    stacks = True

    def __init__(self, width: int, classes: int, *, input_dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = InputDropout(input_dropout)
        self.output = nn.Linear(width, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.dropout(masked_mean(frames, mask))
