"""The multilayer head of D'Asaro et al. 2024 (methods B): a learnt sum of all transformer blocks' layers, then the
nonlinear head.
"""

from __future__ import annotations

from torch import Tensor, nn

from emobridge.heads.base import Head, LayerSum
from emobridge.heads.nonlinear import Nonlinear


class Multilayer(Head):
    """(L, B, F, D) frames of all layers and their (B, F) mask -> (B, C) logits; (B, F, D) counts as one layer.

    The layers are l = 1..L: what the first block sees, of convolutions or an embedding, is none of them. softmax(w)
    weights the layers, with w = 0 at first (all alike; the paper does not say). `layer_sum.weight` is w, the
    map of the paper's Figure 2.
    """

    needs_frames = True
    all_layers = True

    def __init__(self, width: int, classes: int, *, layers: int = 1, hidden: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        self.layer_sum = LayerSum(layers)
        self.head = Nonlinear(width, classes, hidden=hidden, dropout=dropout)

    @property
    def output(self) -> nn.Linear:  # type: ignore[override]
        """The output of the nonlinear head."""
        return self.head.output

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        if frames.ndim == 3:
            frames = frames[None]
        return self.head.represent(self.layer_sum(frames), mask)
