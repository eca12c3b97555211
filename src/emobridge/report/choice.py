"""The section on how a method was chosen without target labels, and how well that went."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import spearmanr

from emobridge.report.blocks import Section, Table, percent
from emobridge.report.record import CandidateRow, StudyRecord

CHOICE_TEXT = (
    "No target label entered this choice. A validator is a guess: none is right on every pair of languages.",
    "consensus: share of utterances that the candidate labels as the other candidates do. source: UA on held-out "
    "speakers of the source. agreement: between seeds. bnm, infomax, snd, sureness: from the predictions alone.",
)


def choice_section(record: StudyRecord) -> Section | None:
    """Each candidate's value by each validator; with target labels, how each validator ranks against the truth."""
    candidates = record.candidates
    if not candidates:
        return None
    names = [name for name, _ in candidates[0].judged]
    scored = all(candidate.ua is not None for candidate in candidates)
    rows = [
        (
            f"{candidate.method}{' (chosen)' if candidate.chosen else ''}",
            *("unknown" if value != value else f"{value:.3f}" for _, value in candidate.judged),
            *([percent(candidate.ua)] if candidate.ua is not None else []),
        )
        for candidate in candidates
    ]
    columns = ("method", *names, *(["UA on the target, unseen"] if scored else []))
    caption = (
        "Measured. What each validator gives each candidate; higher is better. "
        f"The method was chosen by: {record.validator}."
    )
    blocks = [Table(caption, columns, tuple(rows))]
    if scored and len(candidates) > 2:
        agreement = tuple((name, f"{rank:+.2f}") for name, rank in ranks(candidates))
        caption = "Measured. Spearman correlation of each validator with the true UA on the target, over candidates."
        blocks.append(Table(caption, ("validator", "correlation"), agreement))
    return Section("Choosing without target labels", CHOICE_TEXT, blocks=tuple(blocks))


def ranks(candidates: Sequence[CandidateRow]) -> list[tuple[str, float]]:
    """Each validator's Spearman correlation with the true UA, in [-1, 1]; NaN where either is all the same."""
    truth = [candidate.ua for candidate in candidates]
    correlations = []
    for index, (name, _) in enumerate(candidates[0].judged):
        values = [candidate.judged[index][1] for candidate in candidates]
        alike = len(set(values)) < 2 or len(set(truth)) < 2
        correlations.append((name, float("nan") if alike else float(spearmanr(values, truth).statistic)))
    return correlations
