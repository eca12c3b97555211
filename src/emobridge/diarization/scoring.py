"""Scores of timelines against a reference: EDER and its parts, and errors of boundaries; see `scores.diarization`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from emobridge.data.audio import END_TOLERANCE, AudioError, duration
from emobridge.diarization.references import WITHOUT_END, Reference, References
from emobridge.errors import count_noun
from emobridge.scores.base import Condition, Estimate
from emobridge.scores.diarization import PARTS, BoundaryErrors, boundary_errors
from emobridge.scores.measures.base import measure_of
from emobridge.scores.timelines import TimelineEvaluation
from emobridge.types import Prediction, Score, Segment

ChannelOfFile = tuple[str, int | None]  # its path and the channel


@dataclass(frozen=True, slots=True)
class ScoredTimelines:
    """Timelines beside their references."""

    recordings: tuple[ChannelOfFile, ...]
    evaluation: TimelineEvaluation
    notes: tuple[str, ...] = ()

    @property
    def boundaries(self) -> BoundaryErrors:
        """The errors of boundaries of all recordings together."""
        data = self.evaluation
        each = [
            boundary_errors(reference, hypothesis, seconds, neutral_as=data.neutral_as)
            for reference, hypothesis, seconds in zip(data.references, data.hypotheses[0], data.durations)
        ]
        distances = tuple(distance for errors in each for distance in errors.distances)
        return BoundaryErrors(distances, sum(row.missed for row in each), sum(row.inserted for row in each))

    def scores(self, condition: Condition) -> list[Score]:
        """Rows for scores.json."""
        return self.evaluation.scores(condition)

    def lines(self) -> list[str]:
        """For a terminal: EDER by emotion with its interval and parts, boundaries, and what a reader must know."""
        data, errors = self.evaluation, self.boundaries
        widths = (26, 24, *(max(len(part), 6) for part in PARTS))
        rows = [("EDER, %", f"over {data.intervals_over}", *PARTS, "n"), *_table(data.estimates())]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 4))).rstrip() for row in rows]
        unmatched = f"{errors.missed:,} of the reference without a match, {errors.inserted:,} of the timeline"
        matched = f"{len(errors.distances):,} matched"
        if errors.distances:
            matched += f", median {errors.median:.2f} s apart"
        warnings = [f"warning: nothing is told apart: {data.collapsed}"] if data.collapsed else []
        return [*warnings, *table, f"boundaries: {matched}; {unmatched}", *self.notes]


def score_timelines(
    predictions: Iterable[Prediction], references: References, *, collar: float = 0.0, neutral_as: str = "absence"
) -> ScoredTimelines:
    """The rows of `diarize` beside their references.

    A row with a label is a segment; time without one is time without emotion. Each channel of a recording that was
    answered by itself is scored as a recording. collar, neutral_as: see `scores.diarization.error_times`.
    Errors: UserError where no recording has a reference, and as `References.find` and `error_times`.
    """
    rows: dict[ChannelOfFile, list[Prediction]] = {}
    for prediction in predictions:
        rows.setdefault((prediction.path or prediction.id, prediction.channel), []).append(prediction)
    matches = references.find(list(rows))
    scored = [recording for recording in rows if recording in matches]
    chosen = [matches[recording] for recording in scored]
    seconds = [_length(path, rows[path, channel]) for path, channel in scored]
    evaluation = TimelineEvaluation(
        tuple(reference.segments for reference in chosen),
        (tuple(segments_of(rows[recording]) for recording in scored),),
        tuple(seconds),
        tuple(reference.speaker for reference in chosen),
        collar,
        neutral_as,
    )
    unused = len(references.references) - len({id(reference) for reference in chosen})
    notes = [*references.notes, *_notes(len(rows) - len(scored), unused, chosen, seconds)]
    return ScoredTimelines(tuple(scored), evaluation, tuple(notes))


def segments_of(predictions: Sequence[Prediction]) -> tuple[Segment, ...]:
    """The rows with a label, as segments in order of time."""
    rows = [
        Segment(row.start, row.end, row.label, row.confidence)
        for row in predictions
        if row.label is not None and row.start < row.end
    ]
    return tuple(sorted(rows, key=lambda segment: (segment.start, segment.end)))


def _length(path: str, rows: Sequence[Prediction]) -> float:
    """Seconds of a recording, whose rows need not reach its end; where it is not there any more, to their end."""
    end = max(row.end for row in rows)
    try:
        return duration(path) if os.path.isfile(path) else end
    except AudioError:
        return end


def _notes(unmatched: int, unused: int, chosen: Sequence[Reference], seconds: Sequence[float]) -> Iterator[str]:
    if unmatched:
        yield f"not scored, since the reference has nothing of them: {count_noun(unmatched, 'recording')}"
    if unused:
        yield f"references that no recording here has: {unused:,}"
    late = [
        reference
        for reference, length in zip(chosen, seconds)
        if any(length + END_TOLERANCE < segment.end < WITHOUT_END for segment in reference.segments)
    ]
    if late:
        yield (
            f"the reference goes on after the end of {count_noun(len(late), 'recording')} (the first: "
            f"{late[0].recording}); what lies after it is cut off"
        )


def _table(estimates: Sequence[Estimate]) -> Iterator[tuple[str, ...]]:
    """A row for each measure, overall and by emotion: title, value with interval, parts, and n."""
    by_name = {row.measure: row for row in estimates}
    for name, estimate in by_name.items():
        if name.endswith(PARTS):
            continue
        measure = measure_of(name)
        of = name.removeprefix(measure.name).strip() or "all"
        value = measure.number(estimate.value)
        if not math.isnan(estimate.low):
            value += f" [{measure.number(estimate.low)}, {measure.number(estimate.high)}]"
        parts = [measure.number(by_name[f"{name} {part}"].value) for part in PARTS]
        pooling = measure.long_name.rpartition(", ")[2]
        yield f"{of}, {pooling}", value, *parts, str(estimate.n)
