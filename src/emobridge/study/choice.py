"""Which system the bundle holds: the adapted one, unless scored target speakers show it to be worse than the baseline.

The comparison is between held-out predictions of both, paired by speaker. It looks at the target's labels, which no
method sees, and so the score of the system that it chooses is optimistic: the reason says so wherever it stands. A
target without labels to score cannot show it; there the sign of `study.harm` decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from emobridge.data.speech import Speech
from emobridge.methods.base import BASELINE
from emobridge.scores.base import DIFFERENCE, Estimate
from emobridge.scores.harm import HarmSign
from emobridge.study.evaluations import evaluations_of
from emobridge.study.run import Answers
from emobridge.training.case import Case

OPTIMISTIC = "the target's labels made this choice, so its score on the target is slightly optimistic"
UNCHECKED = f"whether it is better than {BASELINE} could not be checked, since the target has no labels to score"
FORETOLD = "the target has no labels to check this by; --bundle adapted hands the adapted one over all the same"
NOTHING_ADAPTS = f"no method adapts beside {BASELINE}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The system that the bundle holds, and why."""

    case: Case
    reason: str  # the end of a sentence "the bundle holds ...: "


def choose_system(
    rule: str, speech: Speech, baseline: Answers, adapted: Answers, sign: HarmSign | None = None
) -> Choice:
    """The system for the bundle, by a rule of `settings.BUNDLES`. sign: of the adapted one.

    auto: the baseline where the paired interval of adapted minus baseline lies below zero on the target, in the leading
    measure (UA; of attributes alone the mean CCC), or, where the target has no labels to score, where there is a sign
    of harm; else the adapted one.
    """
    if adapted.case == baseline.case:
        return Choice(baseline.case, NOTHING_ADAPTS)
    if rule != "auto":
        return Choice(baseline.case if rule == "baseline" else adapted.case, f"as --bundle {rule} asks")
    gap = gap_on_target(speech, baseline, adapted)
    if gap is None and sign is not None and sign.reasons:
        return Choice(baseline.case, f"{adapted.method} may be worse: {' and '.join(sign.reasons)}; {FORETOLD}")
    if gap is None:
        return Choice(adapted.case, UNCHECKED)
    if gap.high < 0:
        return Choice(baseline.case, f"{adapted.method} is worse on the target; {OPTIMISTIC}")
    if gap.low > 0:
        return Choice(adapted.case, f"it is better than {BASELINE} on the target; {OPTIMISTIC}")
    return Choice(adapted.case, f"it is not shown to be worse than {BASELINE} on the target; {OPTIMISTIC}")


def gap_on_target(speech: Speech, baseline: Answers, adapted: Answers) -> Estimate | None:
    """Adapted minus baseline on the target in the leading measure; None where the target has no labels to score."""
    pair = []
    for answers in (baseline, adapted):
        case, predicted = answers.case, [part for part in answers.predicted if part.side == "target"]
        evaluations = evaluations_of(speech, case.labels, case.attributes, predicted)
        if not evaluations:
            return None
        pair.append(evaluations[0])
    before, after = pair
    gaps = after.difference(before)
    return next((gap for gap in gaps if gap.measure.endswith(f" mean{DIFFERENCE}")), gaps[0])
