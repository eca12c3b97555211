"""Does it work equally well for everyone: scores of groups of speakers, and the gaps between them."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.report.blocks import Section, Table, interval, signed_interval
from emobridge.report.record import GroupFact, StudyRecord
from emobridge.report.systems import name_in
from emobridge.scores.base import Estimate
from emobridge.scores.by_group import gap_in_words
from emobridge.scores.groups import GroupGap, GroupScore
from emobridge.scores.measures.base import RECALL

TITLE = "Does it work equally well for everyone?"
TEXT = (
    "A group is all scored utterances of speakers (or recordings) with one value of a column of the manifest. Its "
    "interval is over its own speakers. The gap of two groups is the difference of their scores; its interval says how "
    "large the gap may be among other speakers, and one that holds 0 leaves open which group does better. p is "
    "corrected for the number of pairs of a column (Holm 1979). Groups differ in more than their name: in what was "
    "said, how it was recorded, and in few speakers by chance. docs/fairness.md says how to read this."
)


def group_section(record: StudyRecord) -> Section | None:
    """A table of groups and one of gaps, the target first; None where no groups were told apart."""
    facts = sorted(record.by_group, key=lambda fact: fact.side != "target")
    if not facts:
        return None
    blocks = [_group_table(record, facts), _recall_table(record, facts), _gap_table(record, facts)]
    return Section(TITLE, (TEXT,), blocks=tuple(block for block in blocks if block.rows))


def largest_gap_line(record: StudyRecord, method: str) -> str:
    """The largest gap of a method on the target by each column, in a sentence; "" where none is known."""
    parts = [
        f"by {fact.result.column} {gap_in_words(gap)}"
        for fact in record.by_group
        if (fact.method, fact.side) == (method, "target") and (gap := fact.result.largest) is not None
    ]
    return f"Largest gaps between groups of target speakers: {'; '.join(parts)}" if parts else ""


def _group_table(record: StudyRecord, facts: Sequence[GroupFact]) -> Table:
    rows = []
    for fact in facts:
        for score in fact.result.scores:
            whole = [row for row in score.estimates if RECALL not in row.measure.split()[:2]]
            cells = [_cell(row) for row in whole[:2]] or ["no label that its speakers share"]
            n = str(whole[0].n) if whole else "0"
            rows.append(
                (
                    name_in(record, fact), fact.side, fact.result.column, score.group, str(score.speakers), n,
                    *cells, *[""] * (2 - len(cells)), _labels(record, score.labels),
                )
            )  # fmt: skip
    caption = "Measured. Scores by group with 95 % intervals over the speakers of the group; per cent, CCC as it is"
    columns = ("system", "scored on", "column", "group", "speakers", "n", _lead(facts), "WA", "labels")
    return Table(caption, columns, tuple(rows))


def _recall_table(record: StudyRecord, facts: Sequence[GroupFact]) -> Table:
    rows = [
        (
            name_in(record, fact), fact.side, fact.result.column, score.group,
            *(_cell(_recall(score, label)) for label in record.labels),
        )
        for fact in facts
        for score in fact.result.scores
    ]  # fmt: skip
    caption = "Measured. Recall by class and group, per cent, with 95 % intervals over the speakers of the group"
    return Table(
        caption, ("system", "scored on", "column", "group", *record.labels), tuple(rows if record.labels else ())
    )


def _gap_table(record: StudyRecord, facts: Sequence[GroupFact]) -> Table:
    rows = [
        (
            name_in(record, fact), fact.side, fact.result.column, f"{gap.first} minus {gap.second}",
            signed_interval(gap.estimate) if gap.labels else "no label in common",
            "" if gap.p != gap.p else f"{gap.p:.3f}", _shared(gap),
            "" if gap.change is None else signed_interval(gap.change), _labels(record, gap.labels),
        )
        for fact in facts
        for gap in fact.result.gaps
    ]  # fmt: skip
    caption = (
        "Measured. Gaps between groups in points with 95 % intervals, p after Holm; last how the gap differs from that "
        f"of {record.baseline}, paired by speaker"
    )
    columns = (
        "system", "scored on", "column", "gap", "points", "p", "speakers in both",
        f"minus the gap of {record.baseline}", "labels",
    )  # fmt: skip
    return Table(caption, columns, tuple(rows))


def _lead(facts: Sequence[GroupFact]) -> str:
    measures = dict.fromkeys(
        "CCC" if score.estimates[0].measure.startswith("group CCC") else "UA"
        for fact in facts for score in fact.result.scores if score.estimates
    )  # fmt: skip
    return " or ".join(measures) or "UA"


def _recall(score: GroupScore, label: str) -> Estimate | None:
    return next((row for row in score.estimates if row.measure.startswith(f"group {RECALL} {label} ")), None)


def _cell(row: Estimate | None) -> str:
    return "" if row is None else interval(row.measure, row.value, row.low, row.high)


def _labels(record: StudyRecord, labels: Sequence[str]) -> str:
    """The label set where it is not that of the study."""
    return "" if set(labels) >= set(record.labels) else ", ".join(labels)


def _shared(gap: GroupGap) -> str:
    return str(gap.shared) if gap.shared else ""
