"""Several sets of adapters in one encoder: clips of several languages in one batch, their average, the base without.

LoRA shares a forward pass, through peft: the base's product is computed once for the whole batch, and each clip adds
its own B A x. Where that cannot be (other adapters, training, clips beyond the encoder's window) each set hears its
clips in a pass of its own, with the same result.
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


def heard(encoder: Encoder, wave: Tensor, mask: Tensor, sets: Sequence[Set]) -> Iterator[tuple[list[int], Layers]]:
    """(B, T) waves, each through its set of adapters: rows and what the encoder says of them, pass by pass.

    Errors: UserError where a set that is not asked for is merged into the encoder's weights.
    """
    kinds = list(dict.fromkeys(sets))
    if len(kinds) > 1 and _share(encoder, wave, kinds):
        router, keys = _router(kinds), [None if one is None else one.key for one in sets]
        with use_adapters(encoder, None), router.routed(keys):
            said = encoder(wave, mask)
        yield list(range(len(sets))), said
        return
    for kind in kinds:
        rows = [row for row, one in enumerate(sets) if one is kind]
        with use_adapters(encoder, kind):
            said = encoder(wave[rows], mask[rows])
        yield rows, said


def averaged(sets: Sequence[Set]) -> Set:
    """A new set, resting, of the mean of the products B A of several; the base without adapters counts as zero.

    Side by side A_1 ... A_n and s_i / n of B_1 ... B_n give it exactly: sum_i (s_i / n) B_i A_i, of the ranks' sum (as
    peft's `add_weighted_adapter` has it with combination_type "cat"). Errors: UserError for what is not LoRA alone.
    """
    given = [one for one in sets if one is not None]
    if not given:
        return None
    for one in given:
        if one.names != Lora.name:
            raise UserError(f"adapters {one.names!r} cannot be averaged: LoRA alone can")
    encoder = given[0].encoder
    parts = [_weights(one) for one in given]
    rank = sum(lora.r for lora, _ in parts)
    with use_adapters(encoder, None):
        mean = Adapters(encoder, Lora.name, (f"r={rank}", f"alpha={rank}", "dropout=0.0"))
        for name, weight in _weights(mean)[1].items():
            weight.data.zero_()
            first = 0
            for lora, own in parts:
                if name in own and "lora_A" in name:
                    weight.data[first : first + lora.r] = own[name].data
                elif name in own:
                    weight.data[:, first : first + lora.r] = lora.alpha / lora.r / len(sets) * own[name].data
                first += lora.r
        mean.update_digest()
        mean.deactivate()
    return mean


def base_state(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's own weights by their own names, whatever adapters are in it; none may be merged."""
    sets = encoder.all_adapters
    foreign = {id(weight) for one in sets for weight in one.parameters()}
    state = encoder.state_dict(keep_vars=True)
    own = {name: tensor for name, tensor in state.items() if id(tensor) not in foreign}
    return {name.replace(".base_layer.", "."): tensor.detach() for name, tensor in own.items()}  # as peft renames them


def _share(encoder: Encoder, wave: Tensor, kinds: Sequence[Set]) -> bool:
    fits = encoder.window is None or wave.shape[1] <= encoder.window * SAMPLE_RATE
    routable = all(isinstance(part, Routable) for one in kinds if one is not None for part in one.parts)
    return fits and routable and not encoder.training and not any(one is not None and one.merged for one in kinds)


def _router(kinds: Sequence[Set]) -> Routable:
    return next(part for one in kinds if one is not None for part in one.parts if isinstance(part, Routable))


def _weights(one: Adapters) -> tuple[Lora, dict[str, torch.nn.Parameter]]:
    """A set's LoRA and its weights by name."""
    (lora,) = one.parts
    assert isinstance(lora, Lora)
    return lora, lora.tensors()
