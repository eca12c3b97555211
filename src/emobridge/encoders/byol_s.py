"""BYOL-S (Elbanna et al. 2022): speech representations learnt by bootstrapping, after BYOL-A (Niizumi et al. 2021).

Three convolutions lead to the 512 inputs of two linear layers, whose width is that of the features. It was released
with 512, 1024 and 2048 features: 0.6, 1.6 and 5.3 million weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from emobridge.encoders._spectral import LogMel
from emobridge.encoders._weights import fill, load_tensors, tensor_shapes, weights_digest
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
INPUTS = CHANNELS * LogMel.bands // 8  # of the linear layers, after three poolings
WIDTHS = (512, 1024, 2048)  # as released
MOST_FEATURES = 16_384  # of weights from anybody
CORPUS = (-4.993728, 3.136603)  # mean and deviation of CREMA-D's log-mel frames


class ByolS(Encoder):
    """One layer of 512, 1024 or 2048 features at 12.5 Hz; mean + maximum over time is the clip's embedding.

    standardisation: the mean and deviation by which log-mel values are shifted and scaled: "corpus" (those of CREMA-D),
    "clip" (each clip's own), or "MEAN,DEVIATION" (as published: the averages over the clips of a corpus).
    width: the number of features. 0 is that of the folder's weights, and 512 of random ones.
    weights, seed: "random" gives torch's initial weights for the seed; it needs no folder.
    """

    statistics = ("mean_max",)
    defaults: ClassVar = {"standardisation": "corpus", "width": 0, **WEIGHT_OPTIONS}
    layers = 1
    width = WIDTHS[0]
    frame_rate = LogMel.rate / 8
    minimum = max(7 * LogMel.hop, LogMel.minimum)  # eight log-mel frames, one after three poolings
    window = 30.0
    has_graph = True

    def __init__(self, standardisation: str = "corpus", width: int = WIDTHS[0]) -> None:
        super().__init__()
        self.options = {"standardisation": standardisation}
        self.width = width
        self.moments = _moments(standardisation)
        self.front = LogMel()
        blocks = [_block(1), _block(CHANNELS), _block(CHANNELS)]
        self.features = nn.Sequential(*(module for block in blocks for module in block))
        self.fc = nn.Sequential(
            nn.Linear(INPUTS, width), nn.ReLU(), nn.Dropout(p=0.3), nn.Linear(width, width), nn.ReLU()
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
        width = _width(None if seed is not None else directory, int(options["width"]))
        with seeded(seed):
            encoder = cls(str(options["standardisation"]), width)
        encoder.options = key_options(options)
        if seed is None or not options["width"]:  # the weights tell it; so the keys of older stores still hold
            del encoder.options["width"]
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


def _width(directory: Path | None, width: int) -> int:
    """The number of features: of a folder's weights, or without one as asked for.

    Errors: UserError where the weights have another than was asked for, and for a number that no weights have.
    """
    if directory is None:
        if width and not 0 < width <= MOST_FEATURES:
            raise UserError(f"width {width} of encoder byol-s: expected a number of features, such as 512")
        return width or WIDTHS[0]
    shape = tensor_shapes(directory).get("fc.3.weight", ())
    if len(shape) != 2 or not 0 < shape[0] <= MOST_FEATURES:
        raise UserError(f"{directory}: fc.3.weight: expected (width, width), got {tuple(shape)}")
    if width not in (0, shape[0]):
        raise UserError(f"{directory}: holds byol-s with {shape[0]} features, and {width} are asked for")
    return int(shape[0])


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
