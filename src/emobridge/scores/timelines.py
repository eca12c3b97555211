"""Evaluation of emotions over time: EDER and its parts, overall and by emotion, with intervals over speakers.

The sums over utterances that EDER needs are those of `measures.base.TimelineMeasure`: seconds of each part, and the
same as shares of the utterance. The jackknife over speakers is arithmetic on these sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emobridge.errors import UserError, count_noun
from emobridge.scores.base import BaseEvaluation, Column, Estimate, clusters_of
from emobridge.scores.diarization import NEUTRAL, PARTS, ErrorTimes, active_emotions, error_times
from emobridge.scores.jackknife import Clusters, Influence, jackknife
from emobridge.scores.measures.base import Floats, Measure, TimelineMeasure, all_measures
from emobridge.types import Segment, short_repr

Segments = tuple[Segment, ...]
SEVERAL_EMOTIONS = "several"  # the emotion of a recording whose reference has more than one


@short_repr
@dataclass(frozen=True, slots=True)
class TimelineEvaluation(BaseEvaluation):
    """What a system answered when in N recordings, for each of S seeds. Checked when it is made.

    Errors: UserError for nothing to score, unequal lengths, and as `scores.diarization.error_times`.
    """

    of: ClassVar[str] = "timelines"

    references: tuple[Segments, ...]  # N
    hypotheses: tuple[tuple[Segments, ...], ...]  # S times N
    durations: tuple[float, ...]  # N, in s
    speakers: tuple[str | None, ...]  # N
    collar: float = 0.0  # s, on either side of a change of a reference
    neutral_as: str = "absence"  # or "class"
    sums: Floats = field(init=False, repr=False, compare=False)  # (S, N, 2, 5): what `TimelineMeasure` needs of each

    def __post_init__(self) -> None:
        count = len(self.references)
        if not count or not self.hypotheses:
            raise UserError("nothing to score: no recording, or no seed")
        sides = (("durations", self.durations), ("speakers", self.speakers))
        for what, values in (*sides, *(("hypotheses", row) for row in self.hypotheses)):
            if len(values) != count:
                raise UserError(f"{len(values)} {what} for {count} recordings: each needs its own")
        object.__setattr__(self, "sums", _sums(self.error_times()))

    @property
    def label_set(self) -> tuple[str, ...]:
        """The emotions of references and hypotheses."""
        rows = (self.references, *self.hypotheses)
        return tuple(sorted({segment.emotion for row in rows for segments in row for segment in segments}))

    @property
    def emotions(self) -> tuple[str, ...]:
        """(N,): the emotion of each reference; neutral where it has none, SEVERAL_EMOTIONS of several."""
        sets = [
            {emotion for active in active_emotions(segments, duration).emotions for emotion in active}
            for segments, duration in zip(self.references, self.durations)
        ]
        return tuple(SEVERAL_EMOTIONS if len(names) > 1 else next(iter(names), NEUTRAL) for names in sets)

    @property
    def collapsed(self) -> str | None:
        """Words where a seed has no emotion, or the same, in all recordings, and the references have another."""
        truth = set(self.emotions)
        for row in self.hypotheses:
            names = {segment.emotion for segments in row for segment in segments} - {NEUTRAL}
            if not names and truth != {NEUTRAL}:
                return f"no emotion in any of {count_noun(len(self.references), 'recording')}"
            if len(names) == 1 and truth - names - {NEUTRAL}:
                return f"no emotion but {min(names)} in {count_noun(len(self.references), 'recording')}"
        return None

    def error_times(self) -> tuple[tuple[ErrorTimes, ...], ...]:
        """(S, N): the errors of each recording, in seconds."""
        return tuple(
            tuple(
                error_times(reference, hypothesis, duration, collar=self.collar, neutral_as=self.neutral_as)
                for reference, hypothesis, duration in zip(self.references, row, self.durations)
            )
            for row in self.hypotheses
        )

    def seeds(self) -> tuple[TimelineEvaluation, ...]:
        """The evaluation of each seed by itself."""
        return tuple(replace(self, hypotheses=(row,)) for row in self.hypotheses)

    def is_paired_with(self, other: BaseEvaluation) -> bool:
        """Whether both hold timelines of the same recordings in the same order, scored alike."""
        return isinstance(other, TimelineEvaluation) and all(
            getattr(self, name) == getattr(other, name)
            for name in ("references", "durations", "speakers", "collar", "neutral_as")
        )

    def clusters(self) -> Clusters:
        """Sums (S, J, E, 2, 5) of each speaker, or recording of an unknown one, by the E emotions of recordings.

        Groups are all recordings and those of each emotion, weighed by number and then by scored seconds: what the mean
        over utterances and what the pooled rate depends on.
        """
        sums = self.sums
        owner, index = clusters_of(self.speakers)[1], self._emotion_index()
        counts = _summed(sums, owner, index, int(owner.max()) + 1)
        numbers, seconds = counts[0, :, :, 1, 4], counts[0, :, :, 0, 4]  # (J, E)
        groups = [part for sizes in (numbers, seconds) for part in (sizes.sum(1, keepdims=True), sizes)]
        return Clusters(counts, np.concatenate(groups, 1), np.ones(len(numbers)))

    def influence(self, measure: Measure, total: Floats) -> Influence:
        """All columns of a measure follow all recordings."""
        return self._influence(measure, total, 0, 1 + len(PARTS))

    def parts(self, parts: Sequence[Sequence[int]]) -> Floats:
        """(S, P, E, 2, 5): sums of each of P subsets of the recordings."""
        rows = np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return _summed(self.sums[:, rows], owner, self._emotion_index()[rows], len(parts))

    def columns(self, measure: Measure) -> tuple[Column, ...]:
        """EDER ("EDER"), and its parts ("EDER missed")."""
        count = int(self.sums[0, :, 1, 4].sum())
        return tuple(Column(name, count) for name in _names(measure.name))

    def column_values(self, measure: Measure, counts: Floats) -> Floats:
        """(..., E, 2, 5) -> (..., 5)."""
        return _values(measure, counts.sum(-3))

    def details(self, clusters: Clusters) -> list[Estimate]:
        """The same over the recordings of each emotion: "EDER anger", "EDER anger missed" ...

        A recording whose reference has more than one emotion is one of SEVERAL_EMOTIONS.
        """
        names, total = sorted(set(self.emotions)), clusters.total
        estimates: list[Estimate] = []
        for measure in all_measures(self.of):
            for index, emotion in enumerate(names):
                count = int(total[0, index, 1, 4])
                scored = jackknife(
                    clusters,
                    lambda sums, index=index, measure=measure: _values(measure, sums[..., index, :, :]),  # type: ignore[misc]
                    self._influence(measure, total, 1 + index, 1 + len(PARTS)),
                )
                estimates += [
                    Estimate(
                        name, float(scored.values[column]), *scored.interval(column, measure.range, count), count,
                        self.intervals_over,
                    )
                    for column, name in enumerate(_names(f"{measure.name} {emotion}"))
                ]  # fmt: skip
        return estimates

    def _influence(self, measure: Measure, total: Floats, group: int, columns: int) -> Influence:
        """Columns that follow a group of `clusters`; an utterance changes them by its share of what they are over."""
        assert isinstance(measure, TimelineMeasure)
        emotions = total.shape[1]
        weights = np.zeros((2 * (1 + emotions), columns))
        weights[measure.over_time * (1 + emotions) + group] = 1
        sums, index = self.sums[0], self._emotion_index()
        sizes = sums[index == group - 1] if group else sums
        sizes = sizes[:, 0 if measure.over_time else 1, 4]
        step = sizes.max() / sizes.sum() if sizes.sum() > 0 else 1.0
        return Influence(weights, np.full(columns, step))

    def _emotion_index(self) -> NDArray[np.int64]:
        """(N,): each recording's emotion, as an index in their sorted names."""
        emotions = self.emotions
        names = sorted(set(emotions))
        return np.array([names.index(emotion) for emotion in emotions], dtype=np.int64)


