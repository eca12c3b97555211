"""The scores of a grid of label budgets: rows of scores.json, of cells.csv, and differences from the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.analysis.label_budget import Grid, Outcome
from emobridge.metrics import Condition, Estimate, Evaluation, difference, to_scores
from emobridge.report.run import saw, split_of
from emobridge.runs import BASELINE, evaluation_of
from emobridge.types import Score

MEASURE = "UA"
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
    """UA of a method minus that of the baseline with the same labels and normalisation, on the same utterances."""

    method: str
    target_labels: str
    normalisation: str
    side: str
    estimate: Estimate


def evaluations_of(grid: Grid) -> list[tuple[Outcome, str, Evaluation]]:
    """What each cell said of each side."""
    labels = grid.ready.settings.labels
    found = []
    for outcome in grid.outcomes:
        for side in SIDES:
            said = evaluation_of(grid.speech, labels, [one for one in outcome.predicted if one.side == side])
            if said is not None:
                found.append((outcome, side, said))
    return found


def scores_of(grid: Grid, found: Sequence[tuple[Outcome, str, Evaluation]]) -> list[Score]:
    """All measures of all cells, for each seed and for all together."""
    *sources, target = (corpus for corpus, _ in grid.speech.corpora)
    split = split_of(grid.speech, grid.ready.settings)
    rows: list[Score] = []
    for outcome, side, evaluation in found:
        settings = outcome.settings
        rows += to_scores(
            evaluation,
            Condition(
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
            ),
        )
    return rows


def cells_of(grid: Grid, scores: Sequence[Score]) -> list[Cell]:
    """The rows of cells.csv: UA of the rows of scores.json, and what each method saw."""
    known = {
        (s.method, s.target_labels, normalisation_of(s.normalise, s.align)): s
        for s in (outcome.settings for outcome in grid.outcomes)
    }
    words = {key: "; ".join(saw(settings)) for key, settings in known.items()}
    rows = []
    for row in scores:
        if row.measure == MEASURE:
            key = row.method, row.target_labels, row.normalisation
            rows.append(
                Cell(
                    row.method, row.target_labels, known[key].normalise, known[key].align, row.source, row.target,
                    row.side, row.seed, row.measure, row.value, row.low, row.high, row.n, words[key],
                )
            )  # fmt: skip
    return rows


def gaps_of(found: Sequence[tuple[Outcome, str, Evaluation]]) -> list[Gap]:
    """Each method against the baseline, paired: both see the same draw of speakers."""
    base = {
        (outcome.settings.target_labels, outcome.settings.normalise, side): evaluation
        for outcome, side, evaluation in found
        if outcome.settings.method == BASELINE
    }
    return [
        Gap(s.method, s.target_labels, s.normalise, side, difference(before, evaluation))
        for s, side, evaluation in ((outcome.settings, side, evaluation) for outcome, side, evaluation in found)
        if s.method != BASELINE and (before := base.get((s.target_labels, s.normalise, side))) is not None
    ]


def normalisation_of(normalise: str, align: str) -> str:
    """Normalisation and alignment in a word, as scores name them.

    >>> normalisation_of("none", "coral"), normalisation_of("speaker", "none")
    ('none+coral', 'speaker')
    """
    return normalise if align == "none" else f"{normalise}+{align}"
