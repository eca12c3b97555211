"""Does it work equally well for everyone: the scores of groups of utterances, and how far they are apart.

A group is all scored utterances with one value of a column: of women, of a site, of a microphone. Its score is that of
these utterances alone, with the jackknife interval over its own speakers. The gap of two groups A and B is

    g = g_A - g_B      V = sum_k (sqrt(f_A) (g_A,-k - g_A) - sqrt(f_B) (g_B,-k - g_B))^2      f = (K - 1) / K

over all speakers k, where a group without utterances of k does not change without k. Groups of different speakers, as
women and men, get V_A + V_B, which is Welch's variance; groups of the same speakers, as two microphones, get the paired
jackknife, in which what is hard about a speaker cancels. Student's t has the degrees of freedom of Bell & McCaffrey
2002, of two such groups 2 (K - 1) where they are alike. p values of the pairs of one column are corrected after Holm.

UA over other labels is another measure. A group is scored over the labels that two or more of its speakers have, and a
pair over those that both have; each score names its label set.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import DIFFERENCE, Condition, Estimate
from emobridge.scores.classes import Evaluation
from emobridge.scores.holm import holm
from emobridge.scores.jackknife import Clusters, Floats, Influence, Jackknife, jackknife
from emobridge.scores.measures.base import GAP, GROUP, RECALL, Measure, leading_measure, measure_named
from emobridge.types import Score, short_repr

LEAST_SPEAKERS = 2  # that an interval takes
Scorable = Evaluation | AttributeEvaluation
RowsOfGroups = Mapping[str, Sequence[int]]  # group -> its rows of an evaluation
Owner = str | int  # a speaker, or the utterance of one who is not known


@dataclass(frozen=True, slots=True)
class GroupScore:
    """How well a system does for one group."""

    group: str
    speakers: int  # with scored utterances; an utterance whose speaker is not known counts as one
    labels: tuple[str, ...]  # the label set of its scores (of CCC the attributes); () where none has enough speakers
    estimates: tuple[Estimate, ...]  # the leading measure first: "group UA gender=female"


@dataclass(frozen=True, slots=True)
class GroupGap:
    """The score of one group minus that of another."""

    first: str
    second: str
    labels: tuple[str, ...]  # that both have; () where there are none, and no gap
    shared: int  # speakers who are in both groups
    estimate: Estimate  # "gap UA gender=female minus male"; its p is not corrected
    p: float  # after Holm, over the pairs of the column; NaN where it cannot be judged
    change: Estimate | None = None  # the gap minus that of the baseline, paired; None of the baseline itself

    @property
    def is_shown(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.estimate.low > 0 or self.estimate.high < 0


@short_repr
@dataclass(frozen=True, slots=True)
class GroupResult:
    """One system by one column."""

    column: str
    scores: tuple[GroupScore, ...]
    gaps: tuple[GroupGap, ...]

    @property
    def largest(self) -> GroupGap | None:
        """The gap that is largest in size; None where there is none."""
        known = [gap for gap in self.gaps if gap.estimate.value == gap.estimate.value]
        return max(known, key=lambda gap: abs(gap.estimate.value), default=None)

    def rows(self, condition: Condition) -> list[Score]:
        """Rows of scores.json, of the mean over seeds."""
        pairs = [(estimate, score.labels) for score in self.scores for estimate in score.estimates]
        pairs += [(gap.estimate, gap.labels) for gap in self.gaps if gap.labels]
        return [
            Score(
                **asdict(condition), seed="all", measure=row.measure, labels=",".join(labels), value=row.value,
                low=row.low, high=row.high, n=row.n,
            )
            for row, labels in pairs
        ]  # fmt: skip


def groups_of(values: Sequence[str | None]) -> dict[str, list[int]]:
    """The rows of each group, from (N,) the group of each row; the groups in order, and those of None left out."""
    groups: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            groups.setdefault(value, []).append(row)
    return dict(sorted(groups.items()))


def score_groups(
    evaluation: Scorable, column: str, groups: RowsOfGroups, *, baseline: Scorable | None = None
) -> GroupResult:
    """The score of each group and the gap of each pair.

    column: names the groups in measures. groups: the rows of each, as `groups_of` gives them. baseline: the evaluation
    of another system on the same utterances; each gap then says how it differs from that system's.
    """
    cells = {name: _cells(evaluation, rows) for name, rows in groups.items()}
    before = None if baseline is None else {name: _cells(baseline, rows) for name, rows in groups.items()}
    scores = tuple(_group_score(evaluation, f"{column}={name}", name, part) for name, part in cells.items())
    gaps = [
        _gap(evaluation, column, (first, second), cells, before) for first, second in itertools.combinations(groups, 2)
    ]
    corrected = holm([np.nan if gap.estimate.p is None else gap.estimate.p for gap in gaps])
    return GroupResult(column, scores, tuple(replace(gap, p=p) for gap, p in zip(gaps, corrected)))


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """What is counted or summed of each of K owners of a group."""

    owners: tuple[Owner, ...]  # K
    counts: Floats  # (S, K, ...)
    sizes: Floats  # (K, G): utterances of each owner by true class or attribute

    def of_labels(self, evaluation: Scorable, labels: Sequence[str]) -> _Cells:
        """The same of the utterances with some of the labels alone; of attributes all."""
        if isinstance(evaluation, AttributeEvaluation):
            return self
        mask = np.array([label in labels for label in evaluation.labels], dtype=float)
        present = np.flatnonzero((self.sizes * mask).sum(1) > 0)
        counts = self.counts[:, present] * mask[:, None]
        return _Cells(tuple(self.owners[index] for index in present), counts, self.sizes[present] * mask)


def _cells(evaluation: Scorable, rows: Sequence[int]) -> _Cells:
    of_owner: dict[Owner, list[int]] = {}
    utterances = evaluation.utterances or range(len(evaluation.speakers))
    for row in rows:
        name = evaluation.speakers[row]
        of_owner.setdefault(utterances[row] if name is None else name, []).append(row)
    counts = evaluation.parts(list(of_owner.values()))
    return _Cells(tuple(of_owner), counts, evaluation.sizes_of(counts))


def _labels(evaluation: Scorable, groups: Sequence[_Cells]) -> tuple[str, ...]:
    """The labels that two speakers of each group have; of a group of a single speaker those that it has.

    Of attributes all, where each group has two known values or more of each.
    """
    if isinstance(evaluation, AttributeEvaluation):
        names = tuple(evaluation.names[index] for index in evaluation.scored)
        return names if all((part.sizes.sum(0) >= 2).all() for part in groups) else ()
    shared = np.ones(len(evaluation.labels), dtype=bool)
    for part in groups:
        shared &= (part.sizes > 0).sum(0) >= min(LEAST_SPEAKERS, len(part.owners))
    return tuple(label for label, is_shared in zip(evaluation.labels, shared) if is_shared)


def _group_score(evaluation: Scorable, title: str, name: str, cells: _Cells) -> GroupScore:
    labels, lead = _labels(evaluation, [cells]), leading_measure(evaluation.of)
    estimates = []
    if labels:
        part = cells.of_labels(evaluation, labels)
        measures = [lead] if evaluation.of == "attributes" else [lead, measure_named("WA")]
        estimates += [
            _estimate_of(evaluation, measure, part, f"{GROUP}{_name(evaluation, measure)} {title}")
            for measure in measures
        ]
        for label in labels if evaluation.of == "classes" else ():
            alone = cells.of_labels(evaluation, (label,))  # UA over one label is its recall
            estimates.append(_estimate_of(evaluation, lead, alone, f"{GROUP}{RECALL} {label} {title}"))
    return GroupScore(name, len(cells.owners), labels, tuple(estimates))


def _gap(
    evaluation: Scorable,
    column: str,
    pair: tuple[str, str],
    cells: Mapping[str, _Cells],
    before: Mapping[str, _Cells] | None,
) -> GroupGap:
    first, second = (cells[name] for name in pair)
    lead, labels = leading_measure(evaluation.of), _labels(evaluation, [first, second])
    title = f"{GAP}{_name(evaluation, lead)} {column}={pair[0]} minus {pair[1]}"
    shared = len({*first.owners} & {*second.owners})
    if not labels:
        return GroupGap(*pair, (), shared, Estimate(title, np.nan, np.nan, np.nan, 0, "speakers"), np.nan)
    parts = first.of_labels(evaluation, labels), second.of_labels(evaluation, labels)
    gap, change = _minus(evaluation, lead, parts), None
    if before is not None:
        earlier = before[pair[0]].of_labels(evaluation, labels), before[pair[1]].of_labels(evaluation, labels)
        difference = gap.minus(_minus(evaluation, lead, earlier))
        change = _gap_estimate(difference, lead, parts, f"{title}{DIFFERENCE}")
    return GroupGap(*pair, labels, shared, _gap_estimate(gap, lead, parts, title), np.nan, change)


def _jackknife_of(evaluation: Scorable, measure: Measure, cells: _Cells) -> Jackknife:
    clusters = Clusters(cells.counts, cells.sizes, np.ones(len(cells.owners)))
    influence = evaluation.influence(measure, clusters.total)
    return jackknife(clusters, lambda counts: evaluation.column_values(measure, counts), influence)


def _minus(evaluation: Scorable, measure: Measure, parts: Sequence[_Cells]) -> Jackknife:
    """The gap of two groups, its `without` so that the jackknife's own variance is V of the head of this file."""
    owners = {owner: index for index, owner in enumerate(dict.fromkeys((*parts[0].owners, *parts[1].owners)))}
    columns = [[owners[owner] for owner in part.owners] for part in parts]
    first, second = (_jackknife_of(evaluation, measure, part) for part in parts)
    seeds = first.seeds - second.seeds
    moved = np.zeros((len(seeds), len(owners), seeds.shape[-1]))
    sizes = []
    for scored, column, sign in ((first, columns[0], 1), (second, columns[1], -1)):
        share = np.sqrt((len(column) - 1) / len(column)) if len(column) >= LEAST_SPEAKERS else np.nan
        moved[:, column] += sign * share * (scored.without - scored.seeds[:, None])
        of_owner = np.zeros((len(owners), scored.clusters.sizes.shape[1]))
        of_owner[column] = scored.clusters.sizes
        sizes.append(of_owner)
    if len(owners) > 1:
        moved *= np.sqrt(len(owners) / (len(owners) - 1))
    weights = np.vstack([first.influence.weights, second.influence.weights])
    influence = Influence(weights, np.maximum(first.influence.steps, second.influence.steps))
    clusters = Clusters(np.empty((len(seeds), 0)), np.hstack(sizes), np.ones(len(owners)))
    return Jackknife(seeds, seeds[:, None] + moved, influence, clusters)


