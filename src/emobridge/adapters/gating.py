"""Weighted gating of layers: the encoder yields one layer, sum_l softmax(w)_l h_l (methods C; Yang et al., Interspeech
2021, "SUPERB", which puts a weighted sum over frozen models).

Ours where methods C is silent: the weights are the same for all frames, and equal at first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emobridge.adapters.base import FIRST, ModuleAdapter, parse_indices
from emobridge.encoders.base import Encoder
from emobridge.heads.base import LayerSum
from emobridge.types import Layers


class Gating(ModuleAdapter):
    """`layers` such as "2+3+4", all by default, of those that the encoder yields; 0 is the input of the first block."""

    name = "gating"

    def __init__(self, *, layers: str | int | None = None) -> None:
        self.layers = layers

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        self.selected = torch.tensor(parse_indices(f"layer of adapter {self.name}", self.layers, encoder.layers))
        self.layers_before = encoder.layers
        self.sum = LayerSum(len(self.selected))
        self.add(encoder, key, self.sum)
        self.activate()

    def _gated(self, _encoder: nn.Module, _inputs: Any, output: Layers) -> Layers:
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
        self.hook = self.encoder.register_forward_hook(self._gated)
