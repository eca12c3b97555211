"""Bottleneck adapters, y + W_up relu(W_down y) on the output y of each block's feed-forward part (Houlsby et al., ICML
2019, "Parameter-efficient transfer learning for NLP"; at this one place Pfeiffer et al., EACL 2021; methods C).

Ours where methods C is silent: the place, ReLU, and W_up that begins at zero, so that nothing is changed at first.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from emobridge.adapters.base import FIRST, load_weights, parse_indices, save_weights, trunk_of
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError

WEIGHTS = "bottleneck.safetensors"


class Residual(nn.Module):
    """(..., D) -> (..., D) through D / reduction units."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, units)
        self.up = nn.Linear(units, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, y: Tensor) -> Tensor:
        return y + self.up(self.down(y).relu())


class Bottleneck:
    """`reduction` of the width; `blocks` such as "3+4", all by default."""

    name = "bottleneck"
    replaces = False

    def __init__(self, *, reduction: int = 16, blocks: str | int | None = None) -> None:
        if reduction < 1:
            raise ValueError(f"reduction: expected 1 or more, got {reduction}")
        self.reduction, self.blocks = reduction, blocks

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        trunk = trunk_of(f"adapter {self.name}", encoder)
        places = parse_indices(f"block of adapter {self.name}", self.blocks, len(trunk.blocks))
        units = encoder.width // self.reduction
        if not units:
            raise UserError(f"adapter {self.name}: reduction {self.reduction} of width {encoder.width} leaves nothing")
        self.modules = nn.ModuleList(Residual(encoder.width, units) for _ in places)
        self.encoder, self.own = encoder, self.name if key == FIRST else f"{self.name}_{key}"
        encoder.add_module(self.own, self.modules)  # so that it is moved, trained and saved with the encoder
        self.places = [f"{trunk.blocks[place]}.{trunk.outer}" for place in places]
        self.trunk = trunk
        self.activate()

    def deactivate(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def activate(self) -> None:
        # Looked up anew: what the maps were may meanwhile lie within what another adapter put in their place.
        self.hooks = [
            self.trunk.module.get_submodule(place).register_forward_hook(
                lambda _module, _inputs, y, residual=residual: residual(y)
            )
            for place, residual in zip(self.places, self.modules)
        ]

    def detach(self) -> None:
        self.deactivate()
        delattr(self.encoder, self.own)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(self.modules.parameters())

    def save(self, folder: Path) -> None:
        save_weights(self.modules, folder / WEIGHTS)

    def load(self, folder: Path) -> None:
        load_weights(self.name, self.modules, folder / WEIGHTS)