def _sums(times: Sequence[Sequence[ErrorTimes]]) -> Floats:
    """Errors of S seeds and N recordings -> (S, N, 2, 5); zeros where nothing of a recording is scored."""
    seconds = np.array([[(*recording.parts, recording.scored) for recording in row] for row in times])
    scored = seconds[..., 4:]
    shares = np.divide(seconds, scored, out=np.zeros_like(seconds), where=scored > 0)
    return np.stack([seconds, shares], -2)


def _summed(sums: Floats, owner: NDArray[np.int64], emotion: NDArray[np.int64], owners: int) -> Floats:
    """(S, N, 2, 5), and (N,) of the owners and of the emotions -> (S, owners, E, 2, 5)."""
    counts = np.zeros((owners, emotion.max() + 1, len(sums), *sums.shape[2:]))
    np.add.at(counts, (owner, emotion), sums.swapaxes(0, 1))
    return np.moveaxis(counts, 2, 0)


def _names(title: str) -> tuple[str, ...]:
    return (title, *(f"{title} {part}" for part in PARTS))


def _values(measure: Measure, sums: Floats) -> Floats:
    """(..., 2, 5) -> (..., 5): the measure and its parts."""
    assert isinstance(measure, TimelineMeasure)
    parts = measure.parts(sums)
    return np.concatenate([parts.sum(-1, keepdims=True), parts], -1)
