"""The manifests of a request as one Speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emobridge.corpora import attribute_ranges, utterances_at
from emobridge.data.attributes import attributes_of, check_corpora, parse_ranges
from emobridge.data.intake import speakers_note
from emobridge.data.labels import EMOTIONS, to_emotion
from emobridge.data.speech import UNLABELLED, Speech
from emobridge.errors import UserError, unknown
from emobridge.features.source_moments import SourceMoments
from emobridge.settings import Data
from emobridge.study.label_list import LabelList, count_labels, language_of, read_list, with_labels
from emobridge.types import ATTRIBUTES, Utterance


class Manifests:
    """The utterances at paths, as `corpora.utterances_at` gives them; each path is read once."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Utterance, ...]] = {}

    def at(self, path: str, on_note: Callable[[str], None] | None = None) -> tuple[Utterance, ...]:
        """All utterances at a path. on_note: as there, where it is read. Errors: UserError, as there."""
        if path not in self._rows:
            self._rows[path] = tuple(utterances_at(path, on_note))
        return self._rows[path]


def read_speech(
    data: Data,
    labels: tuple[str, ...],
    *,
    manifests: Manifests | None = None,
    share_speakers: bool = False,
    on_note: Callable[[str], None] | None = None,
    source_moments: SourceMoments | None = None,
) -> tuple[Speech, int]:
    """The utterances of a request, and how many of the target were left out: their emotion is not among the labels.

    labels: as `labels_of` gives them. Within each manifest utterances are ordered by corpus, speaker and id, so that
    the order of its rows changes nothing. The target has the labels of the list `data.labelled` too, and of all its
    labels only those may be seen. source_moments: in place of source manifests.
    manifests: what was read before, and what is read here is added to.
    on_note: gets how folders were read, and what unknown speakers of the target cost.
    Errors: UserError for a bad manifest or list, an emotion or attribute that no source has, an attribute outside its
    corpus's range, ids that stand in two manifests, and speakers on both sides.
    """
    manifests = manifests or Manifests()
    sources = [_in_order(_learnable(path, manifests.at(path, on_note), data, labels)) for path in data.source]
    rows = manifests.at(data.target, on_note)
    _note_speakers(data.target, rows, on_note)
    listed = read_list(data.labelled, language_of(rows)) if data.labelled else LabelList()
    listed = listed.matched(rows, data.target)
    if on_note:
        for note in listed.notes:
            on_note(note)
    target = with_labels(rows, listed.labels, labels, data.target)
    keeps_all = data.attributes_only or data.pool == "open"
    adapted = [row for row in target if keeps_all or row.emotion is None or row.emotion in labels]
    if not adapted:
        raise UserError(f"{data.target}: no utterance is unlabelled or of {', '.join(labels)}")
    adapted = _in_order(adapted)
    source = [row for own in sources for row in own]
    utterances = source + adapted
    names = dict.fromkeys(row.corpus for row in source)
    if source_moments is not None:
        names = dict.fromkeys(corpus for corpus, _ in source_moments.corpora)
    domains = {corpus: index for index, corpus in enumerate(names)}
    check_ids(utterances)
    items = _items(utterances, labels, data.items)
    _check_sides(source, adapted, data.target, share_speakers)
    if source_moments is None:
        _check_classes(source, labels)
    attributes = _attributes(utterances, len(source), data) if data.attributes else None
    index_of = {label: index for index, label in enumerate(labels)}
    label = np.array([index_of.get(row.emotion or "", UNLABELLED) for row in utterances], dtype=np.int64)
    if attributes is not None and data.attributes_only:
        label = np.where(np.isnan(attributes).all(1), UNLABELLED, 0)
    return Speech(
        tuple(utterances),
        label,
        np.array([domains[row.corpus] for row in source] + [len(domains)] * len(adapted)),
        len(domains),
        visible=frozenset(row.id for row in listed.labels) if listed.labels else None,
        items=items,
        attributes=attributes,
        source_moments=source_moments,
    ), len(target) - len(adapted)


def labels_of(data: Data) -> tuple[str, ...]:
    """The emotions of a request as the vocabulary spells them; those that all sources have where it names none.

    Errors: UserError for a label that is no emotion, one that stands twice, and fewer than two in common.
    """
    if data.labels is None:
        notes: list[str] = []
        common = [{row.emotion for row in utterances_at(path, notes.append)} for path in data.source]
        shared = tuple(emotion for emotion in EMOTIONS if all(emotion in present for present in common))
        if len(shared) < 2 and not data.attributes:
            names = ", ".join(data.source)
            why = next((f" ({note})" for note in notes if ": unlabelled: " in note), "")
            raise UserError(
                f"{names}: expected two or more emotions that every source has, and there are {len(shared)}: "
                f"is --source the labelled speech, and --target the new language?{why}"
            )
        return shared if len(shared) >= 2 else ()
    return spell_emotions(data.labels)


