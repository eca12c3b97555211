"""Weighted gating, h <- sigmoid(g) * h at the input h of each block, with a g of the layer's width a block (Han et al.,
ICASSP 2025, as its public code has it; methods C).

Ours where that is silent: every g begins at `start`, so that the encoder begins nearly as it was.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from emobridge.adapters.base import FIRST, ModuleAdapter, parse_indices, trunk_of
from emobridge.encoders.base import Encoder


class Gate(nn.Module):
    """(..., D) -> (..., D), each of the D values times a number between 0 and 1."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), start))

    def forward(self, h: Tensor) -> Tensor:
        return self.weight.sigmoid() * h


class Gating(ModuleAdapter):
    """`blocks` such as "3+4", all by default; `start`: g at first, sigmoid(3) = 0.95."""

    name = "gating"

    def __init__(self, *, blocks: str | int | None = None, start: float = 3.0) -> None:
        self.blocks, self.start = blocks, start

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        trunk = trunk_of(f"adapter {self.name}", encoder)
        blocks = parse_indices(f"block of adapter {self.name}", self.blocks, len(trunk.blocks))
        self.gates = nn.ModuleList(Gate(encoder.width, self.start) for _ in blocks)
        self.add(encoder, key, self.gates)
        self.gated = [trunk.module.get_submodule(trunk.blocks[block]) for block in blocks]
        self.activate()

    def deactivate(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def activate(self) -> None:
        self.hooks = [
            block.register_forward_pre_hook(lambda _block, inputs, gate=gate: _gated(gate, inputs))
            for block, gate in zip(self.gated, self.gates)
        ]


def _gated(gate: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of a block, whose hidden states come first, with these gated."""
    return (gate(inputs[0]), *inputs[1:])
