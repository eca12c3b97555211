"""Attentive statistics pooling (Okabe, Koshinaka & Shinoda, Interspeech 2018; the head of Goncalves et al. 2024,
methods A): the mean and the deviation of the encoder's own frames, weighted by a learnt attention.

    e_t = v . tanh(W h_t + b),  a = softmax_t(e)
    m = sum_t a_t h_t,  s = sqrt(sum_t a_t (h_t - m)^2)

h_t is a frame as the encoder gives it, with no map before. Behind (m, s) come fully connected layers: here one with
ReLU, and the output. Ours where methods A is silent: how many layers, their sizes, and no dropout by default.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emobridge.heads.base import Dropout, FrameScale, Head

LEAST = 1e-6  # of a variance: that of a clip of one frame is 0, where a root has no finite gradient


class Attentive(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    `attention`: width of W h. `hidden`: width of the layer behind (m, s), whose `dropout` is in [0, 1).
    """

    needs_frames = True
    stacks = True

    def __init__(
        self, width: int, classes: int, *, hidden: int = 256, attention: int = 128, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, attention), nn.Tanh(), nn.Linear(attention, 1, bias=False))
        self.scale = FrameScale()
        self.clip = nn.Sequential(nn.Linear(2 * width, hidden), nn.ReLU(), Dropout(dropout))
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        score = self.attention(frames).squeeze(-1)  # (..., B, F), or (..., T) of clips end to end
        if mask.is_floating_point():
            weight = score[..., None, :].where(mask > 0, -torch.inf).softmax(-1)  # (..., B, T)
            centre = frames.mean(-2, keepdim=True)  # about which squares lose few digits
            apart = frames - centre
            mean = weight @ apart
            variance = weight @ apart.square() - mean.square()
            mean = mean + centre
        else:
            weight = score.where(mask, -torch.inf).softmax(-1)[..., None]
            mean = (weight * frames).sum(-2)
            variance = (weight * (frames - mean[..., None, :]) ** 2).sum(-2)
        mean, variance = self.scale(mean, variance)
        return self.clip(torch.cat([mean, variance.clamp(min=LEAST).sqrt()], -1))
