"""Log-mel bands, without any learnt weight: the lower bound for every other encoder."""

from __future__ import annotations

import hashlib

from torch import Tensor

from emobridge.encoders._spectral import LogMel
from emobridge.encoders.base import Encoder


class Logmel(Encoder):
    """One layer of 64 log-mel bands, 60-7800 Hz, at 100 Hz; pooled as mean and standard deviation."""

    layers = 1
    frame_rate = LogMel.rate
    minimum = LogMel.minimum
    window = 30.0

    def __init__(self) -> None:
        super().__init__()
        self.front = LogMel()
        self.width = self.front.bands
        self.digest = hashlib.sha256(b"log-mel 64 60-7800 1").hexdigest()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel, frames = self.front(wave, lengths)
        return mel.transpose(1, 2)[None], frames
