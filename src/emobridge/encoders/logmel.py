"""Log-mel bands, without any learnt weight: the lower bound for every other encoder."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from emobridge.encoders._spectral import LogMel
from emobridge.encoders.base import Encoder, speech_frames


class Logmel(Encoder):
    """One layer of 64 log-mel bands, 60-7800 Hz, at 100 Hz, less the level of each clip.

    The level is the logarithm of the mean power of the clip's frames with speech (see `data.activity`), so that a
    louder recording of the same speech gives the same features. Bands are pooled as mean and standard deviation over
    the frames with speech. A clip of more than 30 s has a level for each 30 s.
    """

    layers = 1
    frame_rate = LogMel.rate
    minimum = LogMel.minimum
    window = 30.0
    pooled_frames = "speech"
    has_graph = True
    chosen_statistics = ("mean", "std")

    def __init__(self) -> None:
        super().__init__()
        self.front = LogMel()
        self.width = self.front.bands
        self.digest = hashlib.sha256(b"log-mel 64 60-7800 2 less the level of speech").hexdigest()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel, frames = self.front(wave, lengths)
        speech = speech_frames(wave, lengths, mel.shape[2], frames, self.frame_rate)
        power = mel.exp().sum(1)
        level = (torch.where(speech, power, 0.0).sum(1) / speech.sum(1)).log()
        return (mel - level[:, None, None]).transpose(1, 2)[None], frames
