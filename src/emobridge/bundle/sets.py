"""Several sets of adapters in one encoder: clips of several languages in one batch, their average, the bare base.

LoRA shares a forward pass, through peft: the base's product is computed once for the whole batch, and each clip adds
its own B A x. Where that cannot be (other adapters, training, clips beyond the encoder's window) the clips of each set
have a pass of their own, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from emobridge.adapters import Adapters, use_adapters
from emobridge.adapters.base import Routable
from emobridge.adapters.lora import Lora
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE, Layers

Set = Adapters | None  # None: the encoder without adapters


def encode_by_set(
    encoder: Encoder, wave: Tensor, mask: Tensor, sets: Sequence[Set]
) -> Iterator[tuple[list[int], Layers]]:
    """(B, T) waves, each through its set of adapters: rows and their layers, pass by pass.

    Errors: UserError where another set than those of the batch is merged into the encoder's weights.
    """
    kinds = list(dict.fromkeys(sets))
    if len(kinds) > 1 and _can_share(encoder, wave, kinds):
        router, keys = _router(kinds), [None if adapters is None else adapters.key for adapters in sets]
        with use_adapters(encoder, None), router.routed(keys):
            layers = encoder(wave, mask)
        yield list(range(len(sets))), layers
        return
    for kind in kinds:
        rows = [row for row, adapters in enumerate(sets) if adapters is kind]
        with use_adapters(encoder, kind):
            layers = encoder(wave[rows], mask[rows])
        yield rows, layers


def averaged(sets: Sequence[Set]) -> Set:
    """A new set, resting, of the mean of the products B A of several; the base without adapters counts as zero.

    Side by side A_1 ... A_n and s_i / n of B_1 ... B_n give it exactly: sum_i (s_i / n) B_i A_i, of the ranks' sum (as
    peft's `add_weighted_adapter` has it with combination_type "cat"). Errors: UserError for other adapters than LoRA.
    """
    several = [adapters for adapters in sets if adapters is not None]
    if not several:
        return None
    for adapters in several:
        if adapters.names != Lora.name:
            raise UserError(f"adapters {adapters.names!r} cannot be averaged: LoRA alone can")
    encoder = several[0].encoder
    parts = [_weights(adapters) for adapters in several]
    rank = sum(lora.r for lora, _ in parts)
    with use_adapters(encoder, None):
        mean = Adapters(encoder, Lora.name, (f"r={rank}", f"alpha={rank}", "dropout=0.0"))
        for name, weight in _weights(mean)[1].items():
            weight.data.zero_()
            first = 0
            for lora, weights in parts:
                if name in weights and "lora_A" in name:
                    weight.data[first : first + lora.r] = weights[name].data
                elif name in weights:
                    weight.data[:, first : first + lora.r] = lora.alpha / lora.r / len(sets) * weights[name].data
                first += lora.r
        mean.update_digest()
        mean.deactivate()
    return mean


def base_state(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's own weights by their own names, whatever adapters are in it; none may be merged."""
    foreign = {id(weight) for adapters in encoder.all_adapters for weight in adapters.parameters()}
    state = encoder.state_dict(keep_vars=True)
    base = {name: tensor for name, tensor in state.items() if id(tensor) not in foreign}
    return {name.replace(".base_layer.", "."): tensor.detach() for name, tensor in base.items()}  # as peft renames them


def _can_share(encoder: Encoder, wave: Tensor, kinds: Sequence[Set]) -> bool:
    fits = encoder.window is None or wave.shape[1] <= encoder.window * SAMPLE_RATE
    several = [adapters for adapters in kinds if adapters is not None]
    routable = all(isinstance(part, Routable) for adapters in several for part in adapters.parts)
    return fits and routable and not encoder.training and not any(adapters.merged for adapters in several)


def _router(kinds: Sequence[Set]) -> Routable:
    parts = (part for adapters in kinds if adapters is not None for part in adapters.parts)
    return next(part for part in parts if isinstance(part, Routable))


def _weights(adapters: Adapters) -> tuple[Lora, dict[str, torch.nn.Parameter]]:
    """A set's LoRA and its weights by name."""
    (lora,) = adapters.parts
    assert isinstance(lora, Lora)
    return lora, lora.tensors()
