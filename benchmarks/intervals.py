"""How often 95 % intervals hold the truth, and how often equal systems are called different, by simulation.

    python benchmarks/intervals.py [--simulations 2000] [--out docs/results/intervals.md]

Speakers are drawn from a population whose true scores are known; they differ in how well they are recognised, in each
emotion too, and in how much they say. The intervals and tests are those of the package; beside them stand the ones that
it had before: percentiles of 1,000 draws of speakers with replacement, and Welch's test over seeds. The exit code is 1
where the package's own are outside the bounds. It takes some ten minutes of CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.base import BaseEvaluation
from emobridge.scores.classes import Evaluation
from emobridge.scores.confusion import f1_by_class, recall_by_class
from emobridge.scores.jackknife import Clusters
from emobridge.scores.measures.base import all_measures, measure_named
from emobridge.scores.welch import welch
from emobridge.types import Range

Floats = NDArray[np.float64]

SPEAKERS = (4, 6, 8, 10, 24)
COVERAGE = (92.0, 97.0)  # per cent, bounds
FALSE_POSITIVES = (3.0, 7.0)
LABELS = ("anger", "happiness", "neutral", "sadness")
RECALL = f"recall {LABELS[0]}"
LEVELS = {0.36: (-1.4, -0.6, 0.2, -1.0), 0.58: (-0.4, 1.2, 0.6, 0.2), 0.89: (1.8, 3.2, 2.6, 2.2)}  # UA: log odds
SHARES = np.array([1.0, 0.6, 1.4, 1.0])  # of the emotions among utterances
MISTAKEN = np.array([[0, 3, 1, 1], [2, 0, 2, 1], [1, 1, 0, 4], [1, 1, 3, 0]], dtype=float)  # for what, in proportion
SPEAKER, EMOTION, SYSTEM, SEED, FIT = 0.5, 0.6, 0.3, 0.05, 0.2  # deviations of log odds: see `recalls`
SEEDS, SUBSETS = 5, 5
DRAWS = 1000
CCC_LEVELS = {0.40: 1.1, 0.77: 0.35}  # CCC: deviation of the noise
RATING = Range(-20, 20)


@dataclass(frozen=True)
class Corpus:
    """How speakers are drawn."""

    odds: Sequence[float] = LEVELS[0.58]  # of each emotion, for a middling speaker
    size: float = 14  # utterances of a speaker and emotion, on average
    spread: float = 0.4  # deviation of the logarithm of a speaker's number of utterances
    having: int | None = None  # how many speakers have the last emotion; None is all


@dataclass(frozen=True)
class Row:
    """A row of a table, with the values of the package and, in brackets, the earlier ones, by number of speakers."""

    name: str
    values: dict[int, float]
    earlier: dict[int, float]
    bounds: tuple[float, float] | None

    def cells(self, columns: Sequence[int]) -> list[str]:
        return [self.name, *(self._cell(column) for column in columns)]

    @property
    def is_outside(self) -> bool:
        return self.bounds is not None and any(
            not self.bounds[0] <= value <= self.bounds[1] for value in self.values.values()
        )

    def _cell(self, column: int) -> str:
        if column not in self.values:
            return ""
        before = f" ({self.earlier[column]:.1f})" if column in self.earlier else ""
        return f"{self.values[column]:.1f}{before}"


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, or write them into a page; 1 where a value of the package is outside its bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000, help="for each cell of a table")
    parser.add_argument("--out", type=Path, help="a page, whose part between the marks is replaced")
    options = parser.parse_args(arguments)
    sections = measure(options.simulations)
    text = "\n\n".join(f"{title}\n\n{table(rows)}" for title, rows in sections.items())
    print(text)
    if options.out:
        page = options.out.read_text(encoding="utf-8")
        before, _, old = page.partition("<!-- measured -->")
        after = old.partition("<!-- end of measured -->")[2]
        page = f"{before}<!-- measured -->\n{text}\n<!-- end of measured -->{after}"
        options.out.write_text(page, encoding="utf-8")
    outside = [row.name for rows in sections.values() for row in rows if row.is_outside]
    print("\n".join(f"outside its bounds: {name}" for name in outside), file=sys.stderr)
    return int(bool(outside))


def measure(simulations: int, speakers: Sequence[int] = SPEAKERS) -> dict[str, list[Row]]:
    """All tables by title."""
    return {
        f"Coverage of 95 % intervals, per cent (bounds {COVERAGE[0]:g} to {COVERAGE[1]:g}); in brackets that of the "
        "percentile bootstrap:": [*class_coverage(simulations, speakers), *ccc_coverage(simulations, speakers)],
        "Coverage of the interval of UA in hard cases, per cent (it may be too wide, but not too narrow: bound "
        f"{COVERAGE[0]:g}); in brackets that of the percentile bootstrap:": list(hard_cases(simulations, speakers)),
        "False positives of the paired difference of two equal systems at 5 %, per cent (bounds "
        f"{FALSE_POSITIVES[0]:g} to {FALSE_POSITIVES[1]:g}); in brackets those of the paired bootstrap:": [
            *class_differences(simulations, speakers),
            *ccc_differences(simulations, speakers),
        ],
        f"False positives at 5 % of tests between two equal methods that were trained with {SEEDS} seeds each:": tests(
            simulations, speakers
        ),
    }


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    lines = [("speakers", *map(str, columns)), ("---",) * (len(columns) + 1), *(row.cells(columns) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def class_coverage(simulations: int, speakers: Sequence[int]) -> Iterator[Row]:
    """UA, WA, F1 and the recall of an emotion, at three levels of difficulty."""
    for level, odds in LEVELS.items():
        corpus = Corpus(odds)
        truth = true_values(corpus)
        results = {count: _held(corpus, truth, count, simulations) for count in speakers}
        for name in truth:
            new = {count: 100 * held[name][0] for count, held in results.items()}
            old = {count: 100 * held[name][1] for count, held in results.items()}
            yield Row(f"{name} where UA is {level:.2f}", new, old, COVERAGE)


def hard_cases(simulations: int, speakers: Sequence[int]) -> Iterator[Row]:
    """Speakers of very unequal size, emotions of few speakers, scores near 1, few utterances."""
    nearly_right = (3.6, 4.6, 4.0, 4.2)
    cases = {
        "the largest speakers have 10 times as much as the smallest": Corpus(spread=0.8),
        "one emotion of four in 6 speakers' recordings only": Corpus(having=6),
        "one emotion of four in 2 speakers' recordings only": Corpus(having=2),
        "one emotion of four in 1 speaker's recordings only": Corpus(having=1),
        "UA is 0.97, and no speaker may have an error": Corpus(nearly_right),
        "UA is 0.97, speakers of very unequal size": Corpus(nearly_right, spread=0.8),
        "3 utterances of a speaker and emotion": Corpus(size=3),
    }
    for name, corpus in cases.items():
        counts = [count for count in speakers if corpus.having is None or count > corpus.having]
        truth = {"UA": true_values(corpus)["UA"]}
        results = {count: _held(corpus, truth, count, simulations)["UA"] for count in counts}
        new, old = ({count: 100 * pair[which] for count, pair in results.items()} for which in (0, 1))
        yield Row(name, new, old, (COVERAGE[0], 100.0))


def ccc_coverage(simulations: int, speakers: Sequence[int]) -> Iterator[Row]:
    """CCC at two levels."""
    for level, noise in CCC_LEVELS.items():
        truth, new, old = true_ccc(noise), {}, {}
        for count in speakers:
            random = np.random.default_rng((count, int(100 * level)))
            held = [_holds(ratings(random, count, noise)[0], {"CCC": truth})["CCC"] for _ in range(simulations)]
            new[count], old[count] = (100 * np.mean(held, axis=0)).tolist()
        yield Row(f"CCC where it is {level:.2f}", new, old, COVERAGE)


def class_differences(simulations: int, speakers: Sequence[int]) -> Iterator[Row]:
    """UA of two systems, each of which is better than the other for half of all speakers."""
    for level, odds in LEVELS.items():
        yield _differences(
            f"UA where it is {level:.2f}",
            lambda random, count, odds=odds: answers(random, Corpus(odds), count, systems=2),
            simulations,
            speakers,
        )


def ccc_differences(simulations: int, speakers: Sequence[int]) -> Iterator[Row]:
    for level, noise in CCC_LEVELS.items():
        yield _differences(
            f"CCC where it is {level:.2f}",
            lambda random, count, noise=noise: ratings(random, count, noise, systems=2),
            simulations,
            speakers,
        )


def tests(simulations: int, speakers: Sequence[int]) -> list[Row]:
    """The paired jackknife against Welch's test over seeds, and over seeds and subsets."""
    rates: dict[str, dict[int, float]] = {}
    for count in speakers:
        random = np.random.default_rng(count)
        found: dict[str, list[bool]] = {}
        for _ in range(simulations):
            pair = answers(random, Corpus(), count, systems=2, seeds=SEEDS)
            for name, is_different in _tests(*pair):
                found.setdefault(name, []).append(is_different)
        for name, outcomes in found.items():
            rates.setdefault(name, {})[count] = 100 * float(np.mean(outcomes))
    first = next(iter(rates))
    rows = [Row(name, values, {}, FALSE_POSITIVES if name == first else None) for name, values in rates.items()]
    name = "Welch between two groups of different speakers, a WA each, two-sided"
    values = {count: _false_positives_between_groups(simulations, count) for count in speakers}
    return [*rows, Row(name, values, {}, FALSE_POSITIVES)]


