"""Attentive statistics pooling (Okabe, Koshinaka & Shinoda, Interspeech 2018; the head of Goncalves et al. 2024,
methods A): the mean and the deviation of frames, weighted by a learnt attention.

    e_t = v . tanh(W h_t + b),  a = softmax_t(e)
    m = sum_t a_t h_t,  s = sqrt(sum_t a_t (h_t - m)^2)

Before it comes a linear map with ReLU of each frame, after it another one of (m, s). Ours where methods A is silent:
these maps, and the sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emobridge.heads.base import Dropout, Head

LEAST = 1e-6  # of a variance: that of a clip of one frame is 0, where a root has no finite gradient


class Attentive(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits. `hidden`: width of h; `attention`: width of W h."""

    needs_frames = True

    def __init__(
        self, width: int, classes: int, *, hidden: int = 256, attention: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), Dropout(dropout))
        self.attention = nn.Sequential(nn.Linear(hidden, attention), nn.Tanh(), nn.Linear(attention, 1, bias=False))
        self.clip = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU())
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        h = self.frames(frames)
        score = self.attention(h).squeeze(-1)  # (..., B, F), or (..., T) of clips end to end
        if mask.is_floating_point():
            weight = score[..., None, :].where(mask > 0, -torch.inf).softmax(-1)  # (..., B, T)
            mean = weight @ h
            around = h - (mask > 0).to(h.dtype).T @ mean  # each frame less the mean of its clip
            variance = weight @ around**2
        else:
            weight = score.where(mask, -torch.inf).softmax(-1)[..., None]
            mean = (weight * h).sum(-2)
            variance = (weight * (h - mean[..., None, :]) ** 2).sum(-2)
        deviation = variance.clamp(min=LEAST).sqrt()
        return self.clip(torch.cat([mean, deviation], -1))
