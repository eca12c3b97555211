"""The manifests of a run as one Speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emobridge.corpora import attribute_ranges
from emobridge.data.attributes import attributes_of
from emobridge.data.labels import EMOTIONS, to_emotion
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import UNLABELLED, Speech
from emobridge.errors import UserError, unknown
from emobridge.settings import Settings
from emobridge.study.label_list import read_list, with_labels
from emobridge.types import ATTRIBUTES, Utterance, person


def read_speech(settings: Settings) -> tuple[Speech, int]:
    """The utterances of a run, and how many of the target were left out: their emotion is not among the labels.

    The settings' labels must be spelt as the vocabulary has them; see `emotions`.

    The target has the labels of the list `settings.labelled` too, and of all its labels only those may be seen.
    Errors: UserError for a bad manifest or list, an emotion or attribute that no source has, an attribute outside its
    corpus's range, ids that stand in two manifests, and speakers on both sides.
    """
    labels = settings.labels
    sources = [_labelled(path, settings) for path in settings.source]
    target = list(read_manifest(settings.target))
    given = read_list(settings.labelled) if settings.labelled else ()
    target = with_labels(target, given, labels, settings.target)
    every = settings.alone or settings.pool == "open"
    kept = [one for one in target if every or one.emotion is None or one.emotion in labels]
    if not kept:
        raise UserError(f"{settings.target}: no utterance is unlabelled or of {', '.join(labels)}")
    corpora = [(path, rows) for path, rows in zip(settings.source, sources)]
    domains = _domains([one for _, rows in corpora for one in rows])
    utterances = [one for _, rows in corpora for one in rows] + kept
    _check_ids(utterances)
    _check_sides([one for _, rows in corpora for one in rows], kept, settings)
    _check_classes([one for _, rows in corpora for one in rows], labels)
    names = dict.fromkeys(one.corpus for one in utterances)
    for name in settings.by_corpus:
        if name not in names:
            raise unknown("corpus of this run", name, names)
    attributes = _attributes(utterances, len(utterances) - len(kept), settings) if settings.attributes else None
    place = {name: number for number, name in enumerate(labels)}
    label = np.array([place.get(one.emotion or "", UNLABELLED) for one in utterances], dtype=np.int64)
    if attributes is not None and settings.alone:
        label = np.where(np.isnan(attributes).all(1), UNLABELLED, 0)
    return Speech(
        tuple(utterances),
        label,
        np.array([domains[one.corpus] for one in utterances[: -len(kept)]] + [len(domains)] * len(kept)),
        len(domains),
        given=frozenset(one.id for one in given) if given else None,
        attributes=attributes,
    ), len(target) - len(kept)


def budgeted(settings: Settings) -> Settings:
    """The settings with the number of labels in their list as budget, where they name none or "all".

    Errors: UserError for a bad list.
    """
    if not settings.labelled or settings.target_labels not in ("0", "all"):
        return settings
    return replace(settings, target_labels=str(len(read_list(settings.labelled))))


def emotions(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as the vocabulary spells them. Errors: UserError for one that is no emotion, or stands twice."""
    found = []
    for label in labels:
        emotion = to_emotion(label)
        if emotion is None:
            raise unknown("emotion", label, EMOTIONS)
        found.append(emotion)
    if len(set(found)) < len(found):
        raise UserError(f"labels: {','.join(labels)} name an emotion twice")
    return tuple(found)


def _attributes(utterances: Sequence[Utterance], sources: int, settings: Settings) -> np.ndarray:
    """(N, K) in [-1, 1] of the attributes asked for; the first `sources` utterances are of the source."""
    found = attributes_of(utterances, attribute_ranges(utterances, undeclared=settings.attribute_range))
    found = found[:, [ATTRIBUTES.index(name) for name in settings.attributes]]
    for name, values in zip(settings.attributes, found[:sources].T):
        if np.isnan(values).all():
            raise UserError(f"the source has no utterance whose {name} is known")
    return found


def _labelled(path: str, settings: Settings) -> list[Utterance]:
    rows, labels = list(read_manifest(path)), settings.labels
    if settings.alone:
        rated = [one for one in rows if any(getattr(one, name) is not None for name in settings.attributes)]
        if not rated:
            raise UserError(f"{path}: has no utterance whose {', '.join(settings.attributes)} is known")
        return rated
    kept = [one for one in rows if one.emotion in labels]
    if not kept:
        found = ", ".join(sorted({one.emotion for one in rows if one.emotion})) or "no labels at all"
        raise UserError(f"{path}: has no utterance of {', '.join(labels)}; it has {found}")
    return kept


def _domains(source: Sequence[Utterance]) -> dict[str, int]:
    return {corpus: number for number, corpus in enumerate(dict.fromkeys(one.corpus for one in source))}


def _check_ids(utterances: Sequence[Utterance]) -> None:
    for name, count in Counter(one.id for one in utterances).items():
        if count > 1:
            raise UserError(f"the id {name!r} stands in two manifests of this run: ids must differ")


def _check_sides(source: Sequence[Utterance], target: Sequence[Utterance], settings: Settings) -> None:
    people = {person(one) for one in source}
    both = sorted({one.speaker for one in target if one.speaker is not None and person(one) in people})
    if both and not settings.share_speakers:
        raise UserError(f"speakers {', '.join(both[:5])} of {settings.target} are in the source too: scores would leak")


def _check_classes(source: Sequence[Utterance], labels: Sequence[str]) -> None:
    found = {one.emotion for one in source}
    for label in labels:
        if label not in found:
            raise UserError(
                f"the source has no utterance of {label!r}; it has {', '.join(sorted(filter(None, found)))}"
            )
