"""The audit: what is wrong with manifests, alone and in pairs, before a model is trained on them.

Every utterance is decoded once, one at a time; a few numbers and a hash of each stay in memory. A finding is an "error"
(scores would be false), a "warning" (scores may mean less than they seem to) or a "note" (worth knowing).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.audit.confound import Confound, confounds
from emobridge.audit.hearing import DecodedManifest, Sound, decode_manifest
from emobridge.data.audio import SILENT, ReadPieces, utterance_pieces
from emobridge.data.labels import EMOTIONS, likely_emotion
from emobridge.errors import UserError
from emobridge.types import Utterance, person, person_labels

CLIPPED = 0.001  # of the samples at full scale
SHORT = 0.3  # s
BEYOND = 12.0  # dB of full scale, peak: more than mixing, or the overshoot of a decoder, adds
LEVEL_GAP = 6.0  # dB between the mean levels of two manifests
NORMALISED = 0.1  # dB, standard deviation of the peaks
ONE_SIDED = 0.8  # of a speaker's utterances in one emotion
# Limits for Confound.reach. From FAR on, a score on the corpus shows little; from NEAR on, every score should be
# compared with the baseline.
FAR, NEAR = 0.5, 0.2

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of the audit."""

    kind: str  # "duplicate audio", "silent" ...
    severity: str  # of SEVERITIES
    message: str  # one line that begins with the manifest, or manifests
    ids: tuple[str, ...] = ()  # of utterances; of speakers where the message speaks of speakers