def _false_positives_between_groups(simulations: int, count: int) -> float:
    """Of Welch's test where its values are independent: one system, `count` speakers in each group; per cent."""
    random, outcomes = np.random.default_rng((count, 1947)), []
    for _ in range(simulations):
        groups = (answers(random, Corpus(), count)[0] for _ in range(2))
        outcomes.append(welch(*map(_of_speakers, groups), tail="two-sided").significant)
    return 100 * float(np.mean(outcomes))


def _of_speakers(evaluation: Evaluation) -> list[float]:
    """The WA of each speaker."""
    owners = np.array([int(speaker) for speaker in evaluation.speakers if speaker is not None])
    parts = [np.flatnonzero(owners == speaker).tolist() for speaker in range(owners.max() + 1)]
    return evaluation.per_subset(parts, measure="WA")["WA"]


def _tests(first: Evaluation, second: Evaluation) -> Iterator[tuple[str, bool]]:
    p = first.difference(second)[0].p
    yield "paired difference (jackknife over speakers)", p is not None and p <= 0.05
    everything = range(len(first.truth))
    by_seed = (system.per_subset([everything])["UA"] for system in (first, second))
    yield f"Welch over {SEEDS} seeds, two-sided", welch(*by_seed, tail="two-sided").significant
    owners = np.array([int(speaker) for speaker in first.speakers if speaker is not None])
    drawn = owners if owners.max() + 1 >= SUBSETS else np.arange(len(owners))
    parts = [np.flatnonzero(drawn % SUBSETS == part).tolist() for part in range(SUBSETS)]
    one, other = (system.per_subset(parts)["UA"] for system in (first, second))
    if not np.isnan([*one, *other]).any():
        p = min(welch(one, other).p, welch(other, one).p)
        yield f"Welch over {SEEDS} seeds x {SUBSETS} subsets, one-tailed, for the better of the two", p <= 0.05


