"""EmotionCNN (Agarla et al. 2024): a small network on cochleagrams, trained from scratch.

The paper gives three blocks of convolution, ReLU, batch norm and 3x3 max-pooling, 128 features and 35,584 weights, but
not the widths. Of common widths with square kernels, the plainest that has exactly that many trainable weights AND 128
features is 32, 64, 64 channels with kernels 3, 3, 2 and biases: 320 + 18,496 + 16,448 of the convolutions, 320 of the
batch norms. With 64 bands two are left at the end: 64 x 2 = 128. The widths, the bands and the compression are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from emobridge.encoders._spectral import gammatone_filters, power, reflected
from emobridge.encoders._weights import fill, load_tensors, weights_digest
from emobridge.encoders.base import Encoder, Option, check_options, check_seed, seeded, state_digest, zero_padding
from emobridge.types import SAMPLE_RATE

SIZE, HOP = 512, 160  # samples
BANDS = 64
COMPRESSION = 0.15  # power to the 0.15 is amplitude to the 0.3, near the ear's


class EmotionCnn(Encoder):
    """One layer of 128 features at 3.7 Hz, pooled as their mean.

    Train it on crops of the same length: with padded clips the batch statistics would include the padding. In
    evaluation mode padding changes nothing. seed: of the initial weights; without effect for weights from a folder.
    """

    statistics = ("mean",)
    defaults: ClassVar = {"seed": 0}
    layers = 1
    width = 128
    frame_rate = SAMPLE_RATE / HOP / 27
    minimum = 35 * HOP  # 36 frames: 12 and 4 after two poolings, 3 after the last convolution, 1 after the last pooling
    window = 30.0
    has_graph = True
    filters: Tensor
    hann: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(64, 64, 2)]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.BatchNorm2d(64)])
        self.register_buffer("filters", gammatone_filters(BANDS, SIZE, 50.0, 7800.0), persistent=False)
        self.register_buffer("hann", torch.hann_window(SIZE), persistent=False)

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        return {"convolutions.2.weight", "norms.2.running_mean"} <= tensors

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> EmotionCnn:
        options = check_options(cls.name, cls.defaults, options)
        if directory is not None:
            encoder = cls()
            fill(encoder, load_tensors(directory, ("",)), directory)
            encoder.digest = weights_digest(directory)
            return encoder.eval()
        with seeded(check_seed(cls.name, options)):
            encoder = cls()
        encoder.options = options
        encoder.digest = state_digest(encoder)
        return encoder.eval()

    def cochleagram(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -> (B, bands, F) compressed gammatone energies at 100 Hz, and each clip's frames (B,)."""
        spectrum = power(reflected(wave, lengths, SIZE // 2), self.hann, SIZE, HOP)
        # The least power keeps the root's gradient finite in silence.
        return (self.filters @ spectrum).clamp(min=1e-10) ** COMPRESSION, 1 + lengths // HOP

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        hidden, frames = self.cochleagram(wave, lengths)
        hidden = zero_padding(hidden[:, None], frames)
        for convolution, norm in zip(self.convolutions, self.norms):
            before = hidden.shape[-1]
            hidden = convolution(hidden)
            frames = frames - (before - hidden.shape[-1])  # the last one is not padded
            hidden = nn.functional.max_pool2d(norm(hidden.relu()), 3)
            frames = frames // 3
            hidden = zero_padding(hidden, frames)
        # (B, channels, bands, F) -> (B, F, channels * bands)
        return hidden.flatten(1, 2).transpose(1, 2)[None], frames
