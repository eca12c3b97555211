"""Recordings with known boundaries, put together from utterances with one label each.

What Wang, Ravanelli & Yacoubi (2023, "Speech Emotion Diarization", arXiv:2306.12991) train on, as their published
recipe has it: each emotional utterance stands alone, or before, after or between neutral utterances of the same
speaker, by chance; silence at its ends is cut off, and all parts have the level of the first.

Ours: the level is the mean power of the loud frames alone (`data.activity`), the ends are cut by the same rule, with
PADDING s left; parts are cross-faded (equal gain, for speech of two takes is not alike) and the boundary is the middle
of the fade; a recording whose samples exceed full scale is taken down as a whole. Noise goes up and down with the
level of its part: in recordings with a loud background it may still give the boundary away.

Or the boundaries are those that somebody marked: rows of a manifest that are stretches of longer recordings.
In shapes T is samples at 16 kHz.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.data.activity import FRAME_RATE, PADDING, are_loud, frame_levels
from emobridge.data.audio import AudioError, Read, duration, read_audio, read_utterance
from emobridge.diarization.base import Waveform
from emobridge.errors import UserError
from emobridge.scores.diarization import NEUTRAL
from emobridge.settings import PART_ORDERS, Composing
from emobridge.types import SAMPLE_RATE, Segment, Utterance, person, short_repr

# Of each order, whether a part is the emotional utterance.
_PARTS = {order: [word == "emotional" for word in order.split("-")] for order in PART_ORDERS}


@dataclass(frozen=True, slots=True)
class Composition:
    """Which utterances follow one another in a recording; all are of one speaker."""

    id: str
    rows: tuple[Utterance, ...]  # one or more, with emotions, in the order of time

    @property
    def first(self) -> Utterance:
        """It has the corpus, the language and the speaker of all."""
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class MarkedRecording:
    """A file of which somebody marked the emotional stretches; all else of it is neutral."""

    id: str
    rows: tuple[Utterance, ...]  # the stretches, in the order of time, none of which overlap

    @property
    def first(self) -> Utterance:
        """It has the file, the channel, the corpus, the language and the speaker of all."""
        return self.rows[0]


@short_repr
@dataclass(frozen=True, slots=True, eq=False)
class LabelledSound:
    """Sound, and which emotion is heard when in it, from its start to its end without gaps.

    Of a stretch whose label is not known the emotion is UNKNOWN_EMOTION.
    """

    wave: Waveform  # (T,)
    segments: tuple[Segment, ...]


UNKNOWN_EMOTION = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The recordings of a draw, and what could not be part of any."""

    compositions: tuple[Composition, ...]
    lone: tuple[str, ...] = ()  # speakers, as `person` has them, without neutral speech: their emotions stand alone
    nameless: int = 0  # utterances of unknown speakers: they stand alone too


def draw_compositions(utterances: Sequence[Utterance], composing: Composing, *, seed: int, number: int = 0) -> Drawn:
    """Recordings in which each emotional utterance stands once; the same for the same seed, whatever the rows' order.

    utterances: with emotions. number: of the draw; another one gives other orders and neighbours. A speaker's neutral
    utterances are used in turn, so that none stands twice before all have, and a single one may stand on both sides.
    Of a speaker without neutral speech, and of unknown speakers, an utterance stands alone, if the order "emotional" is
    allowed. Errors: UserError where no utterance is neutral, and where nothing can be drawn.
    """
    if not any(row.emotion == NEUTRAL for row in utterances):
        corpora = ", ".join(sorted({row.corpus for row in utterances})) or "the source"
        raise UserError(
            f"{corpora}: has no neutral utterance, and a diarizer learns emotions beside neutral speech: add a corpus "
            "with some, or give recordings with marked stretches (--segments)"
        )
    ordered = sorted(utterances, key=lambda row: (row.corpus, row.id, row.path, row.start))
    speakers: dict[str, list[Utterance]] = {}
    for row in ordered:
        speakers.setdefault(person(row) or "", []).append(row)
    drawn: list[Composition] = []
    lone = []
    for name in sorted(speakers):
        rows = speakers[name]
        rng = np.random.default_rng([seed, number, *name.encode()])
        neutral = [row for row in rows if row.emotion == NEUTRAL] if name else []
        if name and not neutral:
            lone.append(name)
        drawn += _of_speaker([row for row in rows if row.emotion != NEUTRAL], neutral, composing, rng)
    if not drawn:
        raise UserError(
            f"orders: {', '.join(composing.orders)}: no recording can be made: no speaker has neutral and emotional "
            "utterances"
        )
    return Drawn(tuple(drawn), tuple(lone), sum(row.emotion != NEUTRAL for row in speakers.get("", [])))


def _of_speaker(
    emotional: Sequence[Utterance], neutral: Sequence[Utterance], composing: Composing, rng: np.random.Generator
) -> Iterator[Composition]:
    """The recordings of one speaker; orders that need neutral speech are left out where there is none."""
    orders = [order for order in composing.orders if neutral or all(_PARTS[order])]
    if not orders:
        return
    turns = _in_turn(neutral, rng)
    for index in rng.permutation(len(emotional)):
        row = emotional[int(index)]
        order = orders[int(rng.integers(len(orders)))]
        parts = tuple(row if is_emotional else next(turns) for is_emotional in _PARTS[order])
        yield Composition(" + ".join(part.id for part in parts), parts)


def _in_turn(rows: Sequence[Utterance], rng: np.random.Generator) -> Iterator[Utterance]:
    """The rows in random order, again and again."""
    while rows:
        for index in rng.permutation(len(rows)):
            yield rows[int(index)]


