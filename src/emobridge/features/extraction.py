"""What heads see of clips: the features of a frozen encoder and, where asked, prosody beside them.

Prosody has a place of its own in a feature store, so that it is computed once whatever the encoder is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from emobridge.data.prosody import PROSODY, prosody
from emobridge.encoders import load_encoder
from emobridge.features.store import Features, FeatureStore
from emobridge.progress import Progress, in_passes
from emobridge.types import Utterance


def extract(
    store: FeatureStore,
    utterances: Sequence[Utterance],
    *,
    layers: Sequence[str],
    with_prosody: bool,
    on_progress: Progress | None = None,
    strict: bool = False,
) -> Features:
    """`FeatureStore.extract` of V layers: (N, V, S * D), or with prosody (N, V, S * D + 18), the same 18 in each layer.

    Errors: as `FeatureStore.extract`.
    """
    if not with_prosody:
        return store.extract(utterances, layer=layers, on_progress=on_progress, strict=strict)
    first, second = in_passes(on_progress, [len(utterances)] * 2)
    features = store.extract(utterances, layer=layers, on_progress=first, strict=strict)
    read = [utterances[row] for row in _rows_of(features.ids, [utterance.id for utterance in utterances])]
    prosody_store = FeatureStore(store.folder.parent, load_encoder("prosody"))
    measured = prosody_store.extract(read, layer="0", on_progress=second, strict=strict)
    rows = _rows_of(measured.ids, features.ids)  # all, but where a file was taken away between the two
    values = features.values if len(rows) == len(features.ids) else features.values[rows]
    repeated = np.broadcast_to(measured.values[:, None], (len(rows), len(layers), len(PROSODY)))
    return replace(
        features,
        values=np.concatenate([values, repeated], axis=2),
        ids=measured.ids,
        skipped=(*features.skipped, *measured.skipped),
    )


def add_prosody(pooled: Tensor, wave: np.ndarray) -> Tensor:
    """(..., V, S * D) of a wave (T,) -> (..., V, S * D + 18), as `extract` has them."""
    numbers = torch.from_numpy(prosody(wave)).expand(*pooled.shape[:-1], -1)
    return torch.cat([pooled, numbers.to(pooled)], -1)


def _rows_of(ids: Sequence[str], of_all: Sequence[str]) -> list[int]:
    """The rows of `of_all` that `ids`, in the same order, are; two may share an id."""
    rows: list[int] = []
    for row, name in enumerate(of_all):
        if len(rows) < len(ids) and name == ids[len(rows)]:
            rows.append(row)
    return rows
