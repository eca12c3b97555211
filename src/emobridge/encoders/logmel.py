"""Log-mel bands and nothing learnt: the floor that every other encoder must beat."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from emobridge.encoders._spectral import LogMel
from emobridge.encoders.base import Encoder, Option, checked


class Logmel(Encoder):
    """One layer of 64 log-mel bands, 60-7800 Hz, at 100 Hz; pooled as mean and standard deviation."""

    name = "logmel"
    layers = 1
    frame_rate = LogMel.rate
    minimum = LogMel.minimum
    window = 30.0

    def __init__(self) -> None:
        super().__init__()
        self.front = LogMel()
        self.width = self.front.bands
        self.options = {}
        self.digest = hashlib.sha256(b"log-mel 64 60-7800 1").hexdigest()

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> Logmel:
        checked(cls.name, cls.defaults, options)
        return cls().eval()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel, frames = self.front(wave, lengths)
        return mel.transpose(1, 2)[None], frames
