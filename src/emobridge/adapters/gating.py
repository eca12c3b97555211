"""Weighted gating of layers: the encoder yields one layer, sum_l softmax(w)_l h_l (methods C; Yang et al., Interspeech
2021, "SUPERB", where a weighted sum reads frozen models).

Ours where methods C is silent: the weights are of the whole corpus, not of a frame, and begin alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from emobridge.adapters.base import FIRST, load_weights, parse_indices, save_weights
from emobridge.encoders.base import Encoder
from emobridge.heads.base import LayerSum
from emobridge.types import Layers

WEIGHTS = "gating.safetensors"


class Gating:
    """`layers` such as "2+3+4", all by default, of those that the encoder yields: 0 is what the first block sees."""

    name = "gating"
    replaces = False

    def __init__(self, *, layers: str | int | None = None) -> None:
        self.layers = layers

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        self.chosen = torch.tensor(parse_indices(f"layer of adapter {self.name}", self.layers, encoder.layers))
        self.encoder, self.before = encoder, encoder.layers
        self.sum = LayerSum(len(self.chosen))
        self.own = self.name if key == FIRST else f"{self.name}_{key}"
        encoder.add_module(self.own, self.sum)
        self.activate()

    def _gated(self, _encoder: nn.Module, _inputs: Any, said: Layers) -> Layers:
        return Layers(self.sum(said.hidden[self.chosen])[None], said.mask, said.frame_rate)

    def deactivate(self) -> None:
        self.hook.remove()
        self.encoder.layers = self.before

    def activate(self) -> None:
        self.encoder.layers = 1
        self.hook = self.encoder.register_forward_hook(self._gated)

    def detach(self) -> None:
        self.deactivate()
        delattr(self.encoder, self.own)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.sum.parameters())

    def save(self, folder: Path) -> None:
        save_weights(self.sum, folder / WEIGHTS)

    def load(self, folder: Path) -> None:
        load_weights(self.name, self.sum, folder / WEIGHTS)
