"""Which emotion appears when: errors of emotion diarization over time, exact on segments, and of its boundaries.

    EDER = (missed + false alarm + overlap + confusion) / duration

The four parts are those of Wang, Ravanelli, Nfissi & Yacoubi 2023 (arXiv:2306.12991), in the words of their repository:
a false alarm is time without emotion that is predicted as emotional; missed is emotional time that is predicted as
non-emotional; confusion is emotional time that is assigned to other, incorrect emotions; overlap is time of ONE emotion
that is predicted to contain others beside the correct one. Neutral is the absence of emotion. For one emotion and a
hypothesis without overlap EDER is what SpeechBrain's recipe computes, 1 - (time with the right label) / duration.

Ours, since paper and recipe have one emotion in a recording and no frame of the hypothesis is without a label:

- Time that no segment covers, such as a pause, counts as neutral; what lies after the recording's end is cut off.
- Each moment counts once, so that EDER stays in [0, 1]. Where the reference itself overlaps, a hypothesis that has only
  some of its emotions misses; all of them and others are an overlap; anything else is confusion.
- With neutral as a class, neutral is a label as any other, and absent is what no segment covers.
- A collar of S seconds takes the time within S on either side of each change of the reference out of score and duration
  (as md-eval of NIST; pyannote.metrics calls 2 S a collar). The ends of the recording are no changes.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from emobridge.errors import UserError, unknown
from emobridge.types import Segment

NEUTRAL = "neutral"
NEUTRAL_AS = ("absence", "class")
PARTS = ("missed", "false alarm", "overlap", "confusion")


@dataclass(frozen=True, slots=True)
class ErrorTimes:
    """The parts of EDER of a recording, in seconds."""

    missed: float
    false_alarm: float
    overlap: float
    confusion: float
    scored: float  # the duration, less what collars take out

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """In the order of PARTS."""
        return self.missed, self.false_alarm, self.overlap, self.confusion

    @property
    def rates(self) -> tuple[float, ...]:
        """The parts as shares of what is scored, in the order of PARTS; NaN where nothing is."""
        return tuple(part / self.scored if self.scored > 0 else math.nan for part in self.parts)

    @property
    def eder(self) -> float:
        """In [0, 1]; NaN where nothing is scored."""
        return math.fsum(self.parts) / self.scored if self.scored > 0 else math.nan


@dataclass(frozen=True, slots=True)
class ActiveEmotions:
    """The emotions of a recording: what holds from each time on, until the next or the end."""

    times: tuple[float, ...]  # s, ascending, from 0
    emotions: tuple[frozenset[str], ...]  # neighbours differ

    @property
    def changes(self) -> tuple[float, ...]:
        """Where the emotions change, in s, within the recording."""
        return self.times[1:]

    def at(self, time: float) -> frozenset[str]:
        """The emotions from a time on."""
        return self.emotions[bisect_right(self.times, time) - 1]


@dataclass(frozen=True, slots=True)
class BoundaryErrors:
    """How far the boundaries of a hypothesis lie from those of the reference."""

    distances: tuple[float, ...]  # s, of the matched pairs
    missed: int  # boundaries of the reference without a match
    inserted: int  # boundaries of the hypothesis without a match

    @property
    def median(self) -> float:
        """In s; NaN where nothing was matched."""
        return median(self.distances) if self.distances else math.nan


def error_times(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    duration: float,
    *,
    collar: float = 0.0,
    neutral_as: str = "absence",
) -> ErrorTimes:
    """The errors of one recording of `duration` seconds; segments in any order, of either side, may overlap.

    collar: seconds on either side of a change of the reference that are not scored. neutral_as: of NEUTRAL_AS.
    Errors: UserError for a duration that is not above 0, a collar below 0, and an unknown `neutral_as`.

    >>> error_times([Segment(1, 3, "anger")], [Segment(2, 4, "anger")], 10.0).eder
    0.2
    """
    if not 0 <= collar < math.inf:
        raise UserError(f"collar: expected 0 or more seconds, got {collar}")
    truth = active_emotions(reference, duration, neutral_as=neutral_as)
    answer = active_emotions(hypothesis, duration, neutral_as=neutral_as)
    seconds: dict[str, list[float]] = {part: [] for part in (*PARTS, "correct")}
    for start, end in _scored_spans(truth, answer, duration, collar):
        seconds[_part(truth.at(start), answer.at(start))].append(end - start)
    missed, false_alarm, overlap, confusion, correct = (math.fsum(seconds[part]) for part in (*PARTS, "correct"))
    scored = duration if not collar else math.fsum((missed, false_alarm, overlap, confusion, correct))
    return ErrorTimes(missed, false_alarm, overlap, confusion, scored)


def active_emotions(segments: Sequence[Segment], duration: float, *, neutral_as: str = "absence") -> ActiveEmotions:
    """What holds when in a recording; what lies after its end is cut off. Errors: as of `error_times`."""
    if not 0 < duration < math.inf:
        raise UserError(f"a recording of {duration} s: expected a duration above 0")
    if neutral_as not in NEUTRAL_AS:
        raise unknown("use of neutral", neutral_as, NEUTRAL_AS)
    steps: defaultdict[float, Counter[str]] = defaultdict(Counter)
    for segment in segments:
        if segment.start < duration and not (neutral_as == "absence" and segment.emotion == NEUTRAL):
            steps[segment.start][segment.emotion] += 1
            steps[min(segment.end, duration)][segment.emotion] -= 1
    times, emotions, active = [0.0], [frozenset[str]()], Counter[str]()
    for time in sorted(time for time in steps if time < duration):
        active.update(steps[time])
        current = frozenset(emotion for emotion, count in active.items() if count > 0)
        if time == 0:
            emotions[0] = current
        elif current != emotions[-1]:
            times.append(time)
            emotions.append(current)
    return ActiveEmotions(tuple(times), tuple(emotions))


def boundary_errors(
    reference: Sequence[Segment], hypothesis: Sequence[Segment], duration: float, *, neutral_as: str = "absence"
) -> BoundaryErrors:
    """How far changes of the hypothesis lie from those of the reference; the recording's ends are no changes.

    Ours: two boundaries match where each is the nearest of the other side to the other (of two at the same distance,
    the earlier), whatever changes there. Errors: as of `error_times`.
    """
    truth = active_emotions(reference, duration, neutral_as=neutral_as).changes
    answer = active_emotions(hypothesis, duration, neutral_as=neutral_as).changes
    pairs = []
    if truth and answer:
        for index, time in enumerate(truth):
            nearest = _nearest(answer, time)
            if _nearest(truth, answer[nearest]) == index:
                pairs.append(abs(answer[nearest] - time))
    return BoundaryErrors(tuple(pairs), len(truth) - len(pairs), len(answer) - len(pairs))


def _part(reference: frozenset[str], hypothesis: frozenset[str]) -> str:
    """What a moment is: of PARTS, or "correct"."""
    if reference == hypothesis:
        return "correct"
    if hypothesis < reference:
        return "missed"
    if hypothesis > reference:
        return "overlap" if reference else "false alarm"
    return "confusion"


def _scored_spans(
    truth: ActiveEmotions, answer: ActiveEmotions, duration: float, collar: float
) -> Iterator[tuple[float, float]]:
    """The spans outside collars in which nothing changes."""
    changes = truth.changes
    cuts = {*truth.times, *answer.times, duration}
    if collar:
        ends = (change + side for change in changes for side in (-collar, collar))
        cuts |= {end for end in ends if 0 < end < duration}
    for start, end in itertools.pairwise(sorted(cuts)):
        middle = start + (end - start) / 2  # away from the ends, whose rounding does not matter then
        if not collar or not changes or abs(changes[_nearest(changes, middle)] - middle) > collar:
            yield start, end


def _nearest(times: Sequence[float], time: float) -> int:
    """The index of the nearest of ascending times; of two at the same distance, the earlier."""
    after = bisect_left(times, time)
    if after == 0:
        return 0
    if after == len(times) or time - times[after - 1] <= times[after] - time:
        return after - 1
    return after
