"""What a fit depends on beside its case, as short names: each utterance that it sees, by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields

from emobridge.cache import key_of
from emobridge.data.audio import audio_digest
from emobridge.data.speech import Fold, Speech
from emobridge.data.splits import Part
from emobridge.methods.base import Stage
from emobridge.training.case import Case
from emobridge.types import Utterance

# Of an utterance: all that is neither its file, nor a label, nor read by anything that trains.
NOT_IN_KEYS = {"path", "phones", "emotion", "arousal", "valence", "dominance", "age", "extra"}
IN_KEYS = tuple(field.name for field in fields(Utterance) if field.name not in NOT_IN_KEYS)
# Fields of a case that the result of one stage does not depend on: its method begins with that stage, or differs in
# what later ones do.
BEYOND_A_STAGE = frozenset({"method", "train", "target_labels", "adapters", "adapter_options"})


def row_digests(speech: Speech) -> list[bytes]:
    """A digest of each of N utterances: what is said of it, and its features, or its audio where it has none.

    Audio counts by its content and not by its path or time. Errors: OSError where audio is gone.
    """
    values = None if speech.features is None else speech.features.numpy()
    digests = []
    for row, utterance in enumerate(speech.utterances):
        facts = {name: getattr(utterance, name) for name in IN_KEYS}
        if utterance.channel is None:  # so the keys of versions without channels still hold
            del facts["channel"]
        facts["label"] = int(speech.label[row])
        digest = hashlib.blake2b(key_of(facts).encode(), digest_size=16)
        if speech.attributes is not None:
            digest.update(speech.attributes[row].tobytes())
        digest.update(audio_digest(utterance.path) if values is None else values[row].tobytes())
        if speech.phones is not None:
            digest.update(speech.phones.content(row))
        digests.append(digest.digest())
    return digests


def fit_key(case: Case, speech: Speech, digests: Sequence[bytes], fold: Fold, labelled_target: Part, seed: int) -> str:
    """The key of one fit: its case, its seed, and the utterances of each part of its fold."""
    parts = [fold.source, fold.target, fold.validation, fold.source_test, fold.target_test, labelled_target]
    parts += [fold.items] if fold.items else []  # so that keys without items still hold
    return key_of(case.key, seed, speech.corpora, [_joined(digests, part) for part in parts])


def stage_key(
    case: Case, speech: Speech, fold: Fold, labelled_target: Part, stage: Stage, seed: int, before: str
) -> str:
    """The key of what a stage ends with: what it learns from, how, and the key of the stage before it."""
    rows = [*(fold.source if "source" in stage.sides else ()), *(labelled_target if "target" in stage.sides else ())]
    rows += fold.validation
    if case.normalise != "none":
        rows += [*fold.source, *fold.target]
    values = {name: value for name, value in case.facts().items() if name not in BEYOND_A_STAGE}
    if stage.train == "adapters":
        values["adapters"] = [case.adapters, case.adapter_options]
    seen = row_digests(speech.of(rows))
    return key_of(before, seed, stage.sides, stage.train, values, _joined(seen, range(len(seen))))


def _joined(digests: Sequence[bytes], rows: Sequence[int]) -> bytes:
    return hashlib.blake2b(b"".join(digests[row] for row in rows), digest_size=16).digest()
