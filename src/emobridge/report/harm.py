"""Whether adaptation may harm: the sign that needs no labels, as a sentence and as a section."""

from __future__ import annotations

from emobridge.report.blocks import Section, count, percent
from emobridge.report.record import StudyRecord
from emobridge.scores.harm import LEAST_ADAPTED, LEAST_AGREEMENT, HarmSign

MEANING = (
    "No label of the target is needed for this sign. The method is fitted twice more, to either half of the target "
    "speech that it adapts to, and the answers to target utterances that neither half holds are compared. What both "
    "halves agree on comes from the target; where they disagree, adaptation has mostly amplified chance. Below "
    f"{100 * LEAST_AGREEMENT:.0f} %, and with fewer than {LEAST_ADAPTED} utterances to go by, adaptation lost "
    "points on some pairs of languages (docs/results/harm.md). It is a sign and no proof: labels of some target "
    "utterances decide (emobridge suggest)."
)


def harm_warning(record: StudyRecord) -> str:
    """What foretells harm, the first finding of all; "" where nothing does, and where labels of the target deny it."""
    if record.harm is None or not record.harm.reasons or _labels_show_a_gain(record):
        return ""
    return f"ADAPTATION MAY HARM: {_reasons(record.harm)}."


def harm_remark(record: StudyRecord) -> str:
    """What is worth a sentence where there is no warning: on what that rests; "" where nothing was measured."""
    sign = record.harm
    if sign is None or harm_warning(record):
        return ""
    if sign.reasons:
        return f"Without labels harm would have been foretold ({_reasons(sign)}); the target's labels show a gain."
    if sign.agreement != sign.agreement:
        return ""
    return (
        f"Nothing foretells harm by adaptation: recognisers adapted to halves of the target's {sign.halves_of} agree "
        f"on {percent(sign.agreement)} % of {count(sign.compared, 'utterance')}."
    )


def harm_section(record: StudyRecord) -> Section | None:
    """What the halves tell, where they were compared."""
    if record.harm is None or not record.harm.compared:
        return None
    return Section("Whether adaptation may harm", (harm_warning(record) or harm_remark(record), MEANING))


def _reasons(sign: HarmSign) -> str:
    return ", and ".join(sign.reasons)


def _labels_show_a_gain(record: StudyRecord) -> bool:
    """Whether the first difference on the target, in the leading measure, is above zero with its whole interval."""
    gaps = [gap for gap in record.differences if (gap.method, gap.side) == (record.method, "target")]
    return bool(gaps) and gaps[0].estimate.low > 0