@dataclass(frozen=True, slots=True)
class ValueCount:
    """How many utterances of a manifest have the same emotion, speaker or language."""

    manifest: str
    column: str  # "emotion", "speaker" or "language"
    value: str  # "" where it is not known
    n: int


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of some manifests; findings are sorted by severity."""

    sounds: tuple[Sound, ...]  # of each manifest
    counts: tuple[ValueCount, ...]
    confounds: tuple[Confound, ...]
    findings: tuple[Finding, ...]


def audit(
    manifests: Mapping[str, Sequence[Utterance]] | Iterable[tuple[str, Sequence[Utterance]]],
    *,
    read: ReadPieces = utterance_pieces,
    on_progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit manifests by name, and each pair of them as source and target.

    `on_progress(finished, all)` is called after each utterance. Errors: UserError for no manifest, or one without
    utterances; whatever is wrong with utterances is a finding.
    """
    rows_of = dict(manifests)
    total = sum(map(len, rows_of.values()))
    if not rows_of or not all(map(len, rows_of.values())):
        empty = [name for name, rows in rows_of.items() if not rows]
        raise UserError(f"nothing to audit: {', '.join(empty) or 'no manifest'}")
    finished = itertools.count(1)

    def tick() -> None:
        if on_progress is not None:
            on_progress(next(finished), total)

    decoded = [decode_manifest(name, tuple(rows), read, tick) for name, rows in rows_of.items()]
    findings: list[Finding] = []
    baselines: list[Confound] = []
    for manifest in decoded:
        findings += [*_labels(manifest), *_speakers(manifest), *_splits(manifest)]
        findings += [*_sounds(manifest), *_texts(manifest)]
        try:
            readable = [manifest.rows[index] for index in manifest.readable]
            baselines += confounds(manifest.name, readable, manifest.acoustics[manifest.readable])
        except UserError as error:
            findings.append(Finding("confound", "note", f"no baseline of loudness and length: {error}"))
    findings += [*_duplicates(decoded), *_shared_speakers(decoded), *_levels(decoded), *_confounded(baselines)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    counts = tuple(count for manifest in decoded for count in _counts(manifest))
    return Audit(tuple(manifest.sound for manifest in decoded), counts, tuple(baselines), tuple(findings))


def lines(audit: Audit) -> list[str]:
    """The audit as text for a terminal."""
    text: list[str] = []
    for sound in audit.sounds:
        counts = [count for count in audit.counts if count.manifest == sound.manifest]
        speakers = sum(count.column == "speaker" and count.value != "" for count in counts)
        emotions = ", ".join(f"{c.value or 'unlabelled'} {c.n}" for c in counts if c.column == "emotion")
        languages = ", ".join(c.value for c in counts if c.column == "language")
        size = f"{_number(sound.utterances, 'utterance')}, {sound.seconds / 3600:.2f} h"
        text.append(f"{sound.manifest}: {size}, {languages}, {_number(speakers, 'speaker')}; {emotions}")
    for c in audit.confounds:
        text.append(f"{c.manifest}: {_reached(c, 1)} over {len(c.labels)} emotions (chance {c.chance:.1%})")
    return text + [f"{f.severity.upper()} {f.kind}: {f.message}" for f in audit.findings]


def _reached(baseline: Confound, digits: int) -> str:
    """What a baseline reaches, in per cent with some digits."""
    ua, low, high = (f"{value:.{digits}%}" for value in (baseline.ua, baseline.low, baseline.high))
    return f"{baseline.features} alone {'reach' if ' and ' in baseline.features else 'reaches'} UA {ua} [{low}, {high}]"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _first_names(names: Sequence[str]) -> str:
    """The first three of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _counts(manifest: DecodedManifest) -> Iterator[ValueCount]:
    for column in ("emotion", "speaker", "language"):
        values = (
            person_labels(manifest.rows) if column == "speaker" else [getattr(row, column) for row in manifest.rows]
        )
        for value, n in sorted(Counter(value or "" for value in values).items()):
            yield ValueCount(manifest.name, column, value, n)


def _labels(manifest: DecodedManifest) -> Iterator[Finding]:
    unknown = Counter(row.emotion for row in manifest.rows if row.emotion and row.emotion not in EMOTIONS)
    for label in sorted(filter(None, unknown)):
        ids = tuple(row.id for row in manifest.rows if row.emotion == label)
        guess = likely_emotion(label)
        hint = f"; did you mean {guess!r}?" if guess else ""
        yield Finding("unknown label", "error", f"{manifest.name}: {len(ids)} have the emotion {label!r}{hint}", ids)
    missing = tuple(row.id for row in manifest.rows if row.emotion is None)
    if 0 < len(missing) < len(manifest.rows):
        yield Finding(
            "unlabelled", "note", f"{manifest.name}: {len(missing)} of {len(manifest.rows)} have no label", missing
        )


def _speakers(manifest: DecodedManifest) -> Iterator[Finding]:
    missing = tuple(row.id for row in manifest.rows if row.speaker is None)
    if missing:
        message = f"{manifest.name}: {len(missing)} have no speaker, so that no split can keep speakers apart: "
        message += _first_names(missing)
        yield Finding("missing speaker", "warning", message, missing)
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    for speaker, row in zip(person_labels(manifest.rows), manifest.rows):
        if speaker is not None:
            shown[speaker].update([row.emotion] if row.emotion else [])
    if len(shown) == 1:
        message = f"{manifest.name}: a single speaker, so nothing can be claimed of others"
        yield Finding("single speaker", "warning", message, (next(iter(shown)),))
    emotions = sorted({emotion for counts in shown.values() for emotion in counts})
    if len(shown) < 2 or len(emotions) < 2:
        return
    for emotion in emotions:
        who = [speaker for speaker, counts in shown.items() if counts[emotion]]
        if len(who) == 1:
            message = f"{manifest.name}: {emotion} has only the speaker {who[0]}, so that the voice gives it away"
            yield Finding("class of one speaker", "warning", message, tuple(who))
    labelled = {speaker: counts for speaker, counts in shown.items() if counts}
    one_sided = tuple(s for s, counts in labelled.items() if max(counts.values()) >= ONE_SIDED * sum(counts.values()))
    if one_sided:
        share = f"{len(one_sided)} of {len(labelled)} speakers"
        message = (
            f"{manifest.name}: {share} show mostly one emotion ({_first_names(one_sided)}); "
            "normalisation by speaker would remove the emotion"
        )
        severity = "warning" if len(one_sided) >= len(labelled) / 4 else "note"
        yield Finding("one-sided speakers", severity, message, one_sided)


def _splits(manifest: DecodedManifest) -> Iterator[Finding]:
    parts: dict[str, set[str]] = defaultdict(set)
    for speaker, row in zip(person_labels(manifest.rows), manifest.rows):
        if row.split and speaker is not None:
            parts[speaker].add(row.split)
    both = tuple(speaker for speaker, splits in sorted(parts.items()) if len(splits) > 1)
    if both:
        message = f"{manifest.name}: {_number(len(both), 'speaker')} in several of its splits: {_first_names(both)}"
        yield Finding("splits share speakers", "error", message, both)


def _sounds(manifest: DecodedManifest) -> Iterator[Finding]:
    cut = [index for index, why in manifest.failures.items() if "cut short" in why]
    bad = [index for index in manifest.failures if index not in set(cut)]
    _, peak, seconds = manifest.acoustics.T  # comparisons with NaN are False
    too_loud = f"have samples beyond {BEYOND:g} dB of full scale: floats that were not scaled to [-1, 1]"
    clipped = f"are clipped ({CLIPPED:.1%} of samples or more at full scale)"
    for kind, severity, what, indices in (
        ("truncated", "error", "are cut short", cut),
        ("unreadable", "error", "cannot be read", bad),
        ("silent", "error", f"are silent (peak below {SILENT:g} dB)", np.flatnonzero(peak <= SILENT)),
        ("header", "warning", "have a wrong header, and were read whole", list(manifest.headers)),
        ("full scale", "warning", too_loud, np.flatnonzero(peak > BEYOND)),
        ("clipped", "warning", clipped, np.flatnonzero((manifest.clipped >= CLIPPED) & (peak <= BEYOND))),
        ("short", "warning", f"are shorter than {SHORT:g} s", np.flatnonzero(seconds < SHORT)),
    ):
        if len(indices):
            ids = manifest.ids(indices)
            first = int(indices[0])
            why = manifest.failures.get(first) or (manifest.headers.get(first) if kind == "header" else None)
            message = f"{manifest.name}: {len(ids)} {what}: {f'{why}; ' if why else ''}{_first_names(ids)}"
            yield Finding(kind, severity, message, ids)
    if len(manifest.readable) > 9 and np.nanstd(peak) < NORMALISED:
        message = f"{manifest.name}: every file was scaled to the same peak, so levels tell little"
        yield Finding("loudness", "note", message)


def _texts(manifest: DecodedManifest) -> Iterator[Finding]:
    readers: dict[str, set[str]] = defaultdict(set)
    for row in manifest.rows:
        speaker = person(row)
        if row.text and speaker is not None:
            readers[row.text].add(speaker)
    everyone = set().union(*readers.values())
    shared = [text for text, people in readers.items() if people == everyone]
    if len(everyone) > 1 and shared:
        message = f"{manifest.name}: {len(shared)} of {len(readers)} texts are said by all {len(everyone)} speakers"
        yield Finding("same text", "note", f"{message}, so that training and test parts share their texts")


def _duplicates(decoded: Sequence[DecodedManifest]) -> Iterator[Finding]:
    copies: dict[bytes, list[tuple[str, Utterance]]] = defaultdict(list)
    for manifest in decoded:
        for digest, row in zip(manifest.digests, manifest.rows):
            if digest:
                copies[digest].append((manifest.name, row))
    groups: dict[tuple[str, str], list[list[Utterance]]] = defaultdict(list)
    for members in copies.values():
        if len(members) > 1:
            names, rows = dict.fromkeys(name for name, _ in members), [row for _, row in members]
            groups[" and ".join(names), _contradictions(rows, len(names))].append(rows)
    for (where, how), group in groups.items():
        pairs = _first_names([" = ".join(row.id for row in rows) for rows in group])
        message = f"{where}: {len(group)} recording(s) are there more than once{f' {how}' if how else ''}: {pairs}"
        ids = tuple(row.id for rows in group for row in rows)
        yield Finding("duplicate audio", "error" if how else "warning", message, ids)


def _contradictions(rows: Sequence[Utterance], manifests: int) -> str:
    """How the rows of one recording contradict each other; "" where they do not. An unknown speaker is no other."""
    facts = {
        "with different emotions": len({row.emotion for row in rows}) > 1,
        "with different speakers": len(set(map(person, rows)) - {None}) > 1,
        "in several manifests": manifests > 1,
    }
    return ", ".join(fact for fact, holds in facts.items() if holds)


def _shared_speakers(decoded: Sequence[DecodedManifest]) -> Iterator[Finding]:
    people = [
        {str(person(row)): row.speaker for row in manifest.rows if row.speaker is not None} for manifest in decoded
    ]
    for (first, first_people), (second, second_people) in itertools.combinations(zip(decoded, people), 2):
        both = tuple(speaker for key, speaker in sorted(first_people.items()) if key in second_people)
        if both:
            shared = f"{_number(len(both), 'speaker')} in both: {_first_names(both)}"
            yield Finding("shared speakers", "error", f"{first.name} and {second.name}: {shared}", both)


def _levels(decoded: Sequence[DecodedManifest]) -> Iterator[Finding]:
    sounds = [manifest.sound for manifest in decoded if len(manifest.readable)]
    for first, second in itertools.combinations(sounds, 2):
        gap = abs(first.level - second.level)
        if gap > LEVEL_GAP:
            message = f"{first.manifest} and {second.manifest}: the mean levels differ by {gap:.0f} dB"
            yield Finding("loudness", "note", f"{message}, which tells the two apart without any speech")


def _confounded(baselines: Iterable[Confound]) -> Iterator[Finding]:
    for baseline in baselines:
        features, reach = baseline.features, baseline.reach
        message = f"{baseline.manifest}: {_reached(baseline, 0)} on new speakers (chance {baseline.chance:.0%})"
        if features == "length" and reach >= NEAR:
            yield Finding("confound", "warning", f"{message}: lengths betray the emotion")
        elif features == "loudness and length" and reach >= FAR:
            yield Finding("confound", "warning", f"{message}: scores on this corpus mean little")
        elif features == "loudness and length" and reach >= NEAR:
            yield Finding("confound", "note", f"{message}: compare every score with it")
