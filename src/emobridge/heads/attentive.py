"""Attentive statistics pooling (Okabe, Koshinaka & Shinoda, Interspeech 2018; the head of Goncalves et al. 2024,
methods A): the mean and the deviation of frames, weighted by an attention that is learnt.

    e_t = v . tanh(W h_t + b),  a = softmax_t(e)
    m = sum_t a_t h_t,  s = sqrt(sum_t a_t (h_t - m)^2)

Before it a linear map and ReLU of each frame, behind it the same of (m, s). Ours where methods A is silent: these, and
the sizes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from emobridge.heads.base import Dropout, Head

LEAST = 1e-6  # of a variance: a clip of one frame has none, and a root has no slope there


class Attentive(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits. `attention` units W maps to."""

    name = "attentive"
    needs_frames: ClassVar = True
    all_layers: ClassVar = False

    def __init__(
        self, width: int, classes: int, *, hidden: int = 256, attention: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), Dropout(dropout))
        self.attention = nn.Sequential(nn.Linear(hidden, attention), nn.Tanh(), nn.Linear(attention, 1, bias=False))
        self.clip = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU())
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        seen = self.frames(frames)
        score = self.attention(seen).squeeze(-1)  # (..., B, F), or (..., T) of clips end to end
        if mask.is_floating_point():
            weight = score[..., None, :].where(mask > 0, -torch.inf).softmax(-1)  # (..., B, T)
            mean = weight @ seen
            around = seen - (mask > 0).to(seen.dtype).T @ mean  # each frame less the mean of its clip
            variance = weight @ around**2
        else:
            weight = score.where(mask, -torch.inf).softmax(-1)[..., None]
            mean = (weight * seen).sum(-2)
            variance = (weight * (seen - mean[..., None, :]) ** 2).sum(-2)
        deviation = variance.clamp(min=LEAST).sqrt()
        return self.clip(torch.cat([mean, deviation], -1))
