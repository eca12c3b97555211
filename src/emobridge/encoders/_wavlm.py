"""WavLM's attention, which calls its own modules.

The library's version passes the weights of q_proj, k_proj, v_proj and out_proj to a fused function and never calls the
modules: an adapter on them is trained and saved, and has no effect. Here they are called.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class CallingAttention(WavLMAttention):  # type: ignore[misc]
    """Self-attention with a gated relative position bias, equal to the library's but for rounding.

    The weights that it returns are those of each head; the library's are their mean, repeated.
    """

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, F, D), mask (B, F) of 1 on frames to attend to, bias (B * H, F, F) -> (B, F, D), weights (B, H, F, F)."""
        q, k, v = (
            project(hidden_states).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = self.scaling * q @ k.transpose(2, 3) + gated_position_bias.unflatten(0, (-1, self.num_heads))
        if attention_mask is not None:
            scores = scores.masked_fill(attention_mask.ne(1)[:, None, None], -torch.inf)
        weights = scores.softmax(3)
        mixed = dropout(weights, self.dropout, self.training) @ v
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), weights


def call_modules(model: Any) -> None:
    """Make every attention of a WavLM model call its modules, in place; names and weights stay as they are."""
    for layer in model.encoder.layers:
        layer.attention.__class__ = CallingAttention
