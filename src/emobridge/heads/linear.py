"""The linear head of D'Asaro et al. 2024 (methods B): o(mean_t(l(h_t)))."""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads.base import Head, InputDropout, masked_mean


class Linear(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    A projection l to `hidden` values (the paper's m = 256), shared over frames; the mean over frames; the output o.
    Projection and mean commute, so the mean frame (F = 1) trains it exactly; here the mean comes first, which is
    cheaper. There is nothing between the two maps: the head computes the same functions as `single`, but is trained
    differently. `input_dropout`, in [0, 1), is on the features; the paper has none.
    """

    stacks = True

    def __init__(self, width: int, classes: int, *, hidden: int = 256, input_dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = InputDropout(input_dropout)
        self.projection = nn.Linear(width, hidden)
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.projection(self.dropout(masked_mean(frames, mask)))
