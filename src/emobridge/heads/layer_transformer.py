"""The classifier of Upadhyay et al. 2024 (methods D): a learnt sum of layers, then a transformer with four full layers.

    u_l = W_l x_l + b_l,  h_l = u_l / ||u_l||    each layer by its own map: what `layer-anchoring` anchors
    h   = sum_l softmax(a)_l h_l                 the paper's pooling of layers
    z   = block(h)                               self-attention over the frames of a clip and a feed-forward part
    y   = four fully connected layers of the mean frame of z, the last one the output

The paper says "a transformer with four fully connected layers" and softmax(a). Ours where it is silent: that the
transformer is one block over the frames of the summed layers, before the fully connected layers, with layer norms
without weights; the sizes, the dropout and a = 0 at first. Features that are pooled are a clip of one frame, of which
self-attention is the value map. The maps W_l are ours too: the covariance of a frozen encoder's layers cannot change,
so that without weights before the anchor there would be nothing to learn. And so is the length of 1: without it a map
lessens the difference of covariances by shrinking all that varies, and the classes go by what noise is left (RAVDESS to
EmoDB, whisper-base, by speaker, gamma 0.5, two seeds: UA of the target 32 and 40, with it 66 and 62, without anchors 66
and 64). With an encoder that is trained, `maps=none` anchors its own layers as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, normalize, relu, scaled_dot_product_attention

from emobridge.errors import unknown
from emobridge.heads.base import Dropout, Head, LayerSum, masked_mean
from emobridge.options import check_least

POOLINGS = ("attention", "average", "top")
LAYER_MAPS = ("unit", "plain", "none")


class LayerTransformer(Head):
    """(B, F, L * D) frames of L layers, side by side, and their (B, F) mask -> (B, C) logits.

    layers: L. pooling: "attention" is softmax(a), "average" the mean of the layers, "top" the last one. maps: "unit"
    is a linear map of each layer to `hidden` values, scaled to length 1, "plain" the map alone; with "none" layers stay
    as they are, and one map follows the sum.
    """

    needs_frames = True
    layered = True

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        layers: int = 1,
        hidden: int = 256,
        attention_heads: int = 4,
        dropout: float = 0.2,
        pooling: str = "attention",
        maps: str = "unit",
    ) -> None:
        """Errors: ValueError for layers that do not divide the width, and attention heads that do not divide hidden."""
        super().__init__()
        check_least(1, layers=layers, hidden=hidden, attention_heads=attention_heads)
        if pooling not in POOLINGS:
            raise unknown("pooling of head layer-transformer", pooling, POOLINGS)
        if maps not in LAYER_MAPS:
            raise unknown("maps of head layer-transformer", maps, LAYER_MAPS)
        if width % layers:
            raise ValueError(f"layers: {width} features cannot be cut into {layers} layers of the same width")
        if hidden % attention_heads:
            raise ValueError(f"attention_heads: {attention_heads} do not divide {hidden} hidden values")
        self.layers, self.pooling, self.unit_length = layers, pooling, maps == "unit"
        own = width // layers
        has_maps = maps != "none"
        self.maps = nn.ModuleList(nn.Linear(own, hidden) for _ in range(layers)) if has_maps else None
        self.projection = nn.Identity() if has_maps else nn.Linear(own, hidden)
        self.layer_sum = LayerSum(layers) if layers > 1 and pooling == "attention" else None
        self.block = TransformerBlock(hidden, attention_heads, dropout)
        parts = [(nn.Linear(hidden, hidden), nn.ReLU(), Dropout(dropout)) for _ in range(3)]
        self.connected = nn.Sequential(*(module for part in parts for module in part))
        self.output = nn.Linear(hidden, classes)

    def represent(self, frames: Tensor, mask: Tensor) -> Tensor:
        return self._joined(self._mapped(frames, range(self.layers)), mask)

    def represent_layers(self, frames: Tensor, mask: Tensor, layers: Sequence[int] | None = None) -> Tensor:
        mapped = self._mapped(masked_mean(frames, mask), range(self.layers) if layers is None else layers)
        return self._scaled(torch.stack(mapped))  # a linear map and the mean commute

    def represent_with_layers(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mapped = self._mapped(frames, range(self.layers))
        return self._joined(mapped, mask), self._scaled(torch.stack([masked_mean(layer, mask) for layer in mapped]))

    def join_layers(self, layers: Tensor) -> Tensor:
        """(L, ..., H) representations of all layers -> (..., H), as the head pools them."""
        if self.layer_sum is not None:
            return self.layer_sum(layers)
        return layers.mean(0) if self.pooling == "average" else layers[-1]

    def _mapped(self, x: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """(..., L * D) -> of each of some layers (..., H), or (..., D) without maps."""
        parts = x.chunk(self.layers, -1)
        return [parts[layer] if self.maps is None else self.maps[layer](parts[layer]) for layer in layers]

    def _scaled(self, x: Tensor) -> Tensor:
        return normalize(x, dim=-1) if self.unit_length else x

    def _joined(self, mapped: Sequence[Tensor], mask: Tensor) -> Tensor:
        """The representation (..., B, H) of the mapped frames (..., F, H) of each layer."""
        scaled = [self._scaled(layer) for layer in mapped]
        pooled = scaled[0] if self.layers == 1 else self.join_layers(torch.stack(scaled))
        return self.connected(masked_mean(self.block(self.projection(pooled), mask), mask))


class TransformerBlock(nn.Module):
    """Self-attention over the frames of each clip and a feed-forward part, each added to what it gets."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.mix = nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(..., B, F, H) and the mask (B, F) bool; or clips end to end, (..., T, H), with shares (B, T) for a mask."""
        normed = _normed(x)
        q, k, v = (self._cut(part(normed)) for part in (self.query, self.key, self.value))
        if mask.is_floating_point():
            own = (mask > 0).to(x.dtype)
            allowed = own.T @ own > 0  # (T, T): frames of the same clip
        else:
            allowed = mask[:, None, None]
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(-2, -3).flatten(-2)
        x = x + self.dropout(self.mix(mixed))
        return x + self.dropout(self.outer(relu(self.inner(_normed(x)))))

    def _cut(self, x: Tensor) -> Tensor:
        """(..., F, H) -> (..., heads, F, H / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)


def _normed(x: Tensor) -> Tensor:
    return layer_norm(x, (int(x.shape[-1]),))  # a number also where ONNX records the steps
