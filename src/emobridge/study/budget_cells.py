"""The scores of a grid of label budgets: rows of scores.json, of cells.csv, and differences from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.methods.base import BASELINE
from emobridge.scores.base import DIFFERENCE, BaseEvaluation, Condition, Estimate
from emobridge.scores.measures.base import leading_measure
from emobridge.settings import Settings
from emobridge.study.budget import Grid, Outcome
from emobridge.study.record import saw, split_of
from emobridge.study.run import attribute_evaluation_of, evaluation_of
from emobridge.types import Score

SIDES = ("target", "source")


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of a grid. Values are in [0, 1]."""

    method: str
    target_labels: str  # a number or "all"
    normalisation: str
    align: str
    source: str  # corpora, joined by "+"
    target: str
    side: str  # which was scored
    seed: str  # a number, or "all" for the mean over seeds
    measure: str
    value: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    saw: str  # in words


@dataclass(frozen=True, slots=True)
class Gap:
    """A method's score minus the baseline's with the same labels and normalisation, on the same utterances."""

    method: str
    target_labels: str
    normalisation: str
    side: str
    measure: str
    estimate: Estimate


Found = tuple[Outcome, str, BaseEvaluation]  # a cell, a side, and what the cell said of it


def measures_of(settings: Settings) -> tuple[str, ...]:
    """What a grid is scored by: UA where there are emotions, and CCC of each attribute."""
    classes, attributes = (leading_measure(kind).name for kind in ("classes", "attributes"))
    return (*((classes,) if settings.labels else ()), *(f"{attributes} {name}" for name in settings.attributes))


def evaluations_of(grid: Grid) -> list[Found]:
    """What each cell said of the emotions and of the attributes of each side."""
    settings = grid.ready.settings
    found: list[Found] = []
    for outcome in grid.outcomes:
        for side in SIDES:
            mine = [one for one in outcome.predicted if one.side == side]
            emotions = evaluation_of(grid.speech, settings.labels, mine)
            attributes = attribute_evaluation_of(grid.speech, settings.attributes, mine)
            found += [(outcome, side, said) for said in (emotions, attributes) if said is not None]
    return found


def scores_of(grid: Grid, found: Sequence[Found]) -> list[Score]:
    """All measures of all cells, for each seed and for all together."""
    *sources, target = (corpus for corpus, _ in grid.speech.corpora)
    split = split_of(grid.speech, grid.ready.settings)
    rows: list[Score] = []
    for outcome, side, evaluation in found:
        settings = outcome.settings
        condition = Condition(
            run=Path(settings.out).name,
            method=settings.method,
            encoder=Path(settings.encoder).name,
            layer=settings.layer,
            normalisation=normalisation_of(settings.normalise, settings.align),
            source="+".join(sources),
            target=target,
            target_labels=settings.target_labels,
            split=split,
            side=side,
        )
        rows += evaluation.scores(condition)
    return rows


def cells_of(grid: Grid, scores: Sequence[Score]) -> list[Cell]:
    """The rows of cells.csv: those rows of scores.json that are told by, and what each method saw."""
    measures = measures_of(grid.ready.settings)
    known = {
        (s.method, s.target_labels, normalisation_of(s.normalise, s.align)): s
        for s in (outcome.settings for outcome in grid.outcomes)
    }
    words = {key: "; ".join(saw(settings)) for key, settings in known.items()}
    rows = []
    for row in scores:
        if row.measure in measures:
            key = row.method, row.target_labels, row.normalisation
            rows.append(
                Cell(
                    row.method, row.target_labels, known[key].normalise, known[key].align, row.source, row.target,
                    row.side, row.seed, row.measure, row.value, row.low, row.high, row.n, words[key],
                )
            )  # fmt: skip
    return rows


def gaps_of(found: Sequence[Found]) -> list[Gap]:
    """Each method against the baseline, paired: both see the same draw of speakers."""
    base = {_paired(*one): one[2] for one in found if one[0].settings.method == BASELINE}
    gaps = []
    for outcome, side, after in found:
        settings, before = outcome.settings, base.get(_paired(outcome, side, after))
        if settings.method != BASELINE and before is not None:
            for one in after.difference(before):
                measure = one.measure.removesuffix(DIFFERENCE)
                gaps.append(Gap(settings.method, settings.target_labels, settings.normalise, side, measure, one))
    return gaps


def _paired(outcome: Outcome, side: str, evaluation: BaseEvaluation) -> tuple[str, str, str, str]:
    return outcome.settings.target_labels, outcome.settings.normalise, side, evaluation.of


def normalisation_of(normalise: str, align: str) -> str:
    """Normalisation and alignment in a word, as scores name them.

    >>> normalisation_of("none", "coral"), normalisation_of("speaker", "none")
    ('none+coral', 'speaker')
    """
    return normalise if align == "none" else f"{normalise}+{align}"