def compose(composition: Composition, composing: Composing, read: Read = read_utterance) -> LabelledSound:
    """The sound of a recording, and its boundaries. Errors: AudioError of a part that cannot be read."""
    waves = [read(part) for part in composition.rows]
    if composing.trim:
        waves = [trimmed(wave) for wave in waves]
    if composing.levels == "matched":
        waves = [waves[0], *(with_level_of(wave, waves[0]) for wave in waves[1:])]
    total, edges = _joined(waves, round(composing.fade * SAMPLE_RATE))
    peak = float(np.abs(total).max())
    wave = (total / peak if peak > 1 else total).astype(np.float32)
    times = [edge / SAMPLE_RATE for edge in edges]
    segments = [
        Segment(start, end, part.emotion or UNKNOWN_EMOTION)
        for part, start, end in zip(composition.rows, times, times[1:])
    ]
    return LabelledSound(wave, merged(segments))


def _joined(waves: Sequence[Waveform], fade: int) -> tuple[Waveform, list[float]]:
    """Waves one after the other, (T,), and where each begins and the last ends, in samples.

    fade: samples that neighbours share, but no more than half of either.
    """
    total, edges = waves[0], [0.0]
    for before, wave in itertools.pairwise(waves):
        shared = min(fade, len(before) // 2, len(wave) // 2)
        edges.append(len(total) - shared / 2)
        rising = (np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1)
        both = total[len(total) - shared :] * (1 - rising) + wave[:shared] * rising
        total = np.concatenate([total[: len(total) - shared], both, wave[shared:]])
    return total, [*edges, float(len(total))]


def trimmed(wave: Waveform) -> Waveform:
    """A clip without the silence at its ends, but for PADDING s; one without any loud frame as it is."""
    loud = np.flatnonzero(are_loud(frame_levels(wave)))
    if not len(loud):
        return wave
    first = max(0.0, loud[0] / FRAME_RATE - PADDING)
    last = loud[-1] / FRAME_RATE + PADDING
    cut = wave[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
    return cut if len(cut) else wave


def speech_level(wave: Waveform) -> float | None:
    """The mean power of a clip's loud frames, in dB of full scale; None of a clip without any."""
    levels = frame_levels(wave)
    loud = are_loud(levels)
    return float(10 * np.log10(np.mean(10 ** (levels[loud] / 10)))) if loud.any() else None


def with_level_of(wave: Waveform, other: Waveform) -> Waveform:
    """A clip at the `speech_level` of another; as it is where either has none."""
    level, target = speech_level(wave), speech_level(other)
    if level is None or target is None:
        return wave
    return (wave * 10 ** ((target - level) / 20)).astype(np.float32)


def mark_recordings(rows: Iterable[Utterance]) -> tuple[MarkedRecording, ...]:
    """The files that marked stretches are of, each channel by itself, in the order in which they first come.

    Errors: UserError for stretches of one file that overlap, or that are of two speakers.
    """
    files: dict[tuple[str, int | None], list[Utterance]] = {}
    for row in rows:
        files.setdefault((row.path, row.channel), []).append(row)
    recordings = []
    for (path, _), stretches in files.items():
        stretches.sort(key=lambda row: row.start)
        for before, row in itertools.pairwise(stretches):
            if before.end is None or before.end > row.start:
                raise UserError(
                    f"{path}: the stretches {before.id!r} and {row.id!r} overlap; expected one emotion at a time"
                )
            if person(before) != person(row):
                raise UserError(
                    f"{path}: the stretches {before.id!r} and {row.id!r} are of two speakers; give channels"
                )
        recordings.append(MarkedRecording(stretches[0].id, tuple(stretches)))
    return tuple(recordings)


def read_marked(recording: MarkedRecording) -> LabelledSound:
    """The sound of a file, and its marked stretches with neutral ones between them.

    Errors: AudioError for a file that cannot be read, and for a stretch beyond its end.
    """
    first = recording.first
    seconds = duration(first.path)
    wave = read_audio(first.path, channel=first.channel)
    segments, end = [], 0.0
    for row in recording.rows:
        until = seconds if row.end is None else min(row.end, seconds)
        if row.start >= seconds:
            where = f"begins at {row.start:g} s, beyond the end of the file ({seconds:g} s)"
            raise AudioError(f"{row.path}: the stretch {row.id!r} {where}")
        if row.start > end:
            segments.append(Segment(end, row.start, NEUTRAL))
        segments.append(Segment(row.start, until, row.emotion or UNKNOWN_EMOTION))
        end = until
    if end < seconds:
        segments.append(Segment(end, seconds, NEUTRAL))
    return LabelledSound(wave, merged(segments))


def merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """Segments of which neighbours of one emotion that touch are one."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and joined[-1].emotion == segment.emotion and joined[-1].end == segment.start:
            joined[-1] = Segment(joined[-1].start, segment.end, segment.emotion)
        else:
            joined.append(segment)
    return tuple(joined)


def labels_of_steps(segments: Sequence[Segment], count: int, frame_rate: float, labels: Sequence[str]) -> np.ndarray:
    """(F,) int64: the label that is heard at the middle of each of F = count steps; -1 for any other, or none."""
    middle = (np.arange(count) + 0.5) / frame_rate
    numbers = np.full(count, -1, dtype=np.int64)
    index = {label: number for number, label in enumerate(labels)}
    for segment in segments:
        inside = (segment.start <= middle) & (middle < segment.end)
        numbers[inside] = index.get(segment.emotion, -1)
    return numbers
