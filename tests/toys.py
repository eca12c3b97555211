"""Cases, splits and folds from flat words, for tests that would spell out whole records else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from emobridge.data import speech as room
from emobridge.data.speech import Fold, Speech, SpeechPhones
from emobridge.options import Plugin
from emobridge.phones.base import PHONE_CLASSES, Alignment, Phone
from emobridge.settings import Split, Training
from emobridge.training.case import Case

SPLIT = frozenset(item.name for item in fields(Split))
TRAINING = frozenset(item.name for item in fields(Training))


def split_of(**options) -> tuple[Split, str]:
    """A split, and whose speakers validate; options that belong to neither are passed over."""
    split = Split(**{name: value for name, value in options.items() if name in SPLIT})
    return split, training_of(**options).validation


def training_of(**options) -> Training:
    return Training(**{name: value for name, value in options.items() if name in TRAINING})


def folds_of(speech: Speech, seed: int = 0, **options) -> tuple[Fold, ...]:
    split, validation = split_of(**options)
    return room.folds_of(speech, split, seed, validation)


def everything(speech: Speech, seed: int = 0, **options) -> Fold:
    split, validation = split_of(**options)
    return room.everything(speech, split, seed, validation)


def with_phones(speech: Speech) -> Speech:
    """The speech with one vowel and one consonant everywhere, whose means are the utterance's own features."""
    count = len(speech.utterances)
    means = None if speech.features is None else speech.features[:, None].repeat_interleave(len(PHONE_CLASSES), 1)
    alignment = Alignment((Phone(0.0, 0.2, "a", "vowel", "a"), Phone(0.2, 0.4, "t", "consonant", "t")))
    present = np.ones((count, len(PHONE_CLASSES)), dtype=bool)
    alignments = () if means is not None else (alignment,) * count
    return replace(speech, phones=SpeechPhones(PHONE_CLASSES, present, means, alignments))


def case_of(**options) -> Case:
    """A case of two emotions; method and head by name with their words in method_options and head_options."""
    values = {"labels": ("anger", "sadness"), "method": "source-only", "head": "single", **options}
    for name in ("method", "head"):
        values[name] = Plugin.parse(values[name], values.pop(f"{name}_options", ()))
    own = {name: value for name, value in values.items() if name not in SPLIT | TRAINING}
    return Case(**own, training=training_of(**options))
