"""How often the interval of a gap between two groups holds the true gap, by simulation.

    python benchmarks/group_gaps.py [--simulations 1000] [--out docs/results/group-gaps.md]

Speakers are drawn as in benchmarks/intervals.py: they differ in how well they are recognised, in each emotion too, and
in how much they say. Two groups of different speakers (women and men), of unequal size too, and two of the same
speakers (two microphones, one of them worse), are scored and compared by the package. The exit code is 1 where a
coverage is outside the bounds. It takes about four minutes of CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emobridge.scores.classes import Evaluation
from emobridge.scores.groups import groups_of, score_groups

BOUNDS = (90.0, 98.0)  # per cent
SPEAKERS = (4, 6, 8, 12, 24)  # of both groups together; of the same speakers in each
LABELS = ("anger", "happiness", "neutral", "sadness")
ODDS = np.array([-0.4, 1.2, 0.6, 0.2])  # of being right, as log odds, for a middling speaker
SPEAKER, EMOTION, MICROPHONE = 0.5, 0.6, 0.3  # deviations of log odds: of speakers, of their emotions, of microphones
SIZE, SPREAD = 14, 0.4  # utterances of a speaker and emotion, and the deviation of their logarithm
GAP = -0.8  # log odds by which the second group is recognised worse
POPULATION = 20_000  # speakers, whose mean is the true value

Study = Callable[[int, np.random.Generator], tuple[Evaluation, list[str]]]  # speakers -> predictions, group of each row


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it into a page; 1 where a coverage is outside its bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000, help="for each cell of the table")
    parser.add_argument("--out", type=Path, help="a page, whose part between the marks is replaced")
    options = parser.parse_args(arguments)
    rows = {name: coverages(study, options.simulations) for name, study in STUDIES.items()}
    text = table(rows)
    print(text)
    if options.out:
        page = options.out.read_text(encoding="utf-8")
        before, _, old = page.partition("<!-- measured -->")
        after = old.partition("<!-- end of measured -->")[2]
        page = f"{before}<!-- measured -->\n{text}\n<!-- end of measured -->{after}"
        options.out.write_text(page, encoding="utf-8")
    outside = [name for name, values in rows.items() if not all(BOUNDS[0] <= v <= BOUNDS[1] for v in values.values())]
    print("\n".join(f"outside its bounds: {name}" for name in outside), file=sys.stderr)
    return int(bool(outside))


def table(rows: dict[str, dict[int, float]]) -> str:
    """Markdown."""
    columns = list(next(iter(rows.values())))
    lines = [("speakers", *map(str, columns)), ("---",) * (len(columns) + 1)]
    lines += [(name, *(f"{values[column]:.1f}" for column in columns)) for name, values in rows.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def coverages(
    study: Callable[[int, np.random.Generator], tuple[Evaluation, list[str]]], count: int
) -> dict[int, float]:
    """By the number of speakers the share of simulations, in per cent, whose interval holds the true gap."""
    truth = true_gap()
    result = {}
    for speakers in SPEAKERS:
        random = np.random.default_rng(speakers)
        held = 0
        for _ in range(count):
            evaluation, groups = study(speakers, random)
            (gap,) = score_groups(evaluation, "group", groups_of(groups)).gaps
            held += bool(gap.estimate.low <= truth <= gap.estimate.high)
        result[speakers] = 100 * held / count
    return result


def true_gap() -> float:
    """UA of the first group minus UA of the second, over all speakers of the population."""
    random = np.random.default_rng(0)
    odds = ODDS + random.normal(0, SPEAKER, (POPULATION, 1)) + random.normal(0, EMOTION, (POPULATION, len(LABELS)))
    noise = random.normal(0, MICROPHONE, odds.shape)
    return float((_share(odds + noise) - _share(odds + GAP + noise)).mean())


def apart(speakers: int, random: np.random.Generator, first: float = 0.5) -> tuple[Evaluation, list[str]]:
    """Two groups of different speakers; `first` is the share of the first one, of two speakers at least."""
    count = max(2, round(first * speakers))
    shifts = [{"a": 0.0} if number < count else {"b": GAP} for number in range(speakers)]
    return _evaluation(shifts, random)


def unequal(speakers: int, random: np.random.Generator) -> tuple[Evaluation, list[str]]:
    """The same with a quarter of the speakers in the first group."""
    return apart(speakers, random, first=0.25)


def within(speakers: int, random: np.random.Generator) -> tuple[Evaluation, list[str]]:
    """Two groups of the same speakers."""
    return _evaluation([{"a": 0.0, "b": GAP}] * speakers, random)


STUDIES = {
    "different speakers, half in each group": apart,
    "different speakers, a quarter in the first group": unequal,
    "the same speakers in both groups": within,
}


def _evaluation(shifts: list[dict[str, float]], random: np.random.Generator) -> tuple[Evaluation, list[str]]:
    """What a system predicts for speakers of groups with a shift of their log odds; and the group of each row."""
    truth, predictions, names, groups = [], [], [], []
    for number, shift in enumerate(shifts):
        odds = ODDS + random.normal(0, SPEAKER) + random.normal(0, EMOTION, len(LABELS))
        size = max(2, round(SIZE * np.exp(random.normal(0, SPREAD))))
        for group, by in shift.items():
            right = _share(odds + by + random.normal(0, MICROPHONE, len(LABELS)))
            for index, label in enumerate(LABELS):
                others = [other for other in LABELS if other != label]
                hits = random.random(size) < right[index]
                truth += [label] * size
                predictions += [label if hit else others[random.integers(len(others))] for hit in hits]
                names += [f"s{number:02}"] * size
                groups += [group] * size
    return Evaluation(LABELS, tuple(truth), (tuple(predictions),), tuple(names)), groups


def _share(odds: np.ndarray) -> np.ndarray:
    shares: np.ndarray = 1 / (1 + np.exp(-odds))
    return shares


if __name__ == "__main__":
    raise SystemExit(main())
