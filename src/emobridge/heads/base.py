"""What every head shares.

A head is an nn.Module that maps the frames of clips to logits. `needs_frames` tells whether it needs single frames, or
whether the mean frame of a clip, which a store keeps, trains it just as well; `all_layers`, whether it takes all layers
of an encoder at once. `represent` gives what its last linear map, `output`, sees. Heads are written so that they also
work on a stack of weights (see training/stack.py): they touch the last dimensions only, and what they learn lies in
nn.Linear and LayerSum.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """What heads are made of: a representation of the clip, and `output`, an nn.Linear from it to the logits."""

    output: nn.Linear

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        """(B, F, D) frames and their (B, F) mask -> (B, H): what the output sees."""
        raise NotImplementedError

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """-> (B, C) logits."""
        return self.output(self.represent(frames, mask))


class Regressor(nn.Linear):
    """(B, H), what the output of a head sees too -> (B, K): one attribute a name, on the scale [-1, 1], not clipped."""

    def __init__(self, width: int, names: Sequence[str]) -> None:
        super().__init__(width, len(names))
        self.names = tuple(names)


class Dropout(nn.Dropout):
    """nn.Dropout with single-precision random numbers: on a CPU its own cost half of a linear head's training step."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return (x * torch.rand_like(x).ge_(self.p)).div_(1 - self.p)  # in place: a third less than with copies


class InputDropout(nn.Dropout):
    """Drops the same features for all clips of a batch.

    Ours: fewer random numbers. In throw-away code (three pairs of corpora, one seed), against a draw for each clip,
    runs on one layer took 28 and 32 % less CPU time and scores on the target moved by -2.4 to +3.0 points.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * ((torch.rand(x.shape[-1]) >= self.p) / (1 - self.p))


class LayerSum(nn.Module):
    """The sum of layers weighted by softmax(weight), which begins as their plain mean."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: Tensor) -> Tensor:
        """(L, ..., D) -> (..., D)."""
        return torch.tensordot(self.weight.softmax(0), hidden, dims=1)


def masked_mean(frames: Tensor, mask: Tensor) -> Tensor:
    """The mean over each clip's own frames: (..., B, F, D) and (B, F) bool -> (..., B, D).

    Clips may also lie end to end, (..., T, D): the mask is then (B, T) floating, the share of each frame in each mean.
    """
    if mask.is_floating_point():
        return mask @ frames
    if mask.shape[-1] == 1:  # pooled before: a copy would cost a batch of small heads as much as the heads
        return frames.squeeze(-2)
    inside = mask[..., None]
    return (frames * inside).sum(-2) / inside.sum(-2).clamp(min=1)
