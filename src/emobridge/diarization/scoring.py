"""Scores of timelines against a reference: EDER and its parts, and errors of boundaries; see `scores.diarization`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.data.audio import END_TOLERANCE
from emobridge.diarization.base import FrameModel
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
        rows = [("EDER, %", f"over {data.intervals_over}", *PARTS, "n"), *_table(data.estimates())]
        widths = [max(map(len, column)) for column in zip(*rows)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        unmatched = f"{errors.missed:,} of the reference without a match, {errors.inserted:,} of the timeline"
        matched = f"{len(errors.distances):,} matched"
        if errors.distances:
            matched += f", median {errors.median:.2f} s apart"
        warnings = [f"warning: nothing is told apart: {data.collapsed}"] if data.collapsed else []
        return [*warnings, *table, f"boundaries: {matched}; {unmatched}", *self.notes]


def score_timelines(
    predictions: Iterable[Prediction],
    references: References,
    *,
    collar: float = 0.0,
    neutral_as: str = "absence",
    speakers: Mapping[str, str | None] | None = None,
) -> ScoredTimelines:
    """The rows of `diarize`, which tile each utterance that it was given, beside their references.

    A row with a label is a segment; one without is time without emotion. Each channel of a recording that was answered
    by itself is scored as a recording, and so is each utterance where a manifest names stretches of recordings: what
    lies between them is not scored. speakers: by the ids of utterances; by default those of the reference.
    collar, neutral_as: see `scores.diarization.error_times`.
    Errors: UserError where no recording has a reference, and as `References.find` and `error_times`.
    """
    rows: dict[tuple[ChannelOfFile, str], list[Prediction]] = {}
    for row in predictions:
        if row.start < row.end:
            rows.setdefault(((row.path or row.id, row.channel), row.id), []).append(row)
    files = list(dict.fromkeys(file for file, _ in rows))
    matches = references.find(files)
    parts = [(file, part) for (file, _), part in rows.items() if file in matches]
    spans = [(min(row.start for row in part), max(row.end for row in part)) for _, part in parts]
    known = speakers or {}
    evaluation = TimelineEvaluation(
        tuple(_within(matches[file].segments, span) for (file, _), span in zip(parts, spans)),
        (tuple(_within(segments_of(part), span) for (_, part), span in zip(parts, spans)),),
        tuple(end - start for start, end in spans),
        tuple(known.get(part[0].id) or matches[file].speaker for file, part in parts),
        collar,
        neutral_as,
    )
    ends: dict[ChannelOfFile, float] = {}
    for (file, _), (_, end) in zip(parts, spans):
        ends[file] = max(end, ends.get(file, 0.0))
    notes = (*references.notes, *_notes(len(files) - len(matches), references, matches, ends))
    return ScoredTimelines(tuple(file for file, _ in parts), evaluation, notes)


def timeline_condition(model: FrameModel, folder: str, reference: str) -> Condition:
    """What rows of scores.json say of a frame model from a folder, and of the reference, as far as they tell."""
    from emobridge.diarization.frame_model import Diarizer
    from emobridge.diarization.windowed import WindowedRecognizer

    facts = {"method": "diarizer", "encoder": "", "layer": "", "normalisation": "", "source": "", "target_labels": ""}
    if isinstance(model, Diarizer):
        spec = model.spec
        facts |= {"encoder": Path(spec.encoder).name, "layer": spec.layer, "normalisation": "none"}
        facts |= {"source": "+".join(spec.corpora), "head": spec.head}
    elif isinstance(model, WindowedRecognizer):
        bundle = model.branch.spec
        facts |= {"method": bundle.method, "encoder": Path(bundle.encoder).name, "layer": bundle.layer}
        facts |= {"normalisation": bundle.normalisation, "target_labels": bundle.target_labels, "head": bundle.head}
        facts |= {"source": "+".join(dict.fromkeys(corpus for corpus, _ in bundle.domains[:-1]))}
    path = Path(folder).resolve()
    facts |= {"run": path.parent.name if path.name == "bundle" else path.name, "target": Path(reference).stem}
    return Condition(**facts, split="all of the reference", side="target")


def segments_of(predictions: Sequence[Prediction]) -> tuple[Segment, ...]:
    """The rows with a label, as segments in order of time."""
    rows = [
        Segment(row.start, row.end, row.label, row.confidence)
        for row in predictions
        if row.label is not None and row.start < row.end
    ]
    return tuple(sorted(rows, key=lambda segment: (segment.start, segment.end)))


def _within(segments: Iterable[Segment], span: tuple[float, float]) -> tuple[Segment, ...]:
    """The segments in a span, counted from its start."""
    start, end = span
    times = ((segment, max(segment.start - start, 0.0), min(segment.end, end) - start) for segment in segments)
    return tuple(replace(segment, start=first, end=last) for segment, first, last in times if first < last)


def _notes(
    unmatched: int,
    references: References,
    matches: Mapping[ChannelOfFile, Reference],
    ends: Mapping[ChannelOfFile, float],
) -> Iterator[str]:
    if unmatched:
        yield f"not scored, since the reference has nothing of them: {count_noun(unmatched, 'recording')}"
    unused = len(references.references) - len({id(reference) for reference in matches.values()})
    if unused:
        yield f"references that no recording here has: {unused:,}"
    late = [
        matches[file].recording
        for file, end in ends.items()
        if any(end + END_TOLERANCE < segment.end < WITHOUT_END for segment in matches[file].segments)
    ]
    if late:
        yield (
            f"the reference goes on after the end of {count_noun(len(late), 'recording')} (the first: {late[0]}); what "
            "lies after it is cut off"
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
