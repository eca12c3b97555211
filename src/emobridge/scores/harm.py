"""The sign, without labels, that adaptation may harm; how it is measured stands in `study.harm`.

Recognisers that were adapted to halves of the target tell how much of an answer comes from the target, and how much
from chance. Where they disagree on many utterances, adaptation has mostly amplified chance. Where there are too few
utterances to adapt to, or one label is all the answer, agreement shows nothing, and that is a sign too.

Ours. How the thresholds were chosen stands in docs/results/harm.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.scores.measures.base import Floats

AGREEMENT = "agreement of halves"  # the measure of its rows in scores.json
LEAST_AGREEMENT = 0.75  # share of utterances that both label alike
LEAST_ADAPTED = 100  # unlabelled ones to adapt to


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmSign:
    """What one adapted system shows without labels, and what of it foretells harm."""

    utterances: int  # unlabelled ones that the smallest fit adapts to
    agreement: float = float("nan")  # in [0, 1]; NaN where it was not, or cannot be, measured
    compared: int = 0  # utterances that recognisers adapted to both halves labelled
    # By which the answers' mean confidence sinks to the agreement; 1 where it is no higher, or nothing was compared.
    temperature: float = 1.0
    halves_of: str = "speakers"  # or "utterances", where speakers are not known, or too few
    reasons: tuple[str, ...] = ()  # what foretells harm, ends of "adaptation may harm: ..."; () where nothing does


def agreement(first: Floats, second: Floats) -> float:
    """Share of N utterances to which two probabilities (N, C) give the same class, in [0, 1]; NaN of none.

    >>> import numpy as np
    >>> agreement(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.6, 0.4], [0.7, 0.3]]))
    0.5
    """
    return float((first.argmax(1) == second.argmax(1)).mean()) if len(first) else float("nan")


def reasons_of(sign: HarmSign, only_label: str = "") -> tuple[str, ...]:
    """What foretells harm. only_label: the one label of all answers; "" where there are several."""
    reasons = []
    if only_label:
        reasons.append(f"every answer is {only_label}")
    elif sign.agreement < LEAST_AGREEMENT:
        reasons.append(
            f"recognisers adapted to halves of the target's {sign.halves_of} agree on only "
            f"{100 * sign.agreement:.1f} % of {sign.compared} utterances (below {100 * LEAST_AGREEMENT:.0f} %)"
        )
    if sign.utterances < LEAST_ADAPTED:
        reasons.append(f"it has only {sign.utterances} unlabelled utterances to go by (below {LEAST_ADAPTED})")
    return tuple(reasons)
