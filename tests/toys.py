"""Cases, splits and folds from flat words, for tests that would spell out whole records else."""

from __future__ import annotations

from dataclasses import fields

from emobridge.data import speech as room
from emobridge.data.speech import Fold, Speech
from emobridge.options import Plugin
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


def case_of(**options) -> Case:
    """A case of two emotions; method and head by name with their words in method_options and head_options."""
    values = {"labels": ("anger", "sadness"), "method": "source-only", "head": "single", **options}
    for name in ("method", "head"):
        values[name] = Plugin.parse(values[name], values.pop(f"{name}_options", ()))
    own = {name: value for name, value in values.items() if name not in SPLIT | TRAINING}
    return Case(**own, training=training_of(**options))
