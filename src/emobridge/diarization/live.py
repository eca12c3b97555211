"""Answers to sound as it comes: one for each stretch of some length, from the sound up to its end. Memory is constant.

    blocks of samples -> mono_pieces -> (T,) at 16 kHz -> live_answers -> Prediction

With each stretch the sound before it is encoded again: twice the context of the model's frames, since an answer waits
for no sound after its stretch. It is late by the length of the stretch and the time of computing, and depends on the
samples alone, not on the blocks in which they come.

Ours. Of 208 seconds of EMOVO clips in a row, a recogniser of RAVDESS and EMO-DB (whisper-base) told 56 % right (UA over
the seconds), 54 % with its context once, and 59 % where it hears what follows too: benchmarks/live.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from emobridge.data.activity import LEAST_SPEECH, speech_segments
from emobridge.data.audio import LARGEST_SAMPLE
from emobridge.diarization.base import FrameModel, Waveform
from emobridge.diarization.pcm import Gap, SoundBlock
from emobridge.diarization.timeline import joined_frames
from emobridge.errors import UserError
from emobridge.inference.rows import unsure_reason
from emobridge.inference.segments import NO_SPEECH, TOO_SHORT
from emobridge.settings import Live
from emobridge.types import SAMPLE_RATE, Prediction

SPOKEN_SHARE = 0.25  # of a stretch: with less speech it has no emotion
DETECTED = 3.0  # s up to the end of a stretch in which speech is looked for: the rule compares with what surrounds it
LARGEST_RATE = 384_000  # Hz, of what sound cards record


SoundPiece = NDArray[np.float32] | Gap  # (T,) at SAMPLE_RATE


def mono_pieces(
    blocks: Iterable[SoundBlock], rate: int, channel: int | None = None, on_note: Callable[[str], None] | None = None
) -> Iterator[SoundPiece]:
    """Blocks of a source as mono sound at 16 kHz, which continues from block to block.

    channel: of the source, from 0; None is the mean of all. Samples that are no numbers, or beyond LARGEST_SAMPLE,
    count as silence; on_note gets a line about the first of them. Errors: UserError for a rate out of range.
    """
    if not 1000 <= rate <= LARGEST_RATE:
        raise UserError(f"rate: expected 1000 to {LARGEST_RATE} Hz, got {rate}")
    resampler = _resampler(rate)
    frames, is_noted = 0, False
    for block in blocks:
        if isinstance(block, Gap):
            if resampler is not None:
                yield from _filled(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
                resampler = _resampler(rate)
            frames += round(block.seconds * rate)
            yield block
            continue
        mono, damaged = _mono(block, channel)
        if damaged is not None and not is_noted:
            is_noted = True
            if on_note is not None:
                on_note(f"at {(frames + damaged) / rate:.3f} s: samples that are no numbers; they count as silence")
        frames += len(mono)
        yield from _filled(mono if resampler is None else resampler.resample_chunk(mono))
    if resampler is not None:
        yield from _filled(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def _resampler(rate: int) -> soxr.ResampleStream | None:
    return None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1)


def _filled(piece: Waveform) -> Iterator[Waveform]:
    if len(piece):
        yield piece


def _mono(block: NDArray[np.float32], channel: int | None) -> tuple[Waveform, int | None]:
    """(T, channels) -> (T,), and the first damaged frame; None where there is none."""
    with np.errstate(invalid="ignore"):
        good = np.abs(block) <= LARGEST_SAMPLE  # False of NaN
    damaged = None
    if not good.all():
        damaged = int(np.flatnonzero(~good.all(1))[0])
        block = np.where(good, block, np.float32(0))
    mono = block.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(block[:, channel])
    return mono, damaged


def live_answers(
    model: FrameModel, pieces: Iterable[SoundPiece], settings: Live, *, name: str = "live", channel: int | None = None
) -> Iterator[Prediction]:
    """The answer to each stretch of `settings.every` s, as soon as its sound is there; the last one may be shorter.

    name, channel: the id and the channel of the answers. After a gap a new stretch begins, and the one that it broke
    off is not answered.
    """
    recent = _Recent(model, settings)

    def answer(stretch: Waveform, first: int) -> Prediction:
        probabilities, reason = recent.answer(stretch)
        start, end = first / SAMPLE_RATE, (first + len(stretch)) / SAMPLE_RATE
        return Prediction(name, start, end, model.labels, probabilities, channel=channel, reason=reason)

    size = max(1, round(settings.every * SAMPLE_RATE))
    waiting, first = np.empty(0, np.float32), 0  # the sound of the open stretch, and its first sample in the stream
    for piece in pieces:
        if isinstance(piece, Gap):
            first += len(waiting) + round(piece.seconds * SAMPLE_RATE)
            waiting = waiting[:0]
            recent.forget()
            continue
        waiting = np.concatenate([waiting, piece])
        while len(waiting) >= size:
            yield answer(waiting[:size], first)
            first += size
            waiting = waiting[size:]
    if len(waiting):
        yield answer(waiting, first)


class _Recent:
    """The last seconds of sound, as many as the next answer depends on."""

    def __init__(self, model: FrameModel, settings: Live) -> None:
        self.model, self.settings = model, settings
        seconds = settings.every + (settings.context or 2 * model.context)
        if settings.every <= model.longest:  # at once; a longer stretch takes several windows
            seconds = min(seconds, model.longest)
        self.encoded = round(seconds * SAMPLE_RATE)  # samples, with the stretch
        self.held = max(self.encoded, round(DETECTED * SAMPLE_RATE))
        self.sound = np.empty(0, np.float32)

    def forget(self) -> None:
        """The next stretch continues nothing."""
        self.sound = self.sound[:0]

    def answer(self, stretch: Waveform) -> tuple[tuple[float, ...], str]:
        """The probabilities of the next stretch (T,), () where there are none, and why there is no label."""
        self.sound = np.concatenate([self.sound, stretch])[-self.held :]
        seconds = len(stretch) / SAMPLE_RATE
        if seconds < min(LEAST_SPEECH, self.settings.every):
            return (), TOO_SHORT
        speech = self._speech(seconds)
        if sum(end - start for start, end in speech) < SPOKEN_SHARE * seconds:
            return (), NO_SPEECH
        shares = self._shares(seconds, speech)
        return shares, unsure_reason(shares, self.settings.abstain_below)

    def _speech(self, seconds: float) -> list[tuple[float, float]]:
        """Where somebody speaks in the last `seconds`, in seconds from their begin."""
        begin = len(self.sound) / SAMPLE_RATE - seconds
        segments = speech_segments([self.sound], detector=self.settings.detector)
        return [(max(start - begin, 0.0), end - begin) for start, end in segments if end > begin]

    def _shares(self, seconds: float, speech: list[tuple[float, float]]) -> tuple[float, ...]:
        """The mean probabilities of the frames with speech in the last `seconds`."""
        encoded = self.sound[-self.encoded :]
        if len(encoded) <= self.model.longest * SAMPLE_RATE:
            frames = self.model.frame_probabilities(encoded)
        else:
            frames = np.concatenate([values for _, values in joined_frames(self.model, [encoded])])
        count = min(len(frames), max(1, round(seconds * self.model.frame_rate)))
        middles = (np.arange(count) + 0.5) * seconds / count
        spoken = np.array([any(start <= time < end for start, end in speech) for time in middles])
        means = frames[-count:][spoken if spoken.any() else slice(None)].mean(0, dtype=np.float64)
        return tuple((means / means.sum()).tolist())
