"""A weighted sum of layers: the encoder yields one layer, sum_l softmax(w)_l h_l (Yang et al., Interspeech 2021,
"SUPERB", which puts it over frozen models; here it stands among adapters).

The weights are the same for all frames, and equal at first. Han et al. 2025 have another module, see `gating`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emobridge.adapters.base import FIRST, ModuleAdapter, parse_indices
from emobridge.encoders.base import Encoder
from emobridge.heads import base as heads
from emobridge.types import Layers


class LayerSum(ModuleAdapter):
    """`layers` such as "2+3+4", all by default, of those that the encoder yields; 0 is the input of the first block."""

    name = "layer-sum"
    joins_layers = True

    def __init__(self, *, layers: str | int | None = None) -> None:
        self.layers = layers

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        self.selected = torch.tensor(parse_indices(f"layer of adapter {self.name}", self.layers, encoder.layers))
        self.layers_before = encoder.layers
        self.sum = heads.LayerSum(len(self.selected))
        self.add(encoder, key, self.sum)
        self.activate()

    def _summed(self, _encoder: nn.Module, _inputs: Any, output: Layers) -> Layers:
        return Layers(
            self.sum(output.hidden[self.selected])[None],
            output.mask,
            output.frame_rate,
            output.speech,
            output.over_speech,
        )

    def deactivate(self) -> None:
        self.hook.remove()
        self.encoder.layers = self.layers_before

    def activate(self) -> None:
        self.encoder.layers = 1
        self.hook = self.encoder.register_forward_hook(self._summed)
