"""What is wrong with manifests, alone and together, before anybody trains on them.

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
from emobridge.audit.hearing import Heard, Sound, listen
from emobridge.data.audio import SILENT, Read, read_audio
from emobridge.data.labels import EMOTIONS
from emobridge.errors import UserError, nearest
from emobridge.types import Utterance, person, person_labels

CLIPPED = 0.001  # of the samples at full scale
SHORT = 0.3  # s
LEVEL_GAP = 6.0  # dB between the mean levels of two manifests
NORMALISED = 0.1  # dB, standard deviation of the peaks
ONE_SIDED = 0.8  # of a speaker's utterances in one emotion
# Of the way from chance to perfect, for the lower bound of what loudness and length reach (Confound.reach). Half of it
# leaves a recogniser little to show; from a fifth on, scores should stand beside the baseline.
FAR, NEAR = 0.5, 0.2

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should know before training."""

    kind: str  # "duplicate audio", "silent" ...
    severity: str  # of SEVERITIES
    message: str  # one line that begins with the manifest, or manifests
    ids: tuple[str, ...] = ()  # of utterances; of speakers where the message speaks of speakers


@dataclass(frozen=True, slots=True)
class Count:
    """How many utterances of a manifest have one emotion, speaker or language; "" is none."""

    manifest: str
    column: str  # "emotion", "speaker" or "language"
    value: str
    n: int


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was found; findings are sorted by severity."""

    sounds: tuple[Sound, ...]  # one a manifest
    counts: tuple[Count, ...]
    confounds: tuple[Confound, ...]
    findings: tuple[Finding, ...]


def audit(
    manifests: Mapping[str, Sequence[Utterance]] | Iterable[tuple[str, Sequence[Utterance]]],
    *,
    read: Read = read_audio,
    on_progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Look at named manifests, and at each pair of them as at source and target.

    `on_progress(finished, all)` follows each utterance. Errors: UserError where there is no manifest, or one without
    utterances; whatever is wrong inside is a finding.
    """
    named = dict(manifests)
    total = sum(map(len, named.values()))
    if not named or not all(map(len, named.values())):
        raise UserError(f"nothing to audit: {', '.join(name for name in named if not named[name]) or 'no manifest'}")
    finished = itertools.count(1)

    def tick() -> None:
        if on_progress is not None:
            on_progress(next(finished), total)

    heard = [listen(name, tuple(rows), read, tick) for name, rows in named.items()]
    findings: list[Finding] = []
    baselines: list[Confound] = []
    for each in heard:
        findings += [*_labels(each), *_speakers(each), *_splits(each), *_sounds(each), *_texts(each)]
        try:
            rows = [each.rows[index] for index in each.readable]
            baselines += confounds(each.name, rows, each.acoustics[each.readable])
        except UserError as error:
            findings.append(Finding("confound", "note", f"no baseline of loudness and length: {error}"))
    findings += [*_duplicates(heard), *_shared_speakers(heard), *_levels(heard), *_confounded(baselines)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    counts = tuple(count for each in heard for count in _counts(each))
    return Audit(tuple(each.sound for each in heard), counts, tuple(baselines), tuple(findings))


def lines(found: Audit) -> list[str]:
    """The audit as text for a terminal."""
    text: list[str] = []
    for sound in found.sounds:
        counts = [count for count in found.counts if count.manifest == sound.manifest]
        speakers = sum(count.column == "speaker" and count.value != "" for count in counts)
        emotions = ", ".join(f"{c.value or 'unlabelled'} {c.n}" for c in counts if c.column == "emotion")
        languages = ", ".join(c.value for c in counts if c.column == "language")
        text.append(f"{sound.manifest}: {sound.utterances} utterances, {sound.seconds / 3600:.2f} h, {languages}, ")
        text[-1] += f"{speakers} speakers; {emotions}"
    for c in found.confounds:
        text.append(f"{c.manifest}: {c.features} alone reach UA {c.ua:.1%} [{c.low:.1%}, {c.high:.1%}] over ")
        text[-1] += f"{len(c.labels)} emotions (chance {c.chance:.1%})"
    return text + [f"{f.severity.upper()} {f.kind}: {f.message}" for f in found.findings]


def _some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _counts(heard: Heard) -> Iterator[Count]:
    for column in ("emotion", "speaker", "language"):
        values = person_labels(heard.rows) if column == "speaker" else [getattr(row, column) for row in heard.rows]
        for value, n in sorted(Counter(value or "" for value in values).items()):
            yield Count(heard.name, column, value, n)


def _labels(heard: Heard) -> Iterator[Finding]:
    unknown = Counter(row.emotion for row in heard.rows if row.emotion and row.emotion not in EMOTIONS)
    for label in sorted(filter(None, unknown)):
        ids = tuple(row.id for row in heard.rows if row.emotion == label)
        guess = nearest(label, EMOTIONS)
        hint = f"; did you mean {guess!r}?" if guess else ""
        yield Finding("unknown label", "error", f"{heard.name}: {len(ids)} have the emotion {label!r}{hint}", ids)
    missing = tuple(row.id for row in heard.rows if row.emotion is None)
    if 0 < len(missing) < len(heard.rows):
        yield Finding("unlabelled", "note", f"{heard.name}: {len(missing)} of {len(heard.rows)} have no label", missing)


def _speakers(heard: Heard) -> Iterator[Finding]:
    missing = tuple(row.id for row in heard.rows if row.speaker is None)
    if missing:
        message = f"{heard.name}: {len(missing)} have no speaker, so no split can keep speakers apart: {_some(missing)}"
        yield Finding("missing speaker", "warning", message, missing)
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    for speaker, row in zip(person_labels(heard.rows), heard.rows):
        if speaker is not None:
            shown[speaker].update([row.emotion] if row.emotion else [])
    if len(shown) == 1:
        message = f"{heard.name}: a single speaker, so nothing can be claimed of others"
        yield Finding("single speaker", "warning", message, (next(iter(shown)),))
    emotions = sorted({emotion for counts in shown.values() for emotion in counts})
    if len(shown) < 2 or len(emotions) < 2:
        return
    for emotion in emotions:
        who = [speaker for speaker, counts in shown.items() if counts[emotion]]
        if len(who) == 1:
            message = f"{heard.name}: only the speaker {who[0]} shows {emotion}, so the voice gives it away"
            yield Finding("class of one speaker", "warning", message, tuple(who))
    labelled = {speaker: counts for speaker, counts in shown.items() if counts}
    one_sided = tuple(s for s, counts in labelled.items() if max(counts.values()) >= ONE_SIDED * sum(counts.values()))
    if one_sided:
        message = (
            f"{heard.name}: {len(one_sided)} of {len(labelled)} speakers show mostly one emotion ({_some(one_sided)}); "
            "normalisation by speaker would take the emotion away"
        )
        severity = "warning" if len(one_sided) >= len(labelled) / 4 else "note"
        yield Finding("one-sided speakers", severity, message, one_sided)


def _splits(heard: Heard) -> Iterator[Finding]:
    parts: dict[str, set[str]] = defaultdict(set)
    for speaker, row in zip(person_labels(heard.rows), heard.rows):
        if row.split and speaker is not None:
            parts[speaker].add(row.split)
    both = tuple(speaker for speaker, splits in sorted(parts.items()) if len(splits) > 1)
    if both:
        message = f"{heard.name}: {len(both)} speakers are in several of its splits: {_some(both)}"
        yield Finding("splits share speakers", "error", message, both)


def _sounds(heard: Heard) -> Iterator[Finding]:
    cut = [index for index, why in heard.failures.items() if "cut short" in why]
    bad = [index for index in heard.failures if index not in set(cut)]
    _, peak, seconds = heard.acoustics.T  # comparisons with NaN are False
    clipped = f"are clipped ({CLIPPED:.1%} of samples or more at full scale)"
    for kind, severity, what, indices in (
        ("truncated", "error", "are cut short", cut),
        ("unreadable", "error", "cannot be read", bad),
        ("silent", "error", f"are silent (peak below {SILENT:g} dB)", np.flatnonzero(peak <= SILENT)),
        ("clipped", "warning", clipped, np.flatnonzero(heard.clipped >= CLIPPED)),
        ("short", "warning", f"are shorter than {SHORT:g} s", np.flatnonzero(seconds < SHORT)),
    ):
        if len(indices):
            ids = heard.ids(indices)
            why = heard.failures.get(int(indices[0]))
            message = f"{heard.name}: {len(ids)} {what}: {f'{why}; ' * bool(why)}{_some(ids)}"
            yield Finding(kind, severity, message, ids)
    if len(heard.readable) > 9 and np.nanstd(peak) < NORMALISED:
        message = f"{heard.name}: every file was scaled to the same peak, so levels tell little"
        yield Finding("loudness", "note", message)


def _texts(heard: Heard) -> Iterator[Finding]:
    saying: dict[str, set[str]] = defaultdict(set)
    for row in heard.rows:
        speaker = person(row)
        if row.text and speaker is not None:
            saying[row.text].add(speaker)
    everyone = set().union(*saying.values())
    shared = [text for text, who in saying.items() if who == everyone]
    if len(everyone) > 1 and shared:
        message = f"{heard.name}: {len(shared)} of {len(saying)} texts are said by all {len(everyone)} speakers"
        yield Finding("same text", "note", f"{message}, so training and test parts share their words")


def _duplicates(heard: Sequence[Heard]) -> Iterator[Finding]:
    places: dict[bytes, list[tuple[str, Utterance]]] = defaultdict(list)
    for each in heard:
        for digest, row in zip(each.digests, each.rows):
            if digest:
                places[digest].append((each.name, row))
    found: dict[tuple[str, str, str], list[list[Utterance]]] = defaultdict(list)
    for place in places.values():
        if len(place) > 1:
            names, rows = list(dict.fromkeys(name for name, _ in place)), [row for _, row in place]
            unlike = ["with different emotions"] * (len({row.emotion for row in rows}) > 1)
            unlike += ["with different speakers"] * (len(set(map(person, rows))) > 1)
            unlike += ["in several manifests"] * (len(names) > 1)
            found["error" if unlike else "warning", " and ".join(names), ", ".join(unlike)].append(rows)
    for (severity, where, how), groups in found.items():
        pairs = _some([" = ".join(row.id for row in rows) for rows in groups])
        message = f"{where}: {len(groups)} recording(s) are there more than once{f' {how}' * bool(how)}: {pairs}"
        yield Finding("duplicate audio", severity, message, tuple(row.id for rows in groups for row in rows))


def _shared_speakers(heard: Sequence[Heard]) -> Iterator[Finding]:
    people = [{str(person(row)): row.speaker for row in each.rows if row.speaker is not None} for each in heard]
    for (one, ones), (other, others) in itertools.combinations(zip(heard, people), 2):
        both = tuple(speaker for key, speaker in sorted(ones.items()) if key in others)
        if both:
            message = f"{one.name} and {other.name}: {len(both)} speakers are in both: {_some(both)}"
            yield Finding("shared speakers", "error", message, both)


def _levels(heard: Sequence[Heard]) -> Iterator[Finding]:
    for one, other in itertools.combinations([each.sound for each in heard if len(each.readable)], 2):
        gap = abs(one.level - other.level)
        if gap > LEVEL_GAP:
            message = f"{one.manifest} and {other.manifest}: the mean levels differ by {gap:.0f} dB"
            yield Finding("loudness", "note", f"{message}, which tells the two apart without any speech")


def _confounded(baselines: Iterable[Confound]) -> Iterator[Finding]:
    for found in baselines:
        score = f"{found.features} alone reach UA {found.ua:.0%} [{found.low:.0%}, {found.high:.0%}] on new speakers"
        message = f"{found.manifest}: {score} (chance {found.chance:.0%})"
        if found.features == "length" and found.reach >= NEAR:
            yield Finding("confound", "warning", f"{message}: lengths betray the emotion")
        elif found.features == "loudness and length" and found.reach >= FAR:
            yield Finding("confound", "warning", f"{message}: scores on this corpus mean little")
        elif found.features == "loudness and length" and found.reach >= NEAR:
            yield Finding("confound", "note", f"{message}: compare every score with it")