def _estimate_of(evaluation: Scorable, measure: Measure, cells: _Cells, title: str) -> Estimate:
    scored, n = _jackknife_of(evaluation, measure, cells), _utterances(cells, measure)
    column = scored.seeds.shape[-1] - 1  # the only one of classes, the mean of attributes
    interval = scored.interval(column, measure.range, n)
    return Estimate(title, float(scored.values[column]), *interval, n, _over([cells]))


def _gap_estimate(gap: Jackknife, measure: Measure, parts: Sequence[_Cells], title: str) -> Estimate:
    width = (measure.range[1] - measure.range[0]) * (2 if title.endswith(DIFFERENCE) else 1)
    column = gap.seeds.shape[-1] - 1
    interval, n = gap.interval(column, (-width, width), None), sum(_utterances(part, measure) for part in parts)
    return Estimate(title, float(gap.values[column]), *interval, n, _over(parts), gap.p(column))


def _name(evaluation: Scorable, measure: Measure) -> str:
    """The only row of a measure of classes, of attributes their mean: "UA", "CCC mean"."""
    return evaluation.columns(measure)[-1].name


def _utterances(cells: _Cells, measure: Measure) -> int:
    return int(cells.sizes.sum() if measure.of == "classes" else cells.sizes.sum(0).max())


def _over(parts: Sequence[_Cells]) -> str:
    """What intervals take as independent: see `BaseEvaluation.intervals_over`."""
    known = {isinstance(owner, str) for part in parts for owner in part.owners}
    return "speakers and utterances" if len(known) > 1 else "speakers" if known.pop() else "utterances"
