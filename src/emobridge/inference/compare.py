"""How well each way of choosing a branch does, on speech whose languages and emotions are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.features import stored_features
from emobridge.inference.routing import ALL, UNTOLD, answers, check_untold, modes_of, sets_of, without_language
from emobridge.scores.measures.ua import Ua
from emobridge.types import Utterance

TOLD = "told"  # the mode in which each utterance's language is


@dataclass(frozen=True, slots=True)
class Compared:
    """One mode on one language."""

    mode: str
    language: str
    ua: float  # in [0, 1], over the recogniser's labels
    own_branch: float | None  # share of utterances that the language's branch answered; None where all answer together
    n: int  # utterances
    seen: str = ""  # what the recogniser knows of them, as `types.Score.seen` has it


def compare(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    modes: Sequence[str] | None = None,
    store: str | Path | None = None,
) -> tuple[Compared, ...]:
    """Every mode on each language that a branch knows, in that order. Other utterances and labels are left out.

    modes: of "told" and routing.UNTOLD; by default all that the recogniser can serve. But for "told", utterances go in
    without language and corpus. Errors: UserError for a mode that it cannot serve, and where nothing is left.
    """
    if modes is None:
        modes = (TOLD, *(mode for mode in UNTOLD if _serves(recognizer, mode)))
    labelled = [utterance for utterance in utterances if utterance.emotion in recognizer.labels]
    pairs = [(row, branch) for row in labelled if (branch := recognizer.branch(row.language)) is not None]
    if not pairs:
        raise UserError(f"nothing to compare: no labelled utterance is in {', '.join(recognizer.languages)}")
    comparisons = []
    for mode in modes:
        scored = [row if mode == TOLD else without_language(row) for row, _ in pairs]
        by_row = modes_of(recognizer, scored, None if mode == TOLD else mode)
        features, rows = stored_features(recognizer, scored, [sets_of(recognizer, by) for by in by_row], store)
        values, answered_by = answers(recognizer, scored, dict(zip(rows, by_row)), features)
        for language in dict.fromkeys(row.language for row, _ in pairs):
            rows = [index for index, (row, _) in enumerate(pairs) if row.language == language]
            truth = [str(pairs[row][0].emotion) for row in rows]
            best = values[rows, : len(recognizer.labels)].argmax(1).tolist()
            predicted = [recognizer.labels[label] for label in best]
            hits = [answered_by[row] == recognizer.branches.index(pairs[row][1]) for row in rows]
            share = None if ALL in answered_by else sum(hits) / len(hits)
            score = Ua()(truth, predicted, labels=recognizer.labels)
            seen = recognizer.exposure([pairs[row][0] for row in rows]).gravest
            comparisons.append(Compared(mode, language, score, share, len(rows), seen))
    return tuple(comparisons)


def _serves(recognizer: Recognizer, mode: str) -> bool:
    try:
        check_untold(recognizer, mode)
    except UserError:
        return False
    return True