def _differences(
    name: str, draw: Callable[..., Sequence[BaseEvaluation]], simulations: int, speakers: Sequence[int]
) -> Row:
    new, old = {}, {}
    for count in speakers:
        random = np.random.default_rng((count, *name.encode()))
        outcomes = np.zeros((simulations, 2))
        for row in range(simulations):
            first, second = draw(random, count)
            gap = first.difference(second)[0]
            samples = [system.lead.value(bootstrap_counts(system.clusters())).ravel() for system in (first, second)]
            low, high = np.percentile(samples[0] - samples[1], (2.5, 97.5))
            outcomes[row] = not gap.low <= 0 <= gap.high, not low <= 0 <= high
        new[count], old[count] = (100 * outcomes.mean(0)).tolist()
    return Row(name, new, old, FALSE_POSITIVES)


def _held(corpus: Corpus, truth: dict[str, float], count: int, simulations: int) -> dict[str, tuple[float, float]]:
    """How often the intervals of the package and of the bootstrap hold the truth, by measure."""
    random = np.random.default_rng((count, *np.abs(np.multiply(100, corpus.odds)).astype(int)))
    held = [_holds(answers(random, corpus, count)[0], truth) for _ in range(simulations)]
    return {name: tuple(np.mean([row[name] for row in held], axis=0).tolist()) for name in truth}


def _holds(evaluation: BaseEvaluation, truth: dict[str, float]) -> dict[str, tuple[bool, bool]]:
    """Whether the intervals of the package and of the bootstrap hold the truth, by measure."""
    clusters = evaluation.clusters()
    rows = evaluation.estimates(details=RECALL in truth)
    intervals = {row.measure.removesuffix(" arousal"): (row.low, row.high) for row in rows}
    drawn = bootstrap_counts(clusters)
    outcomes = {}
    for name, value in truth.items():
        formula = recall_by_class if name == RECALL else measure_named(name).value
        samples = formula(drawn).reshape(len(drawn), -1)[:, 0]
        low, high = intervals[name]
        lower, upper = np.nanpercentile(samples, (2.5, 97.5))
        outcomes[name] = bool(low <= value <= high), bool(lower <= value <= upper)
    return outcomes


