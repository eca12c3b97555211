"""The section on how a method was chosen without target labels, and how well that went."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import spearmanr

from emobridge.report.blocks import Section, Table, percent
from emobridge.report.record import CandidateRow


def choice_section(candidates: Sequence[CandidateRow], validator: str) -> Section | None:
    """Candidates by what validators make of them; with target labels, how each validator ranks against the truth."""
    if not candidates:
        return None
    names = [name for name, _ in candidates[0].judged]
    scored = all(one.ua is not None for one in candidates)
    rows = [
        (
            f"{one.method}{' (chosen)' if one.chosen else ''}",
            *("unknown" if value != value else f"{value:.3f}" for _, value in one.judged),
            *([percent(one.ua)] if one.ua is not None else []),
        )
        for one in candidates
    ]
    columns = ("method", *names, *(["UA on the target, unseen"] if scored else []))
    caption = f"Measured. Candidates and what each validator makes of them, higher is better; chosen by: {validator}."
    blocks = [Table(caption, columns, tuple(rows))]
    if scored and len(candidates) > 2:
        agreement = tuple((name, f"{rank:+.2f}") for name, rank in ranks(candidates))
        caption = "Measured. Spearman correlation of each validator with the true UA on the target, over candidates."
        blocks.append(Table(caption, ("validator", "correlation"), agreement))
    told = (
        "No target label entered this choice. A validator is a guess: none is right on every pair of languages.",
        "consensus: share of utterances called as the other candidates call them. source: UA on held-out speakers of "
        "the source. agreement: between seeds. bnm, infomax, snd, sureness: from the predictions alone.",
    )
    return Section("Choosing without target labels", told, blocks=tuple(blocks))


def ranks(candidates: Sequence[CandidateRow]) -> list[tuple[str, float]]:
    """Each validator's Spearman correlation with the true UA, in [-1, 1]; NaN where either is all the same."""
    truth = [one.ua for one in candidates]
    found = []
    for place, (name, _) in enumerate(candidates[0].judged):
        values = [one.judged[place][1] for one in candidates]
        alike = len(set(values)) < 2 or len(set(truth)) < 2
        found.append((name, float("nan") if alike else float(spearmanr(values, truth).statistic)))
    return found
