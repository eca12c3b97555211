"""Means of phones as a method sees them: of stored features normalised as those are, or of an encoder as it now is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emobridge.data.speech import Speech
from emobridge.features.normalisation import Domain, moments
from emobridge.methods.base import Phones
from emobridge.phones.base import VOWELS
from emobridge.training.inputs import Recordings
from emobridge.types import person

EACH_VOWEL = "vowels"  # of `Method.phone_classes`


def phone_classes_of(names: Sequence[str]) -> tuple[str, ...]:
    """Classes of phones, each of VOWELS in place of "vowels".

    >>> phone_classes_of(["consonant"])
    ('consonant',)
    """
    return tuple(name for part in names for name in (VOWELS if part == EACH_VOWEL else (part,)))


def stored_phones(speech: Speech, rows: Sequence[int], classes: Sequence[str], means: Tensor, count: int) -> Phones:
    """The phones of a task whose inputs are these rows of the speech and, behind them, copies without any.

    means: (N, P, D) of the rows, of all classes that the speech has; see `normalised_means`. count: inputs in all.
    """
    columns, present = _columns(speech, rows, classes, count)

    def take(indices: Tensor, generator: torch.Generator) -> Tensor:
        taken = torch.full((len(indices), len(columns), means.shape[2]), torch.nan)
        inside = indices < len(means)
        taken[inside] = means[indices[inside]][:, columns]
        return taken

    return Phones(tuple(classes), present, take)


def recorded_phones(speech: Speech, rows: Sequence[int], classes: Sequence[str], inputs: Recordings) -> Phones:
    """The phones of recordings that are these rows of the speech."""
    columns, present = _columns(speech, rows, classes, len(rows))
    assert speech.phones is not None
    alignments = [speech.phones.alignments[row] for row in rows]

    def take(indices: Tensor, generator: torch.Generator) -> Tensor:
        return inputs.phone_means(indices, [alignments[int(index)] for index in indices], generator)[:, columns]

    return Phones(tuple(classes), present, take)


def normalised_means(speech: Speech, rows: Sequence[int], domains: Sequence[Domain], normalise: str) -> Tensor:
    """(N, P, V * D) of some rows, by the moments that their pooled features (N, V, D) are standardised by."""
    assert speech.phones is not None and speech.phones.means is not None and speech.features is not None
    chosen = np.asarray(rows, dtype=np.int64)
    means = speech.phones.means[torch.from_numpy(chosen)]
    for index, domain in enumerate(domains):
        of_domain = np.flatnonzero(speech.domain_of[chosen] == index)
        if not len(of_domain):
            continue
        utterances = [speech.utterances[row] for row in chosen[of_domain]]
        people = [person(utterance) for utterance in utterances] if normalise == "speaker" else None
        mean, deviation = moments(speech.features[torch.from_numpy(chosen[of_domain])], domain, people)
        indices = torch.from_numpy(of_domain)
        means[indices] = (means[indices] - mean[:, None]) / deviation[:, None]
    return means.flatten(2)


def _columns(speech: Speech, rows: Sequence[int], classes: Sequence[str], count: int) -> tuple[list[int], Tensor]:
    """Where the classes stand among those of the speech, and which of `count` inputs have them, (N, P) bool."""
    phones = speech.phones
    assert phones is not None
    columns = [phones.names.index(name) for name in classes]
    present = torch.zeros(count, len(columns), dtype=torch.bool)
    present[: len(rows)] = torch.from_numpy(phones.present[np.asarray(rows, dtype=np.int64)][:, columns])
    return columns, present
