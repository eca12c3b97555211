"""What every head shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """nn.Dropout with single-precision random numbers: on a CPU its own cost half of a linear head's training step."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * (torch.rand_like(x) >= self.p) / (1 - self.p)


def masked_mean(frames: Tensor, mask: Tensor) -> Tensor:
    """(B, F, D) and (B, F) bool -> (B, D), the mean over each clip's own frames."""
    inside = mask[..., None]
    return (frames * inside).sum(1) / inside.sum(1).clamp(min=1)
