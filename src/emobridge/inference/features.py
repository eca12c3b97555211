"""What branches see of utterances: features of the recogniser's layers, through each set of adapters that is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.adapters import use_adapters
from emobridge.bundle import Recognizer
from emobridge.bundle.sets import Set, encode_by_set
from emobridge.data.audio import AudioError, read_utterance
from emobridge.data.batching import pad
from emobridge.data.devices import device_of, single_precision
from emobridge.encoders.base import stopped_after
from emobridge.features.extraction import add_prosody, extract
from emobridge.features.finite import check_finite
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore, last_of
from emobridge.files import cache_folder
from emobridge.progress import Progress
from emobridge.settings import layer_names
from emobridge.types import Utterance

Skip = Callable[[str, str], None]  # called with an id and the reason
FeaturesBySet = dict[Set, dict[int, Tensor]]  # by set of adapters and row of the utterances: as `encode` has them


def encode(recognizer: Recognizer, waves: Sequence[np.ndarray], sets: Sequence[Set]) -> list[Tensor]:
    """N waves (T_i,), each through its set of adapters -> N times (V, S * D) features of the recogniser's layers, with
    prosody behind them where its branches were trained with it; or (1, F_i, V * D) frames where its heads see them.
    """
    encoder, layers = recognizer.encoder, list(map(int, layer_names(recognizer.spec.layer)))
    features: list[Tensor] = [torch.empty(0)] * len(waves)
    device = device_of(encoder)
    wave, mask = (part.to(device) for part in pad(waves))
    with torch.inference_mode(), single_precision(device), stopped_after(encoder, max(layers)):
        for rows, every_layer in encode_by_set(encoder, wave, mask, sets):
            encoded = replace(every_layer, hidden=every_layer.hidden[layers])
            if recognizer.spec.frames:
                for index, row in enumerate(rows):
                    frames = encoded.hidden[:, index, encoded.mask[index]]
                    features[row] = frames.transpose(0, 1).flatten(1)[None].cpu()
                continue
            for row, pooled in zip(rows, pool(encoded, encoder.statistics).transpose(0, 1).cpu()):
                features[row] = add_prosody(pooled, waves[row]) if recognizer.spec.prosody else pooled
    return features


def stored_features(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    sets: Sequence[Sequence[Set]],
    store: str | Path | None,
    on_skip: Skip | None = None,
    on_progress: Progress | None = None,
) -> tuple[FeaturesBySet, list[int]]:
    """Features of each utterance by its sets of adapters, each set with a key of its own in the store; and the rows
    that could be read.

    Errors: AudioError for a bad file where there is no `on_skip`.
    """
    features: FeaturesBySet = {}
    reasons: dict[int, str] = {}
    layers = layer_names(recognizer.spec.layer)
    for adapters in dict.fromkeys(adapters for row_sets in sets for adapters in row_sets):
        rows = [row for row, row_sets in enumerate(sets) if adapters in row_sets]
        if recognizer.spec.frames:  # the store keeps statistics alone
            unread = None if on_skip is None else reasons
            features[adapters] = _frames(recognizer, utterances, rows, adapters, unread, on_progress)
            continue
        with use_adapters(recognizer.encoder, adapters):
            extracted = extract(
                FeatureStore(store or cache_folder(), recognizer.encoder, last_layer=last_of(layers)),
                [utterances[row] for row in rows],
                layers=layers,
                with_prosody=recognizer.spec.prosody,
                on_progress=on_progress,
                strict=on_skip is None,
            )
        skipped = dict(extracted.skipped)
        bad = {row: skipped[utterances[row].id] for row in rows if utterances[row].id in skipped}
        reasons |= bad
        features[adapters] = dict(zip([row for row in rows if row not in bad], torch.from_numpy(extracted.values)))
    for row in sorted(reasons):
        if on_skip is not None:
            on_skip(utterances[row].id, reasons[row])
    return features, [row for row in range(len(utterances)) if row not in reasons]


def _frames(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    rows: Sequence[int],
    adapters: Set,
    reasons: dict[int, str] | None,
    on_progress: Progress | None,
) -> dict[int, Tensor]:
    """Frames of the utterances in `rows`, clip by clip.

    Rows that cannot be read, or give numbers that are not finite, are put into `reasons` and left out.
    Errors: AudioError for such a row where `reasons` is None.
    """
    frames = {}
    for count, row in enumerate(rows, start=1):
        utterance = utterances[row]
        try:
            wave = read_utterance(utterance)
            frames[row] = encode(recognizer, [wave], [adapters])[0]
            check_finite(frames[row], utterance, recognizer.encoder.name)
        except AudioError as error:
            if reasons is None:
                raise
            reasons[row] = str(error)
            frames.pop(row, None)
        if on_progress:
            on_progress(count, len(rows))
    return frames
