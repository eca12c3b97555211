"""The phones of a study's speech, for methods that go by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.data.devices import placed
from emobridge.data.speech import Speech, SpeechPhones
from emobridge.encoders.base import Encoder
from emobridge.features.phone_means import PhoneMeans
from emobridge.files import cache_folder
from emobridge.phones.base import PHONE_CLASSES, Alignment
from emobridge.phones.reading import read_alignments
from emobridge.progress import Progress
from emobridge.settings import Output

READ_AT_ONCE = 1024  # utterances: of each, all classes of phones are read, and most methods keep one


def with_phones(
    speech: Speech, classes: Sequence[str], folder: str, encoder: Encoder, output: Output, report: Progress
) -> Speech:
    """The speech with its phones of some of PHONE_CLASSES; with their means where it has stored features.

    folder: of alignments; "" is the manifests' column. Errors: UserError as `read_alignments` has them.
    """
    alignments = read_alignments(speech.utterances, Path(folder) if folder else None)
    ordered = [alignments.get(utterance.id) for utterance in speech.utterances]
    present = np.array([[bool(row and row.of_class(name)) for name in classes] for row in ordered], dtype=bool)
    if speech.features is None:
        return replace(speech, phones=SpeechPhones(tuple(classes), present, None, tuple(ordered)))
    with placed(encoder, output.device):
        means = _means(speech, classes, alignments, encoder, output.store or cache_folder(), report)
    present &= means.isfinite().all(3).all(2).numpy()  # some lie behind the end of their audio
    return replace(speech, phones=SpeechPhones(tuple(classes), present, means))


def _means(
    speech: Speech,
    classes: Sequence[str],
    alignments: Mapping[str, Alignment],
    encoder: Encoder,
    store: str | Path,
    report: Progress,
) -> Tensor:
    """(N, P, V, D) of the classes and of the layers of the speech's features."""
    stored = PhoneMeans(encoder, speech.utterances, alignments, store)
    stored.fill(on_progress=report)
    layers, columns = list(map(int, speech.layers)), [PHONE_CLASSES.index(name) for name in classes]
    count = len(speech.utterances)
    means = torch.empty(count, len(columns), len(layers), encoder.width)
    for first in range(0, count, READ_AT_ONCE):
        rows = range(first, min(first + READ_AT_ONCE, count))
        means[first : rows.stop] = stored.read(rows, layers)[:, columns]
    return means
