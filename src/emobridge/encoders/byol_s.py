"""BYOL-S (Elbanna et al. 2022): speech representations learnt by bootstrapping, after BYOL-A (Niizumi et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from emobridge.encoders._spectral import LogMel
from emobridge.encoders._weights import fill, load_tensors, weights_digest
from emobridge.encoders.base import (
    WEIGHT_OPTIONS,
    Encoder,
    Option,
    check_options,
    key_options,
    seed_of,
    seeded,
    state_digest,
    zero_padding,
)
from emobridge.errors import UserError, unknown

CHANNELS = 64
CORPUS = (-4.993728, 3.136603)  # mean and deviation of CREMA-D's log-mel frames


class ByolS(Encoder):
    """One layer of 512 features at 12.5 Hz; mean + maximum over time is the clip's embedding.

    standardisation: the mean and deviation by which log-mel values are shifted and scaled: "corpus" (those of CREMA-D),
    "clip" (each clip's own), or "MEAN,DEVIATION" (as published: the averages over the clips of a corpus).
    weights, seed: "random" gives torch's initial weights for the seed; it needs no folder.
    """

    statistics = ("mean_max",)
    defaults: ClassVar = {"standardisation": "corpus", **WEIGHT_OPTIONS}
    layers = 1
    width = 512
    frame_rate = LogMel.rate / 8
    minimum = max(7 * LogMel.hop, LogMel.minimum)  # eight log-mel frames, one after three poolings
    window = 30.0

    def __init__(self, standardisation: str = "corpus") -> None:
        super().__init__()
        self.options = {"standardisation": standardisation}
        self.moments = _moments(standardisation)
        self.front = LogMel()
        blocks = [_block(1), _block(CHANNELS), _block(CHANNELS)]
        self.features = nn.Sequential(*(module for block in blocks for module in block))
        self.fc = nn.Sequential(
            nn.Linear(512, 512), nn.ReLU(), nn.Dropout(p=0.3), nn.Linear(512, self.width), nn.ReLU()
        )

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        return "model_type" not in config and {"features.8.weight", "features.9.running_mean", "fc.3.weight"} <= tensors

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> ByolS:
        options = check_options(cls.name, cls.defaults, options)
        seed = seed_of(cls.name, options)
        if directory is None and seed is None:
            raise UserError("encoder byol-s needs weights: a folder with a safetensors file of features.* and fc.*")
        with seeded(seed):
            encoder = cls(str(options["standardisation"]))
        encoder.options = key_options(options)
        if directory is None or seed is not None:
            encoder.digest = state_digest(encoder)
        else:
            fill(encoder, load_tensors(directory, ("",)), directory)
            encoder.digest = weights_digest(directory)
        return encoder.eval()

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel, frames = self.front(wave, lengths)
        hidden = zero_padding(self._standardised(mel, frames)[:, None], frames)
        for first in range(0, len(self.features), 4):
            hidden = self.features[first : first + 4](hidden)
            frames = frames // 2
            hidden = zero_padding(hidden, frames)
        # (B, channels, bands, F) -> (B, F, bands * channels), channel fastest
        hidden = self.fc(hidden.permute(0, 3, 2, 1).flatten(2))
        return hidden[None], frames

    def _standardised(self, mel: Tensor, frames: Tensor) -> Tensor:
        """(B, bands, F) -> the same, by the mean and deviation of the corpus or of each clip."""
        if self.moments is not None:
            return (mel - self.moments[0]) / self.moments[1]
        count = (frames * mel.shape[1])[:, None, None]
        mean = zero_padding(mel, frames).sum((1, 2), keepdim=True) / count
        square = zero_padding(mel - mean, frames).square().sum((1, 2), keepdim=True) / (count - 1)
        return (mel - mean) / (square.sqrt() + torch.finfo(mel.dtype).eps)


def _block(inputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(), nn.MaxPool2d(2)]


def _moments(standardisation: str) -> tuple[float, float] | None:
    """Mean and deviation; None is each clip's own. Errors: UserError."""
    presets = {"corpus": CORPUS, "clip": None}
    if standardisation in presets:
        return presets[standardisation]
    try:
        mean, deviation = map(float, standardisation.split(","))
    except ValueError:
        raise unknown("standardisation of encoder byol-s", standardisation, (*presets, "MEAN,DEVIATION")) from None
    if not deviation > 0:
        raise UserError(f"standardisation {standardisation!r} of encoder byol-s: the deviation must be above zero")
    return mean, deviation