def true_values(corpus: Corpus) -> dict[str, float]:
    """The scores over all speakers, by numeric integration over the deviations of speakers."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    deviation = np.sqrt(SPEAKER**2 + EMOTION**2 + SYSTEM**2)
    odds = np.array(corpus.odds)[:, None] + deviation * nodes
    recall = (weights / weights.sum() / (1 + np.exp(-odds))).sum(1)
    counts = SHARES[:, None] * ((1 - recall)[:, None] * MISTAKEN / MISTAKEN.sum(1, keepdims=True) + np.diag(recall))
    values = {measure.name: float(measure.value(counts)) for measure in all_measures("classes")}
    assert np.isclose(np.mean(f1_by_class(counts)), values["F1 macro"])
    return {**values, RECALL: float(recall[0])}


def answers(
    random: np.random.Generator, corpus: Corpus, count: int, systems: int = 1, seeds: int = 1
) -> list[Evaluation]:
    """What some systems, equal over all speakers, predict for the same `count` speakers.

    The log odds of being right are those of the emotion plus deviations of the speaker, of the speaker's emotion, of
    the speaker for the system, of the seed, and of the speaker for the seed.
    """
    normal, emotions = random.normal, len(LABELS)
    common = np.array(corpus.odds) + normal(0, SPEAKER, (count, 1)) + normal(0, EMOTION, (count, emotions))
    loud = np.exp(normal(0, corpus.spread, (count, 1)) - corpus.spread**2 / 2)
    numbers = np.maximum(1, np.round(corpus.size * loud * SHARES)).astype(int)
    if corpus.having is not None:
        numbers[corpus.having :, -1] = 0
    owner = np.repeat(np.arange(count), numbers.sum(1))
    truth = np.concatenate([np.repeat(np.arange(emotions), row) for row in numbers])
    names = np.array(LABELS, dtype=object)
    evaluations = []
    for _ in range(systems):
        of_system, predictions = common + normal(0, SYSTEM, (count, 1)), []
        for _ in range(seeds):
            extra = normal(0, SEED) + normal(0, FIT, (count, 1)) if seeds > 1 else 0.0
            odds = (of_system + extra)[owner, truth]
            right = random.random(len(truth)) < 1 / (1 + np.exp(-odds))
            predictions.append(tuple(names[np.where(right, truth, _mistaken(random, truth))]))
        speakers = tuple(map(str, owner.tolist()))
        evaluations.append(Evaluation(LABELS, tuple(names[truth]), tuple(predictions), speakers))
    return evaluations


def _mistaken(random: np.random.Generator, truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each true class one that it is mistaken for."""
    ends = np.cumsum(MISTAKEN / MISTAKEN.sum(1, keepdims=True), 1)
    classes: NDArray[np.int64] = (random.random(len(truth))[:, None] > ends[truth]).sum(1)
    return classes


def ratings(random: np.random.Generator, count: int, noise: float, systems: int = 1) -> list[AttributeEvaluation]:
    """Ratings x of `count` speakers, and y = (0.7 + gain of the speaker) x + bias of the speaker + noise."""
    numbers = np.maximum(2, np.round(40 * np.exp(random.normal(0, 0.4, count)))).astype(int)
    owner = np.repeat(np.arange(count), numbers)
    x = (random.normal(0, 0.5, count)[owner] + random.normal(0, 0.9, len(owner)))[:, None]
    speakers = tuple(map(str, owner.tolist()))
    evaluations = []
    for _ in range(systems):
        gain, bias = 0.7 + random.normal(0, 0.15, count)[owner], random.normal(0, 0.3, count)[owner]
        y = gain[:, None] * x + bias[:, None] + random.normal(0, noise, x.shape)
        evaluations.append(AttributeEvaluation(("arousal",), x, y[None], speakers, RATING))
    return evaluations


def true_ccc(noise: float) -> float:
    """2 s_xy / (s_x^2 + s_y^2): both means are 0."""
    x = 0.5**2 + 0.9**2
    return 2 * 0.7 * x / (x + (0.7**2 + 0.15**2) * x + 0.3**2 + noise**2)


def bootstrap_counts(clusters: Clusters) -> Floats:
    """(draws, 1, ...): counts of as many clusters as there are, drawn with replacement."""
    counts = clusters.counts[0]
    return np.tensordot(_draws(len(counts)), counts, ((1,), (0,)))[:, None]


@lru_cache(maxsize=32)
def _draws(count: int) -> Floats:
    """(draws, count): how often each of `count` clusters is drawn."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS).astype(float)


if __name__ == "__main__":
    sys.exit(main())