def spell_emotions(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels as the vocabulary spells them. Errors: UserError for one that is no emotion, or stands twice."""
    emotions = []
    for label in labels:
        emotion = to_emotion(label)
        if emotion is None:
            raise unknown("emotion", label, EMOTIONS)
        emotions.append(emotion)
    if len(set(emotions)) < len(emotions):
        raise UserError(f"labels: {','.join(labels)} name an emotion twice")
    return tuple(emotions)


def target_labels_of(data: Data) -> str:
    """The label budget: the number of labels in the list, where there is one and no other number is asked for.

    Errors: UserError for a bad list.
    """
    if not data.labelled or data.target_labels not in ("0", "all"):
        return data.target_labels
    return str(count_labels(data.labelled))


def _in_order(rows: Sequence[Utterance]) -> list[Utterance]:
    return sorted(rows, key=lambda row: (row.corpus, row.speaker or "", row.id))


def _attributes(utterances: Sequence[Utterance], sources: int, data: Data) -> np.ndarray:
    """(N, K) in [-1, 1] of the attributes asked for; the first `sources` utterances are of the source."""
    ranges = parse_ranges(data.attribute_range)
    check_corpora(ranges, utterances)
    values = attributes_of(utterances, attribute_ranges(utterances, ranges))
    values = values[:, [ATTRIBUTES.index(name) for name in data.attributes]]
    for name, column in zip(data.attributes, values[:sources].T):
        if np.isnan(column).all():
            raise UserError(f"the source has no utterance whose {name} is known")
    return values


def _learnable(path: str, rows: Sequence[Utterance], data: Data, labels: Sequence[str]) -> list[Utterance]:
    """The utterances of a source that can be learnt from."""
    if data.attributes_only:
        rated = [row for row in rows if any(getattr(row, name) is not None for name in data.attributes)]
        if not rated:
            raise UserError(f"{path}: has no utterance whose {', '.join(data.attributes)} is known")
        return rated
    labelled = [row for row in rows if row.emotion in labels]
    if not labelled:
        present = ", ".join(sorted({row.emotion for row in rows if row.emotion})) or "no labels at all"
        raise UserError(f"{path}: has no utterance of {', '.join(labels)}; it has {present}")
    return labelled


def _note_speakers(path: str, rows: Sequence[Utterance], on_note: Callable[[str], None] | None) -> None:
    """A note on what it costs that speakers of the target are not known."""
    nameless = sum(row.speaker is None for row in rows)
    if on_note and nameless and not Path(path).is_dir():  # the notes of a folder have it
        on_note(f"{path}: {speakers_note(nameless, len(rows))}")


def check_ids(utterances: Sequence[Utterance]) -> None:
    """Errors: UserError for an id that stands twice."""
    for name, count in Counter(row.id for row in utterances).items():
        if count > 1:
            raise UserError(
                f"the id {name!r} stands in two manifests of this run: ids must differ; of folders they begin with the "
                "name of the folder"
            )


def _items(utterances: Sequence[Utterance], labels: Sequence[str], paths: Sequence[str]) -> frozenset[str]:
    """The ids in some manifests. Errors: UserError for one that is no labelled utterance of this run."""
    labelled = {(row.corpus, row.id) for row in utterances if row.emotion in labels}
    ids: set[str] = set()
    for path in paths:
        for row in utterances_at(path):
            if (row.corpus, row.id) not in labelled:
                names = ", ".join(labels)
                raise UserError(f"{path}: {row.id!r} of {row.corpus} is no utterance of this run that is {names}")
            ids.add(row.id)
    return frozenset(ids)


def _check_sides(source: Sequence[Utterance], target: Sequence[Utterance], path: str, share_speakers: bool) -> None:
    people = {(row.corpus, row.speaker) for row in source if row.speaker}
    both = sorted({row.speaker for row in target if (row.corpus, row.speaker) in people and row.speaker})
    if both and not share_speakers:
        raise UserError(f"speakers {', '.join(both[:5])} of {path} are in the source too: scores would leak")


def _check_classes(source: Sequence[Utterance], labels: Sequence[str]) -> None:
    present = {row.emotion for row in source}
    for label in labels:
        if label not in present:
            names = ", ".join(sorted(filter(None, present)))
            raise UserError(f"the source has no utterance of {label!r}; it has {names}")
