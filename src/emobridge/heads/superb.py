"""The head of SUPERB's emotion task (Yang et al., Interspeech 2021), as EmoBox (Ma et al., Interspeech 2024) has it:
o(mean_t(relu(l(h_t)))).
"""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads.base import Head, masked_mean


class Superb(Head):
    """(B, F, D) frames and their (B, F) mask -> (B, C) logits. `hidden`: width of l; EmoBox's example has 128."""

    needs_frames = True
    stacks = True

    def __init__(self, width: int, classes: int, *, hidden: int = 128) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(self.frames(frames), mask)
