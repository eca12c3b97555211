"""Bottleneck adapters, y + W_up relu(W_down y) on the output y of each block's feed-forward part (Houlsby et al., ICML
2019, "Parameter-efficient transfer learning for NLP"; at this one place Pfeiffer et al., EACL 2021; methods C).

Ours where methods C is silent: the place, ReLU, and W_up = 0 at first, so that the adapter begins without effect.
"""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.adapters.base import FIRST, ModuleAdapter, parse_indices, trunk_of
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.options import check_least


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


class Bottleneck(ModuleAdapter):
    """`reduction`: the width divided by the bottleneck's; `blocks` such as "3+4", all by default."""

    name = "bottleneck"

    def __init__(self, *, reduction: int = 16, blocks: str | int | None = None) -> None:
        check_least(1, reduction=reduction)
        self.reduction, self.blocks = reduction, blocks

    def attach(self, encoder: Encoder, key: str = FIRST) -> None:
        trunk = trunk_of(f"adapter {self.name}", encoder)
        blocks = parse_indices(f"block of adapter {self.name}", self.blocks, len(trunk.blocks))
        units = encoder.width // self.reduction
        if not units:
            raise UserError(f"adapter {self.name}: reduction {self.reduction} of width {encoder.width} leaves nothing")
        self.residuals = nn.ModuleList(Residual(encoder.width, units) for _ in blocks)
        self.add(encoder, key, self.residuals)
        self.trunk, self.paths = trunk, [f"{trunk.blocks[block]}.{trunk.outer}" for block in blocks]
        self.activate()

    def deactivate(self) -> None:
        for hook in self.hooks:
            hook.remove()

    def activate(self) -> None:
        # The modules are looked up each time: LoRA may have replaced them since.
        self.hooks = [
            self.trunk.module.get_submodule(path).register_forward_hook(
                lambda _module, _inputs, y, residual=residual: residual(y)
            )
            for path, residual in zip(self.paths, self.residuals)
        ]
