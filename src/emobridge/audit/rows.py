"""What can be said of manifests from their rows alone, without any audio, in time linear in the number of rows."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emobridge.audit.finding import Finding, first_names, number_of
from emobridge.data.labels import EMOTIONS, likely_emotion
from emobridge.types import Utterance, person, person_labels

ONE_SIDED = 0.8  # of a speaker's utterances in one emotion
LABELS = 20  # unknown labels that have a finding each: a column of sentences may be taken for emotions

Rows = Sequence[Utterance]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """How many utterances of a manifest have the same emotion, speaker or language."""

    manifest: str
    column: str  # "emotion", "speaker" or "language"
    value: str  # "" where it is not known
    n: int


def check_rows(manifests: Mapping[str, Rows]) -> tuple[Finding, ...]:
    """What is wrong with labels, speakers, splits and texts of each manifest, and with the speakers of each pair."""
    findings: list[Finding] = []
    for name, rows in manifests.items():
        people = person_labels(rows)
        findings += [*_labels(name, rows), *_speakers(name, rows, people), *_splits(name, rows, people)]
        findings += _texts(name, rows)
    return (*findings, *_shared_speakers(manifests))


def count_values(name: str, rows: Rows) -> Iterator[ValueCount]:
    """The utterances of a manifest by emotion, by speaker and by language, sorted by value."""
    columns: dict[str, Iterator[str | None]] = {
        "emotion": (row.emotion for row in rows),
        "speaker": iter(person_labels(rows)),
        "language": (row.language for row in rows),
    }
    for column, values in columns.items():
        for value, n in sorted(Counter(value or "" for value in values).items()):
            yield ValueCount(name, column, value, n)


def _labels(name: str, rows: Rows) -> Iterator[Finding]:
    unknown: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.emotion and row.emotion not in EMOTIONS:
            unknown[row.emotion].append(row.id)
    by_count = sorted(unknown, key=lambda label: (-len(unknown[label]), label))
    for label in sorted(by_count[:LABELS]):
        guess = likely_emotion(label)
        hint = f"; did you mean {guess!r}?" if guess else ""
        message = f"{name}: {len(unknown[label])} have the emotion {label!r}{hint}"
        yield Finding("unknown label", "error", message, tuple(unknown[label]))
    if rare := by_count[LABELS:]:
        ids = tuple(utterance for label in rare for utterance in unknown[label])
        message = f"{name}: {len(ids)} have another {len(rare)} emotions that are not known: {first_names(rare)}"
        yield Finding("unknown label", "error", message, ids)
    missing = tuple(row.id for row in rows if row.emotion is None)
    if 0 < len(missing) < len(rows):
        yield Finding("unlabelled", "note", f"{name}: {len(missing)} of {len(rows)} have no label", missing)


def _speakers(name: str, rows: Rows, people: Sequence[str | None]) -> Iterator[Finding]:
    missing = tuple(row.id for row in rows if row.speaker is None)
    if missing:
        message = f"{name}: {len(missing)} have no speaker, so that no split can keep speakers apart: "
        yield Finding("missing speaker", "warning", message + first_names(missing), missing)
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    speakers_of: dict[str, dict[str, None]] = defaultdict(dict)
    for speaker, row in zip(people, rows):
        if speaker is not None:
            shown[speaker].update([row.emotion] if row.emotion else [])
            if row.emotion:
                speakers_of[row.emotion][speaker] = None
    if len(shown) == 1:
        message = f"{name}: a single speaker, so nothing can be claimed of others"
        yield Finding("single speaker", "warning", message, (next(iter(shown)),))
    if len(shown) < 2 or len(speakers_of) < 2:
        return
    for emotion in sorted(emotion for emotion in speakers_of if emotion in EMOTIONS):
        who = tuple(speakers_of[emotion])
        if len(who) == 1:
            message = f"{name}: {emotion} has only the speaker {who[0]}, so that the voice gives it away"
            yield Finding("class of one speaker", "warning", message, who)
    yield from _one_sided(name, {speaker: counts for speaker, counts in shown.items() if counts})


def _one_sided(name: str, labelled: Mapping[str, Counter[str]]) -> Iterator[Finding]:
    one_sided = tuple(s for s, counts in labelled.items() if max(counts.values()) >= ONE_SIDED * sum(counts.values()))
    if one_sided:
        share = f"{len(one_sided)} of {len(labelled)} speakers"
        message = (
            f"{name}: {share} show mostly one emotion ({first_names(one_sided)}); "
            "normalisation by speaker would remove the emotion"
        )
        severity = "warning" if len(one_sided) >= len(labelled) / 4 else "note"
        yield Finding("one-sided speakers", severity, message, one_sided)


def _splits(name: str, rows: Rows, people: Sequence[str | None]) -> Iterator[Finding]:
    parts: dict[str, set[str]] = defaultdict(set)
    for speaker, row in zip(people, rows):
        if row.split and speaker is not None:
            parts[speaker].add(row.split)
    both = tuple(speaker for speaker, splits in sorted(parts.items()) if len(splits) > 1)
    if both:
        message = f"{name}: {number_of(len(both), 'speaker')} in several of its splits: {first_names(both)}"
        yield Finding("splits share speakers", "error", message, both)


def _texts(name: str, rows: Rows) -> Iterator[Finding]:
    readers: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        speaker = person(row)
        if row.text and speaker is not None:
            readers[row.text].add(speaker)
    everyone = set().union(*readers.values())
    shared = [text for text, people in readers.items() if people == everyone]
    if len(everyone) > 1 and shared:
        message = f"{name}: {len(shared)} of {len(readers)} texts are said by all {len(everyone)} speakers"
        yield Finding("same text", "note", f"{message}, so that training and test parts share their texts")


def _shared_speakers(manifests: Mapping[str, Rows]) -> Iterator[Finding]:
    people = {
        name: {str(person(row)): row.speaker for row in rows if row.speaker is not None}
        for name, rows in manifests.items()
    }
    for (first, first_people), (second, second_people) in itertools.combinations(people.items(), 2):
        both = tuple(speaker for key, speaker in sorted(first_people.items()) if key in second_people)
        if both:
            shared = f"{number_of(len(both), 'speaker')} in both: {first_names(both)}"
            yield Finding("shared speakers", "error", f"{first} and {second}: {shared}", both)
