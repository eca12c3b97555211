"""From probabilities of frames to segments of one emotion: the decision with the most time that is expected right.

A frame whose emotion has the probability p is right with that chance. Of all ways to cut a stretch of speech into
segments of at least `shortest` s, the decoder takes the one with the largest

    sum over frames of p[label of the frame] / frame rate  -  cost * number of changes        (in seconds)

by dynamic programming, in a time linear in the frames. As it adds probabilities, and not their logarithms, the label of
a segment is that of its largest mean probability, and no single frame, however sure, decides. The rule is ours: the
published diarizers smooth by a vote over neighbouring frames.

In shapes F is frames and C labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emobridge.settings import BRIDGED_PAUSE, CHANGE_COST, SHORTEST_SEGMENT

FrameProbabilities = NDArray[np.floating]  # (F, C)
Mask = NDArray[np.bool_]  # (F,)
LONGEST_STRETCH = 300.0  # s of speech that are decided together; it bounds the memory


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How frames become segments. Errors: ValueError for numbers out of range."""

    shortest: float = SHORTEST_SEGMENT  # s: no segment is shorter, but where a stretch of speech is
    pause: float = BRIDGED_PAUSE  # s: a shorter pause belongs to the speech around it
    cost: float = CHANGE_COST  # s of time expected right that a change of the emotion must win

    def __post_init__(self) -> None:
        for name in ("shortest", "pause", "cost"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more seconds, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class TimelineSegment:
    """A stretch of time with one emotion, or without speech."""

    first: int  # of its frames, counted from the start of the recording
    last: int  # the frame behind its end
    probabilities: tuple[float, ...]  # (C,) means over its frames; () where nobody speaks

    @property
    def label(self) -> int | None:
        """The index of the label with the largest mean probability, the first of equal ones; None without speech."""
        return self.probabilities.index(max(self.probabilities)) if self.probabilities else None


def smooth(
    probabilities: FrameProbabilities, speech: Mask, frame_rate: float, smoothing: Smoothing | None = None
) -> list[TimelineSegment]:
    """(F, C) probabilities and the frames (F,) with speech -> segments that tile the F frames, in order.

    Neighbours differ in their label. frame_rate: in Hz. Errors: ValueError for shapes that do not fit, and for
    probabilities that are not finite.
    """
    smoother = Smoother(frame_rate, smoothing)
    return [*smoother.add(probabilities, speech), *smoother.finish()]


class Smoother:
    """Frames in, segments out as soon as they are settled. It holds at most LONGEST_STRETCH s of frames.

    How the frames are cut into calls does not matter.
    """

    def __init__(self, frame_rate: float, smoothing: Smoothing | None = None) -> None:
        """frame_rate: in Hz, above 0."""
        if not 0 < frame_rate < math.inf:
            raise ValueError(f"frame rate: expected a number above 0 Hz, got {frame_rate}")
        smoothing = smoothing or Smoothing()
        self._shortest = max(1, _frames(smoothing.shortest, frame_rate))
        self._pause = _frames(smoothing.pause, frame_rate)
        self._cost = smoothing.cost * frame_rate
        self._limit = max(8 * self._shortest, _frames(LONGEST_STRETCH, frame_rate))
        self._first = 0  # frame at which the open stretch, or the open pause, begins
        self._end = 0  # the frame behind all that came
        self._blocks: list[NDArray[np.float64]] = []  # of the open stretch, and of a pause that may yet be bridged
        self._size = 0  # frames in them
        self._spoken = 0  # of these up to the last one with speech
        self._waiting: tuple[int, int, NDArray[np.float64]] | None = (
            None  # first, last, sums of a segment that may grow
        )

    def add(self, probabilities: FrameProbabilities, speech: Mask) -> list[TimelineSegment]:
        """The segments that (F, C) more frames settle. Errors: ValueError, as of `smooth`."""
        if probabilities.ndim != 2 or speech.shape != probabilities.shape[:1] or not probabilities.shape[1]:
            raise ValueError(f"frames: shapes {probabilities.shape} and {speech.shape} do not fit")
        if not np.isfinite(probabilities).all():
            raise ValueError("frames: probabilities that are not finite")
        settled: list[TimelineSegment] = []
        for first, last in _runs(speech.astype(bool)):
            take = self._speech if speech[first] else self._silence
            while first < last:
                count = min(last - first, self._limit)
                settled += take(probabilities[first : first + count])
                first += count
        return settled

    def finish(self) -> list[TimelineSegment]:
        """The segments of what is left; the recording ends."""
        return [*self._close(), *self._pause_before(self._end)]

    def _speech(self, frames: FrameProbabilities) -> Iterator[TimelineSegment]:
        if not self._size:
            yield from self._pause_before(self._end)
        self._blocks.append(np.array(frames, dtype=np.float64))  # a copy: the caller's array may change
        self._end += len(frames)
        self._size += len(frames)
        self._spoken = self._size
        if self._size > self._limit:
            yield from self._settle()

    def _silence(self, frames: FrameProbabilities) -> Iterator[TimelineSegment]:
        self._end += len(frames)
        if not self._size:
            return
        if self._size - self._spoken + len(frames) >= self._pause:
            yield from self._close()
        else:
            self._blocks.append(np.array(frames, dtype=np.float64))
            self._size += len(frames)

    def _pause_before(self, frame: int) -> Iterator[TimelineSegment]:
        """The pause that ends at a frame, where there is one."""
        if frame > self._first:
            yield TimelineSegment(self._first, frame, ())
        self._first = frame

    def _close(self) -> Iterator[TimelineSegment]:
        """The segments of the open stretch, which has ended."""
        if self._size:
            frames = np.concatenate(self._blocks)[: self._spoken]
            for first, last in _cuts(frames, self._shortest, self._cost):
                yield from self._grow(frames, first, last)
            self._first += len(frames)
        self._blocks, self._size, self._spoken = [], 0, 0
        if self._waiting is not None:
            yield _segment(*self._waiting)
            self._waiting = None

    def _settle(self) -> Iterator[TimelineSegment]:
        """The first segments of a stretch that is too long to wait for its end; what is near its end stays open."""
        frames = np.concatenate(self._blocks)
        cuts = _cuts(frames, self._shortest, self._cost)
        clear = len(frames) - 3 * self._shortest  # what follows moves no cut before it, but by chance
        begin = max((first for first, _ in cuts if first <= clear), default=0)
        if len(frames) - begin > self._limit // 2:  # of a long segment a part is settled, and the rest joins it again
            begin = clear
        for first, last in cuts:
            if first < begin:
                yield from self._grow(frames, first, min(last, begin))
        self._first += begin
        self._blocks, self._size = [frames[begin:]], len(frames) - begin
        self._spoken = self._size

    def _grow(self, frames: NDArray[np.float64], first: int, last: int) -> Iterator[TimelineSegment]:
        """Join frames of the open stretch to the segment before them where the label is the same, or settle that."""
        sums = frames[first:last].sum(0)
        begin, end = self._first + first, self._first + last
        if self._waiting is not None:
            waiting = _segment(*self._waiting)
            if waiting.label == int(sums.argmax()):
                begin, sums = waiting.first, sums + self._waiting[2]
            else:
                yield waiting
        self._waiting = begin, end, sums


def _segment(first: int, last: int, sums: NDArray[np.float64]) -> TimelineSegment:
    return TimelineSegment(first, last, tuple((sums / (last - first)).tolist()))


def _frames(seconds: float, frame_rate: float) -> int:
    """Frames that last at least so many seconds."""
    return math.ceil(seconds * frame_rate - 1e-9)


def _runs(mask: Mask) -> Iterator[tuple[int, int]]:
    """The first frame of each run of equal values, and the frame behind it."""
    if len(mask):
        changes = np.flatnonzero(mask[1:] != mask[:-1]) + 1
        yield from pairwise([0, *changes.tolist(), len(mask)])


def _cuts(frames: NDArray[np.float64], shortest: int, cost: float) -> list[tuple[int, int]]:
    """(F, C) -> (first, last) of the best segments of at least `shortest` frames; one where F is shorter than two.

    cost: in frames. best[t, c] is the value of frames 0 to t where the segment that t ends has label c.
    """
    count = len(frames)
    if count < 2 * shortest:
        return [(0, count)]
    sums = np.concatenate([np.zeros((1, frames.shape[1])), frames.cumsum(0)])
    begins = sums[shortest:] - sums[:-shortest] - cost  # [t]: of the segment of frames t to t + shortest
    best = np.full(frames.shape, -np.inf)
    began = np.zeros(frames.shape, dtype=np.int64)  # the frame at which the segment that t ends begins
    best[shortest - 1] = sums[shortest]
    for t in range(shortest, count):
        grown = best[t - 1] + frames[t]
        first = t - shortest + 1
        changed = begins[first] + best[first - 1].max() if first else grown
        is_new = changed > grown
        best[t] = np.where(is_new, changed, grown)
        began[t] = np.where(is_new, first, began[t - 1])
    cuts, last = [], count
    while last:
        first = int(began[last - 1, best[last - 1].argmax()])
        cuts.append((first, last))
        last = first
    return cuts[::-1]
