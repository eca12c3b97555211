"""eGeMAPS (Eyben et al. 2016): 88 functionals of pitch, loudness, spectrum and voice quality, by openSMILE.

An extra: pip install 'emobridge[opensmile]'. openSMILE is free for research; its licence asks for a contract otherwise.
"""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import torch
from torch import Tensor

from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE


class Opensmile(Encoder):
    """One layer, one frame a clip, 88 features; no gradients."""

    statistics = ("mean",)
    layers = 1
    minimum = SAMPLE_RATE  # functionals of less than a second are mostly undefined

    def __init__(self) -> None:
        super().__init__()
        try:
            import opensmile
        except ModuleNotFoundError as error:
            raise UserError(
                "encoder opensmile needs the package opensmile: pip install 'emobridge[opensmile]'"
            ) from error
        self.smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
        self.width = len(self.smile.feature_names)
        self.digest = hashlib.sha256(f"eGeMAPSv02 functionals {opensmile.__version__}".encode()).hexdigest()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        clips = zip(wave.detach(), lengths.tolist())
        rows = [self._functionals(clip[:length].cpu().numpy()) for clip, length in clips]
        return torch.from_numpy(np.stack(rows)).to(wave)[None, :, None], torch.ones_like(lengths)

    def _functionals(self, wave: np.ndarray) -> np.ndarray:
        """(T,) -> (88,); functionals without a value, such as the pitch of a clip without voice, are 0."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = self.smile.process_signal(wave, SAMPLE_RATE).to_numpy()[0]
        return np.nan_to_num(values, posinf=0.0, neginf=0.0)
