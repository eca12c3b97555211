"""The nonlinear head of D'Asaro et al. 2024 (methods B): a small network shared over frames, then over their mean."""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads.base import Dropout, Head, masked_mean


class Nonlinear(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits.

    Two blocks of linear, ReLU and dropout and a linear map, shared over frames; the mean over frames; linear and ReLU;
    the output. The hidden size is the paper's m = 256; the dropout of 0.1 is that of PEFT-SER (Feng & Narayanan 2023),
    whose settings the paper takes over. A clip of pooled features is one frame.
    """

    needs_frames = True
    stacks = True

    def __init__(self, width: int, classes: int, *, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
        )
        self.clip = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self.clip(masked_mean(self.frames(frames), mask))
