"""Scores of a listening test as flat rows of scores.json: of each cell, each listener and each model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from emobridge.listening.records import ListeningItem
from emobridge.listening.scoring import LISTENED_ITEMS, ScoredListener, cell_language, listener_counts
from emobridge.report.listeners import ListenerCell, ModelCell
from emobridge.scores.confusion import recall_by_class
from emobridge.scores.measures.base import RECALL, all_measures
from emobridge.scores.measures.ua import Ua
from emobridge.scores.paired import Mean, mean_of
from emobridge.types import Score


def cell_scores(
    cell: ListenerCell, listeners: Sequence[ScoredListener], items: Sequence[ListeningItem]
) -> Iterator[Score]:
    """Every measure of classes and recall by emotion as means over listeners, agreement, EDER, UA of each listener."""
    presented = [item for item in items if cell_language(item.language) == cell.language]
    by_number = {scored.row.number: scored for scored in listeners}
    counts = np.array([listener_counts(by_number[number], presented, cell.labels) for number in cell.listeners])
    if len(counts):
        for measure in all_measures("classes"):
            yield _score(cell, measure.name, mean_of(measure.value(counts).tolist(), within=measure.range))
        recalls = recall_by_class(counts)
        for index, label in enumerate(cell.labels):
            if any(item.emotion == label for item in presented):
                yield _score(cell, f"{RECALL} {label}", mean_of(recalls[:, index].tolist(), within=(0, 1)))
    for name, agreement in (("Fleiss' kappa", cell.kappa), ("Krippendorff's alpha", cell.alpha)):
        if agreement.items:
            yield _score(cell, name, Mean(agreement.value, agreement.low, agreement.high, agreement.items))
    if cell.marks is not None and not math.isnan(cell.marks.eder.value):
        yield _score(cell, "EDER", cell.marks.eder)
        yield _score(cell, "EDER pooled", mean_of([cell.marks.pooled]))
        for emotion, mean in cell.marks.by_emotion:
            yield _score(cell, f"EDER {emotion}", mean)
    for number, value in zip(cell.listeners, cell.values):
        yield _score(cell, Ua.name, mean_of([value]), who=f"{cell.who}, {number}")


def count_scores(cell: ModelCell) -> Iterator[Score]:
    """The measures of a model of which only counts are known, without intervals."""
    counts = np.array(cell.counts, dtype=float)
    for measure in all_measures("classes"):
        value = float(measure.value(counts))
        yield Score(
            run="listening", method=cell.name, encoder="", layer="", normalisation="", source="",
            target=cell.language, target_labels="", seed="all", split=LISTENED_ITEMS, side="target",
            measure=measure.name, labels=",".join(cell.labels), value=value, low=math.nan, high=math.nan, n=cell.n,
            setting=cell.setting,
        )  # fmt: skip


def _score(cell: ListenerCell, measure: str, mean: Mean, *, who: str = "") -> Score:
    return Score(
        run="listening", method=who or cell.who, encoder="", layer="", normalisation="", source="",
        target=cell.language, target_labels="", seed="all", split=LISTENED_ITEMS, side="target", measure=measure,
        labels=",".join(cell.labels), value=mean.value, low=mean.low, high=mean.high, n=cell.items,
        setting=cell.setting,
    )  # fmt: skip
