"""The section of tests between systems: paired by speaker, and Welch's as a published study has it."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.report.blocks import Section, Table
from emobridge.report.record import Contest, StudyRecord
from emobridge.report.systems import labels_in_words
from emobridge.scores.welch import SIGNIFICANCE

TEXT = (
    "Better, paired: the two-sided p of the difference on all utterances is {level} or less, by a jackknife over "
    "{over} with Student's t. Better, Welch: the one-tailed p of Welch's test (Welch 1947), as in the published study, "
    "over {count} values of each system: a score for each seed and each of {subsets} disjoint subsets of the test "
    "utterances ({by}). Seeds share the test speakers and are not independent, and the better system is the one that "
    "is tested: in simulation this test calls {rate} of pairs of equal systems different. What the paper resamples is "
    "not known. No p is corrected for the number of tests. All tests are in welch.csv."
)
RATE = "15 to 50 %"  # false positives of Welch's test, simulated: docs/results/intervals.md


def contest_section(record: StudyRecord) -> Section | None:
    """Each system with those that it is better than."""
    if not record.contests:
        return None
    norms = dict.fromkeys(contest.normalisation for contest in record.contests)
    groups: dict[tuple[str, str, str], list[Contest]] = {}
    for contest in record.contests:
        groups.setdefault((contest.measure, contest.side, contest.normalisation), []).append(contest)
    rows = []
    for (measure, side, norm), contests in groups.items():
        systems = dict.fromkeys(
            pair for c in contests for pair in ((c.better, c.better_labels), (c.worse, c.worse_labels))
        )
        for system in systems:
            won = [c for c in contests if (c.better, c.better_labels) == system]
            name = _name(*system) + (f", normalisation {norm}" if len(norms) > 1 else "")
            paired, by_welch = _beaten(won, [c.p for c in won]), _beaten(won, [c.welch_p for c in won])
            rows.append((measure, side, name, paired, by_welch))
    first = record.contests[0]
    text = TEXT.format(
        level=SIGNIFICANCE, over=record.intervals_over, count=first.values, subsets=first.subsets, by=first.drawn,
        rate=RATE,
    )  # fmt: skip
    caption = f"Measured. The systems that a system is better than, p <= {SIGNIFICANCE}."
    columns = ("measure", "scored on", "system", "better than, paired", "better than, Welch")
    return Section("Tests between systems", (text,), blocks=(Table(caption, columns, tuple(rows)),))


def _beaten(contests: Sequence[Contest], values: Sequence[float | None]) -> str:
    """The worse systems of those contests whose p is small."""
    names = [
        f"{_name(contest.worse, contest.worse_labels)} (p {p:.3f})"
        for contest, p in zip(contests, values)
        if p is not None and p <= SIGNIFICANCE
    ]
    return "; ".join(names) or "-"


def _name(method: str, target_labels: str) -> str:
    return f"{method}, {labels_in_words(target_labels)}"
