"""The one stretch that a listener marks in an item: errors against the truth's stretch, and agreement of listeners.

EDER is of `scores.diarization`: a listener's stretch with the emotion that was answered, against the item's own. Where
the truth has no stretches, what remains is how far two listeners' stretches overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from emobridge.listening.records import ListeningItem, Response
from emobridge.report.listeners import Marks
from emobridge.scores.diarization import NEUTRAL, PARTS, error_times
from emobridge.scores.paired import mean_of
from emobridge.types import Segment

MarkedTime = tuple[float, float]  # s


def marks_of(answers: Sequence[Mapping[str, Response]], items: Sequence[ListeningItem]) -> Marks | None:
    """What listeners marked. answers: of each listener, by item. None where nobody marked anything."""
    marked = [listener[item.id] for item in items for listener in answers if _is_marked(listener.get(item.id))]
    if not marked:
        return None
    emotional = [item for item in items if item.emotion != NEUTRAL]
    unmarked = [
        listener[item.id]
        for item in items
        for listener in answers
        if item.id in listener and not _is_marked(listener[item.id]) and listener[item.id].emotion != NEUTRAL
    ]
    overlaps = [mean_overlap([x.segment for x in marked if x.item == item.id and x.segment]) for item in items]
    scored = [item for item in emotional if item.segment is not None and item.seconds > 0]
    errors = [_errors(listener, scored) for listener in answers]
    emotions = tuple(dict.fromkeys(item.emotion for item in scored))
    times = [error for listener in errors for _, error in listener]
    seconds = math.fsum(error[0] for error in times)
    sums = [math.fsum(error[1][part] for error in times) for part in range(4)] if times else []
    return Marks(
        marked=len(marked), unmarked=len(unmarked),
        overlap=mean_of([value for value in overlaps if value == value], within=(0, 1)),
        eder=mean_of(_listener_means(errors, emotions), within=(0, 1)),
        pooled=math.fsum(sums) / seconds if seconds else math.nan,
        parts=tuple((name, total / seconds) for name, total in zip(PARTS, sums)),
        by_emotion=tuple(
            (emotion, mean_of(_listener_means(errors, (emotion,)), within=(0, 1))) for emotion in emotions
        ),
    )  # fmt: skip


_Error = tuple[float, tuple[float, ...]]  # seconds that are scored, and those of each part


def _errors(answers: Mapping[str, Response], items: Sequence[ListeningItem]) -> list[tuple[str, _Error]]:
    """The errors of a listener in each item that was answered and marked, with the item's emotion."""
    errors: list[tuple[str, _Error]] = []
    for item in items:
        answer = answers.get(item.id)
        if answer is None or (answer.segment is None and answer.emotion != NEUTRAL):
            continue
        hypothesis = [Segment(*answer.segment, answer.emotion)] if answer.segment else []
        assert item.segment is not None
        times = error_times([Segment(*item.segment, item.emotion)], hypothesis, item.seconds)
        errors.append((item.emotion, (times.scored, times.parts)))
    return errors


def _listener_means(errors: Sequence[Sequence[tuple[str, _Error]]], emotions: Sequence[str]) -> list[float]:
    """The mean EDER of each listener over the utterances of some emotions; without those who marked none."""
    means = []
    for listener in errors:
        rates = [math.fsum(parts) / seconds for emotion, (seconds, parts) in listener if emotion in emotions]
        if rates:
            means.append(math.fsum(rates) / len(rates))
    return means


def mean_overlap(stretches: Sequence[MarkedTime]) -> float:
    """The mean over all pairs of shared time / time of either, in [0, 1] (Jaccard); NaN of fewer than two stretches.

    >>> round(mean_overlap([(0.0, 2.0), (1.0, 3.0)]), 3)
    0.333
    """
    if len(stretches) < 2:
        return math.nan
    starts, ends = np.array(stretches).T
    sums = []
    for index in range(1, len(stretches)):  # each against those before it
        shared = np.minimum(ends[index], ends[:index]) - np.maximum(starts[index], starts[:index])
        shared = np.maximum(shared, 0)
        either = ends[index] - starts[index] + ends[:index] - starts[:index] - shared
        sums.append(float((shared / either).sum()))
    return math.fsum(sums) / (len(stretches) * (len(stretches) - 1) / 2)


def _is_marked(answer: Response | None) -> bool:
    return answer is not None and answer.segment is not None
