"""Prosody as an encoder: 18 numbers of pitch, level, spectrum and tempo a clip, without any learnt weight."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from emobridge.data.prosody import PROSODY, prosody
from emobridge.encoders.base import Encoder


class Prosody(Encoder):
    """One layer, one frame a clip: the numbers of `data.prosody.prosody`; no gradients.

    They also stand beside the features of any other frozen encoder, see `features.extraction`.
    """

    statistics = ("mean",)
    layers = 1
    width = len(PROSODY)

    def __init__(self) -> None:
        super().__init__()
        self.digest = hashlib.sha256(b"prosody of speech, 18 numbers, 1").hexdigest()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        clips = zip(wave.detach().float().cpu().numpy(), lengths.tolist())
        rows = np.stack([prosody(clip[:length]) for clip, length in clips])
        return torch.from_numpy(rows).to(wave.device)[None, :, None], torch.ones_like(lengths)
