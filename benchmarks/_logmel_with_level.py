"""Log-mel bands with the level of each clip, as the encoder `logmel` was before: what its parts are compared with."""

from __future__ import annotations

from torch import Tensor

from emobridge.encoders.logmel import Logmel


class LogmelWithLevel(Logmel):
    """The bands themselves; nothing is taken out."""

    pooled_frames = "all"

    def __init__(self) -> None:
        super().__init__()
        self.digest = ""  # it follows from the source of this file

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel, frames = self.front(wave, lengths)
        return mel.transpose(1, 2)[None], frames
