"""The audit: what is wrong with manifests, alone and in pairs, before a model is trained on them.

Every utterance is decoded once, one at a time; a few numbers, a hash and a fingerprint of each stay in memory, about 2
kB for a clip of three seconds. A finding is an "error" (scores would be false), a "warning" (scores may mean less than
they seem to) or a "note" (worth knowing).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emobridge.audit.confound import Confound, confounds
from emobridge.audit.duplicates import duplicates
from emobridge.audit.finding import SEVERITIES, Finding, first_names
from emobridge.audit.hearing import DecodedManifest, Sound, decode_manifest
from emobridge.audit.rows import ValueCount, check_rows, count_values
from emobridge.corpora import utterances_at
from emobridge.data.audio import SILENT, ReadPieces, utterance_pieces
from emobridge.data.threads import one_thread
from emobridge.errors import UserError, count_noun
from emobridge.types import Utterance, short_repr

CLIPPED = 0.001  # of the samples at full scale
SHORT = 0.3  # s
BEYOND = 12.0  # dB of full scale, peak: more than mixing, or the overshoot of a decoder, adds
LEVEL_GAP = 6.0  # dB between the mean levels of two manifests
SILENT_KIND = "silent"  # of a finding of utterances that hold nothing
SPEECHLESS = "no speech"  # the kind of a finding of utterances without it; whoever trains on them must know
SPEECH_GAP = 0.25  # between the shares of speech of two manifests
NORMALISED = 0.1  # dB, standard deviation of the peaks
# Limits for Confound.reach. From FAR on, a score on the corpus shows little; from NEAR on, every score should be
# compared with the baseline.
FAR, NEAR = 0.5, 0.2


@short_repr
@dataclass(frozen=True, slots=True)
class Audit:
    """The audit of some manifests; findings are sorted by severity."""

    sounds: tuple[Sound, ...]  # of each manifest
    counts: tuple[ValueCount, ...]
    confounds: tuple[Confound, ...]
    findings: tuple[Finding, ...]


@one_thread()
def audit(
    manifests: Mapping[str, Sequence[Utterance]] | Iterable[tuple[str, Sequence[Utterance]] | str | Path],
    *,
    read: ReadPieces = utterance_pieces,
    on_progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit manifests by name, or at paths, and each pair of them as source and target.

    `on_progress(finished, all)` is called after each utterance. Errors: UserError for no manifest, or one without
    utterances; whatever is wrong with utterances is a finding.
    """
    pairs = manifests.items() if isinstance(manifests, Mapping) else manifests
    rows_of = dict((str(item), list(utterances_at(item))) if isinstance(item, (str, Path)) else item for item in pairs)
    total = sum(map(len, rows_of.values()))
    if not rows_of or not all(map(len, rows_of.values())):
        empty = [name for name, rows in rows_of.items() if not rows]
        raise UserError(f"nothing to audit: {', '.join(empty) or 'no manifest'}")
    finished = itertools.count(1)

    def tick() -> None:
        if on_progress is not None:
            on_progress(next(finished), total)

    findings = list(check_rows(rows_of))
    decoded = [decode_manifest(name, tuple(rows), read, tick, details=True) for name, rows in rows_of.items()]
    baselines: list[Confound] = []
    for manifest in decoded:
        findings += _sounds(manifest)
        try:
            readable = [manifest.rows[index] for index in manifest.readable]
            baselines += confounds(manifest.name, readable, manifest.acoustics[manifest.readable])
        except UserError as error:
            findings.append(Finding("confound", "note", f"no baseline of loudness and length: {error}"))
    findings += [*duplicates(decoded), *_differences(decoded), *_confounded(baselines)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    counts = tuple(count for name, rows in rows_of.items() for count in count_values(name, rows))
    return Audit(tuple(manifest.sound for manifest in decoded), counts, tuple(baselines), tuple(findings))


def lines(audit: Audit) -> list[str]:
    """The audit as text for a terminal."""
    text: list[str] = []
    for sound in audit.sounds:
        counts = [count for count in audit.counts if count.manifest == sound.manifest]
        speakers = sum(count.column == "speaker" and count.value != "" for count in counts)
        emotions = ", ".join(f"{c.value or 'unlabelled'} {c.n}" for c in counts if c.column == "emotion")
        languages = ", ".join(c.value for c in counts if c.column == "language")
        size = f"{count_noun(sound.utterances, 'utterance')}, {sound.seconds / 3600:.2f} h"
        size += "" if sound.speech is None else f" ({sound.speech:.0%} speech)"
        text.append(f"{sound.manifest}: {size}, {languages}, {count_noun(speakers, 'speaker')}; {emotions}")
    for c in audit.confounds:
        text.append(f"{c.manifest}: {_reached(c, 1)} over {len(c.labels)} emotions (chance {c.chance:.1%})")
    return text + [f"{f.severity.upper()} {f.kind}: {f.message}" for f in audit.findings]


def _reached(baseline: Confound, digits: int) -> str:
    """What a baseline reaches, in per cent with some digits."""
    ua, low, high = (f"{value:.{digits}%}" for value in (baseline.ua, baseline.low, baseline.high))
    return f"{baseline.features} alone {'reach' if ' and ' in baseline.features else 'reaches'} UA {ua} [{low}, {high}]"


def _sounds(manifest: DecodedManifest) -> Iterator[Finding]:
    cut = [index for index, why in manifest.failures.items() if "cut short" in why]
    bad = [index for index in manifest.failures if index not in set(cut)]
    _, peak, seconds = manifest.acoustics.T  # comparisons with NaN are False
    too_loud = f"have samples beyond {BEYOND:g} dB of full scale: floats that were not scaled to [-1, 1]"
    clipped = f"are clipped ({CLIPPED:.1%} of samples or more at full scale)"
    speechless = (manifest.speech == 0) & (peak > SILENT) & (seconds >= SHORT)
    no_speech = "hold no speech that can be found (noise, tones, music, or whispers)"
    for kind, severity, what, indices in (
        ("truncated", "error", "are cut short", cut),
        ("unreadable", "error", "cannot be read", bad),
        (SILENT_KIND, "error", f"are silent (peak below {SILENT:g} dB)", np.flatnonzero(peak <= SILENT)),
        (SPEECHLESS, "warning", no_speech, np.flatnonzero(speechless)),
        ("header", "warning", "have a wrong header, and were read whole", list(manifest.headers)),
        ("full scale", "warning", too_loud, np.flatnonzero(peak > BEYOND)),
        ("clipped", "warning", clipped, np.flatnonzero((manifest.clipped >= CLIPPED) & (peak <= BEYOND))),
        ("short", "warning", f"are shorter than {SHORT:g} s", np.flatnonzero(seconds < SHORT)),
    ):
        if len(indices):
            ids = manifest.ids(indices)
            first = int(indices[0])
            why = manifest.failures.get(first) or (manifest.headers.get(first) if kind == "header" else None)
            message = f"{manifest.name}: {len(ids)} {what}: {f'{why}; ' if why else ''}{first_names(ids)}"
            yield Finding(kind, severity, message, ids)
    if len(manifest.readable) > 9 and np.nanstd(peak) < NORMALISED:
        message = f"{manifest.name}: every file was scaled to the same peak, so levels tell little"
        yield Finding("loudness", "note", message)


def _differences(decoded: Sequence[DecodedManifest]) -> Iterator[Finding]:
    """What tells two manifests apart without any emotion: their levels, and how much of them is speech."""
    sounds = [manifest.sound for manifest in decoded if len(manifest.readable)]
    for first, second in itertools.combinations(sounds, 2):
        names = f"{first.manifest} and {second.manifest}"
        gap = abs(first.level - second.level)
        if gap > LEVEL_GAP:
            message = f"{names}: the mean levels differ by {gap:.0f} dB, which tells the two apart without any speech"
            yield Finding("loudness", "note", message)
        shares = first.speech or 0.0, second.speech or 0.0
        if abs(shares[0] - shares[1]) > SPEECH_GAP:
            message = (
                f"{names}: {shares[0]:.0%} and {shares[1]:.0%} of them are speech, the rest pauses or other sounds"
            )
            yield Finding("share of speech", "note", f"{message}; `--frames speech` leaves them out")


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
