"""The section of Welch's tests between systems."""

from __future__ import annotations

from emobridge.report.blocks import Section, Table
from emobridge.report.record import Contest, StudyRecord
from emobridge.report.systems import labels_in_words
from emobridge.scores.welch import SIGNIFICANCE

WELCH_TEXT = (
    "One-tailed Welch tests (Welch 1947) of each system against each other, over {count} values of each: a score for "
    "every seed and each of {subsets} disjoint subsets of the test utterances ({by}). What the paper resamples is not "
    "known. Seeds share the utterances, so that p is smaller than it ought to be, and no p is corrected for the number "
    "of tests. The paired intervals above are the better answer. All tests are in welch.csv."
)


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
            beaten = [
                f"{_name(c.worse, c.worse_labels)} (p {c.p:.3f})"
                for c in contests
                if (c.better, c.better_labels) == system and c.p <= SIGNIFICANCE
            ]
            name = _name(*system) + (f", normalisation {norm}" if len(norms) > 1 else "")
            rows.append((measure, side, name, "; ".join(beaten) or "-"))
    first = record.contests[0]
    text = WELCH_TEXT.format(count=first.values, subsets=first.subsets, by=first.drawn)
    caption = f"Measured. The systems that a system is better than, one-tailed p <= {SIGNIFICANCE}."
    table = Table(caption, ("measure", "scored on", "system", "better than"), tuple(rows))
    return Section("Welch tests between systems", (text,), blocks=(table,))


def _name(method: str, target_labels: str) -> str:
    return f"{method}, {labels_in_words(target_labels)}"
