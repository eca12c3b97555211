"""CONSTRUCTED attributes: numbers computed from the sound of real speech, where nobody rated it.

    THESE ARE NOT RATINGS. Nobody rated arousal, valence or dominance of these recordings. The three numbers are
    acoustic measures under borrowed names, and a score on them says nothing of emotion. They have one purpose: to test
    that the regression of attributes learns on real speech, where a corpus has no ratings.

    arousal    <-  level: RMS in dB                                       (data.prosody.level)
    valence    <-  pitch: log of the median F0 over voiced frames          (data.prosody.pitch)
    dominance  <-  rate: syllable-like peaks of energy a second            (data.prosody.rate)

Each is standardised over all utterances of its corpus, z = (x - mean) / deviation, and squashed to tanh(z / 2), within
(-1, 1): two deviations are 0.76. A corpus is renamed to "<name>-constructed", in the manifest and so in every table
that is made from it, and `data.attributes.is_constructed` knows it by that name.

What to expect: level and F0 depend on the microphone and the voice more than on the utterance, so that normalisation by
speaker removes most of them. In EmoDB anger is not louder than sadness. Any encoder that keeps energy and pitch does
well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emobridge.data.attributes import CONSTRUCTED_ENDING, is_constructed
from emobridge.data.audio import SILENT, Read, read_utterance
from emobridge.data.prosody import level, pitch, rate
from emobridge.errors import UserError
from emobridge.types import Utterance

WARNING = (
    "CONSTRUCTED, no ratings: arousal is the level, valence the pitch, dominance the rate of the recordings; "
    "a score on them says nothing of emotion"
)


def construct(
    utterances: Sequence[Utterance],
    *,
    read: Read = read_utterance,
    on_skip: Callable[[str, str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Utterance]:
    """The utterances with CONSTRUCTED attributes in place of any that they had, their corpora renamed.

    An attribute is None where it cannot be measured: all three of a silent clip (peak below -60 dB), valence of a clip
    without a voiced frame, and an attribute that does not vary within its corpus. An utterance that cannot be read is
    left out, and `on_skip(id, reason)` is called; without `on_skip` its error is raised.
    Errors: UserError for a corpus that is constructed already, an unreadable file, and where nothing can be read.
    """
    for utterance in utterances:
        if is_constructed(utterance.corpus):
            raise UserError(f"{utterance.corpus}: its attributes are constructed already")
    readable, measured = [], []
    for done, utterance in enumerate(utterances, 1):
        try:
            measured.append(measures(read(utterance)))
            readable.append(utterance)
        except UserError as error:
            if on_skip is None:
                raise
            on_skip(utterance.id, str(error))
        if on_progress:
            on_progress(done, len(utterances))
    if not readable:
        raise UserError(f"none of {len(utterances)} utterances can be read; nothing to construct attributes from")
    values = np.array(measured)
    corpora = np.array([utterance.corpus for utterance in readable])
    for corpus in set(corpora):
        values[corpora == corpus] = squashed(values[corpora == corpus])
    return [_with(utterance, row) for utterance, row in zip(readable, values)]


def measures(wave: NDArray[np.float32]) -> tuple[float, float, float]:
    """Level in dB, log of F0 in Hz, and syllable-like peaks a second; NaN where they cannot be measured."""
    if 20 * np.log10(float(np.abs(wave).max()) + 1e-6) <= SILENT:
        return np.nan, np.nan, np.nan
    return level(wave), float(np.log(pitch(wave))), rate(wave)


def squashed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, K) measures -> tanh(z / 2) in (-1, 1), z by column over what is not NaN; NaN where a column does not vary."""
    measured = ~np.isnan(values)
    count = np.maximum(measured.sum(0), 1)
    away = values - np.where(measured, values, 0.0).sum(0) / count
    deviation = np.sqrt(np.where(measured, away**2, 0.0).sum(0) / count)
    half = np.divide(away, 2 * deviation, out=np.full_like(values, np.nan), where=deviation > 1e-9)
    return np.asarray(np.tanh(half))


def _with(utterance: Utterance, values: NDArray[np.float64]) -> Utterance:
    arousal, valence, dominance = (None if np.isnan(value) else round(float(value), 4) for value in values)
    name = utterance.corpus + CONSTRUCTED_ENDING
    return replace(utterance, corpus=name, arousal=arousal, valence=valence, dominance=dominance)
