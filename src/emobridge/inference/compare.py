"""How well each way of choosing a branch does, on speech whose languages and emotions are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.inference.routing import ALL, UNTOLD, answers, check_untold, hidden, modes, sets_of, stored
from emobridge.scores.measures.ua import Ua
from emobridge.types import Utterance

TOLD = "told"  # the mode in which each utterance's language is


@dataclass(frozen=True, slots=True)
class Compared:
    """One mode on one language."""

    mode: str
    language: str
    ua: float  # in [0, 1], over the recogniser's labels
    own: float | None  # share of utterances that its own branch answered; None where all branches answer together
    n: int  # utterances


def compare(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    *,
    modes_of: Sequence[str] | None = None,
    store: str | Path | None = None,
) -> tuple[Compared, ...]:
    """Every mode on each language that a branch knows, in that order. Other utterances and labels are left out.

    modes_of: of "told" and routing.UNTOLD; all by default that the recogniser can serve. But for "told", utterances
    are asked without language and corpus. Errors: UserError for a mode that it cannot serve, and where nothing is left.
    """
    asked = (TOLD, *UNTOLD) if modes_of is None else tuple(modes_of)
    if modes_of is None:
        asked = tuple(mode for mode in asked if mode == TOLD or _serves(recognizer, mode))
    known = [(one, recognizer.branch(one.language)) for one in utterances if one.emotion in recognizer.labels]
    pairs = [(one, branch) for one, branch in known if branch is not None]
    if not pairs:
        raise UserError(f"nothing to compare: no labelled utterance is in {', '.join(recognizer.languages)}")
    found = []
    for mode in asked:
        some = [one if mode == TOLD else hidden(one) for one, _ in pairs]
        wanted = modes(recognizer, some, None if mode == TOLD else mode)
        heard, rows = stored(recognizer, some, [sets_of(recognizer, each) for each in wanted], store)
        said, who = answers(recognizer, some, dict(zip(rows, wanted)), heard)
        for language in dict.fromkeys(one.language for one, _ in pairs):
            rows = [row for row, (one, _) in enumerate(pairs) if one.language == language]
            truth = [str(pairs[row][0].emotion) for row in rows]
            p = said[rows, : len(recognizer.labels)]
            guess = [recognizer.labels[best] for best in p.argmax(1).tolist()]
            own = [who[row] == recognizer.branches.index(pairs[row][1]) for row in rows]
            share = None if ALL in who else sum(own) / len(own)
            found.append(Compared(mode, language, Ua()(truth, guess, labels=recognizer.labels), share, len(rows)))
    return tuple(found)


def _serves(recognizer: Recognizer, mode: str) -> bool:
    try:
        check_untold(recognizer, mode)
    except UserError:
        return False
    return True
