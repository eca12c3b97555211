"""What can be said of manifests from their rows alone, without any audio, in time linear in the number of rows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from emobridge.audit.finding import Finding, first_names
from emobridge.data.labels import EMOTIONS, likely_emotion
from emobridge.errors import count_noun
from emobridge.scores.variety import low_variety, variety_of_labels
from emobridge.types import Utterance, person, person_labels

ONE_SIDED = 0.8  # of a speaker's, or a text's, utterances in one emotion
UNKNOWN_NAMED = 20  # unknown labels that have a finding each: a column of sentences may be taken for emotions

UtteranceRows = Sequence[Utterance]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """How many utterances of a manifest have the same emotion, speaker or language."""

    manifest: str
    column: str  # "emotion", "speaker" or "language"
    value: str  # "" where it is not known
    n: int


def check_rows(manifests: Mapping[str, UtteranceRows]) -> tuple[Finding, ...]:
    """What is wrong with labels, speakers, splits and texts of each manifest, and with the speakers of each pair."""
    findings: list[Finding] = []
    for name, rows in manifests.items():
        people = person_labels(rows)
        findings += [*_labels(name, rows), *_speakers(name, rows, people), *_splits(name, rows, people)]
        findings += [*_texts(name, rows, people), *_few_emotions(name, rows, people)]
    return (*findings, *_shared_speakers(manifests))


def count_values(name: str, rows: UtteranceRows) -> Iterator[ValueCount]:
    """The utterances of a manifest by emotion, by speaker and by language, sorted by value."""
    columns: dict[str, Iterator[str | None]] = {
        "emotion": (row.emotion for row in rows),
        "speaker": iter(person_labels(rows)),
        "language": (row.language for row in rows),
    }
    for column, values in columns.items():
        for value, n in sorted(Counter(value or "" for value in values).items()):
            yield ValueCount(name, column, value, n)


def _labels(name: str, rows: UtteranceRows) -> Iterator[Finding]:
    counts = Counter(row.emotion for row in rows if row.emotion and row.emotion not in EMOTIONS)
    by_count = sorted(counts, key=lambda label: (-counts[label], label))
    ids: dict[str, list[str]] = {label: [] for label in by_count[:UNKNOWN_NAMED]}
    rare: list[str] = []  # ids of utterances with other labels
    for row in rows:
        if row.emotion is not None and row.emotion in counts:
            ids.get(row.emotion, rare).append(row.id)
    for label, members in sorted(ids.items()):
        guess = likely_emotion(label)
        hint = f"; did you mean {guess!r}?" if guess else ""
        message = f"{name}: {len(members)} have the emotion {label!r}{hint}"
        yield Finding("unknown label", "error", message, tuple(members))
    if rare:
        names = f"{len(by_count) - UNKNOWN_NAMED} emotions that are not known: {first_names(by_count[UNKNOWN_NAMED:])}"
        yield Finding("unknown label", "error", f"{name}: {len(rare)} have another {names}", tuple(rare))
    missing = tuple(row.id for row in rows if row.emotion is None)
    if 0 < len(missing) < len(rows):
        yield Finding("unlabelled", "note", f"{name}: {len(missing)} of {len(rows)} have no label", missing)


def _speakers(name: str, rows: UtteranceRows, people: Sequence[str | None]) -> Iterator[Finding]:
    missing = tuple(row.id for row in rows if row.speaker is None)
    if missing:
        message = f"{name}: {len(missing)} have no speaker, so that no split can keep speakers apart: "
        yield Finding("missing speaker", "warning", message + first_names(missing), missing)
    speakers = dict.fromkeys(speaker for speaker in people if speaker is not None)
    if len(speakers) == 1:
        message = f"{name}: a single speaker, so nothing can be claimed of others"
        yield Finding("single speaker", "warning", message, tuple(speakers))
    counts_of: dict[str, Counter[str]] = {emotion: Counter() for emotion in EMOTIONS}  # of utterances by speaker
    for speaker, row in zip(people, rows):
        if speaker is not None and row.emotion in counts_of:
            counts_of[row.emotion][speaker] += 1
    shown = sorted(emotion for emotion, counts in counts_of.items() if counts)
    if len(speakers) < 2 or len(shown) < 2:
        return
    for emotion in shown:
        who = tuple(counts_of[emotion])
        if len(who) == 1:
            message = f"{name}: {emotion} has only the speaker {who[0]}, so that the voice gives it away"
            yield Finding("class of one speaker", "warning", message, who)


def _few_emotions(name: str, rows: UtteranceRows, people: Sequence[str | None]) -> Iterator[Finding]:
    """Speakers, or texts, that tell the emotion: normalisation by them would take it out."""
    emotions = [row.emotion if row.emotion in EMOTIONS else None for row in rows]
    for group, groups in (("speaker", people), ("text", [row.text for row in rows])):
        measured = variety_of_labels(emotions, groups)
        if measured is None or not measured.is_low:
            continue
        counts: dict[str, Counter[str]] = {}
        for member, emotion in zip(groups, emotions):
            if member and emotion:
                counts.setdefault(member, Counter())[emotion] += 1
        one_sided = tuple(
            member for member, shown in counts.items() if max(shown.values()) >= ONE_SIDED * shown.total()
        )
        mostly = f"; {len(one_sided)} of {len(counts)} show mostly one: {first_names(one_sided)}" if one_sided else ""
        message = f"{name}: {low_variety(measured, group)}{mostly}; normalisation by {group} would remove the emotion"
        yield Finding(f"{group}s tell the emotion", "warning", message, one_sided if group == "speaker" else ())


def _splits(name: str, rows: UtteranceRows, people: Sequence[str | None]) -> Iterator[Finding]:
    pairs = {(speaker, row.split) for speaker, row in zip(people, rows) if row.split and speaker is not None}
    splits = Counter(speaker for speaker, _ in pairs)
    both = tuple(speaker for speaker, count in sorted(splits.items()) if count > 1)
    if both:
        message = f"{name}: {count_noun(len(both), 'speaker')} in several of its splits: {first_names(both)}"
        yield Finding("splits share speakers", "error", message, both)


def _texts(name: str, rows: UtteranceRows, people: Sequence[str | None]) -> Iterator[Finding]:
    readings = Counter(row.text for row, speaker in zip(rows, people) if row.text and speaker is not None)
    everyone = len({speaker for row, speaker in zip(rows, people) if row.text and speaker is not None})
    often = {text for text, count in readings.items() if count >= everyone}  # others cannot be said by all
    pairs = {(row.text, speaker) for row, speaker in zip(rows, people) if row.text in often and speaker is not None}
    readers = Counter(text for text, _ in pairs)
    shared = sum(count == everyone for count in readers.values())
    if everyone > 1 and shared:
        message = f"{name}: {shared} of {len(readings)} texts are said by all {everyone} speakers"
        yield Finding("same text", "note", f"{message}, so that training and test parts share their texts")


def _shared_speakers(manifests: Mapping[str, UtteranceRows]) -> Iterator[Finding]:
    people = {
        name: {str(person(row)): row.speaker for row in rows if row.speaker is not None}
        for name, rows in manifests.items()
    }
    for (first, first_people), (second, second_people) in itertools.combinations(people.items(), 2):
        both = tuple(speaker for key, speaker in sorted(first_people.items()) if key in second_people)
        if both:
            shared = f"{count_noun(len(both), 'speaker')} in both: {first_names(both)}"
            yield Finding("shared speakers", "error", f"{first} and {second}: {shared}", both)
