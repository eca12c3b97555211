"""The section on confidence: how far it is the share of right answers, and what the temperature changes."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.report import plots
from emobridge.report.blocks import Figure, Section, Table, percent
from emobridge.report.record import Calibration, StudyRecord, Trust
from emobridge.report.systems import name_in
from emobridge.scores.calibration import CONFIDENCE_BINS

MOST_DRAWN = 3  # methods
TEXT = (
    "The confidence of an answer is the probability of its most probable label. It is calibrated where it is the share "
    "of right answers: of 100 answers with confidence 0.7, 70 are right. The expected calibration error (ECE, Guo et "
    f"al. 2017) is how far they are apart on average, over {CONFIDENCE_BINS} bins of equal width; it has no interval "
    "here, and of few answers it is above 0 by chance too.",
    "A temperature above 1 makes all answers less sure, one below 1 surer; answers to the target and to the source "
    "have one each. It changes no label, and no score above. It is fitted on answers that were held out from training, "
    "and each answer below is judged by a temperature that saw no answer to the same speaker.",
)
FOREIGN = (
    "No label of the target entered its temperature, which is then never below 1. On the target a confidence can be "
    "further from the truth than on the source, and the rows of the target say how far."
)
UNSCORED = (
    "The target has no labels to judge by. Speech of another language is mostly answered with more errors than "
    "held-out speech of the source, and so with too much confidence: label some utterances before you set a threshold."
)
NOT_CALIBRATED = "Attributes are not calibrated: they are values, and have no confidence."


def calibration_section(record: StudyRecord) -> Section | None:
    """Confidence beside accuracy, before and after the temperature, on each side; None where no emotions are learnt."""
    rows = record.calibrations
    if not rows:
        return None
    targets = [row for row in rows if row.side == "target"]
    text: tuple[str, ...] = TEXT
    if not targets:
        text += (UNSCORED,)
    elif not any("of the target" in row.fitted_on for row in targets):
        text += (FOREIGN,)
    text += (NOT_CALIBRATED,) * bool(record.attributes)
    items = tuple(f"The bundle's {line}." for line in record.temperatures)
    return Section("How far to trust a confidence", text, items, (_errors(record), _coverage(record), _curves(record)))


def error_beside(record: StudyRecord, method: str, norm: str, amount: str, side: str) -> str:
    """The ECE of a system on a side in per cent, to stand beside its UA: after the temperature, where that was judged.

    "-" where there are no confidences to judge.
    """
    for row in record.calibrations:
        if (row.method, row.normalisation, row.target_labels, row.side) == (method, norm, amount, side):
            return percent((row.after or row.before).error)
    return "-"


def _errors(record: StudyRecord) -> Table:
    rows = tuple(
        (
            name_in(record, row),
            row.side,
            str(row.n),
            percent(row.accuracy),
            percent(row.before.confidence),
            _after(row.after, "confidence"),
            percent(row.before.error),
            _after(row.after, "error"),
            f"{row.temperature:.2f}",
        )
        for row in record.calibrations
    )
    sources = dict.fromkeys(row.fitted_on or "nothing: no answer was held out" for row in record.calibrations)
    caption = (
        "Measured. Accuracy, mean confidence and ECE in per cent, of the answers of all seeds together, before and "
        f"after the temperature. Temperatures were fitted on {'; or on '.join(sources)}."
    )
    columns = (
        "system",
        "answers on",
        "n",
        "accuracy",
        "confidence",
        "confidence after",
        "ECE",
        "ECE after",
        "temperature",
    )
    return Table(caption, columns, rows)


def _coverage(record: StudyRecord) -> Table:
    """Accuracy of the surest answers, by the calibrated confidence."""
    shares = [share for share, _ in record.calibrations[0].before.coverage]
    rows = tuple(
        (name_in(record, row), row.side, *(percent(value) for _, value in (row.after or row.before).coverage))
        for row in record.calibrations
    )
    caption = "Measured. Accuracy of the surest answers alone, per cent, where the others are left unanswered"
    return Table(caption, ("system", "answers on", *(f"surest {100 * share:.0f} %" for share in shares)), rows)


def _curves(record: StudyRecord) -> Figure:
    drawn = _drawn(record)
    title = "Accuracy by confidence before and after the temperature; on the dashed line they are the same"
    panels = [
        (f"{name_in(record, row)}, {row.side}", [(name, trust.curve) for name, trust in _trusts(row)]) for row in drawn
    ]
    rows = tuple(
        (name_in(record, row), row.side, name, percent(part.confidence), percent(part.accuracy), str(part.n))
        for row in drawn
        for name, trust in _trusts(row)
        for part in trust.curve
    )
    columns = ("system", "answers on", "temperature", "confidence", "accuracy", "n")
    table = Table(f"Measured. {title}. Per cent, means of each bin; a larger dot has more answers", columns, rows)
    return Figure(plots.reliability(panels, title=title), table)


def _drawn(record: StudyRecord) -> Sequence[Calibration]:
    """The baseline and the method of the headline; of many systems the first of each of a few methods."""
    named = (record.baseline, record.method)
    rows = [row for row in record.calibrations if not record.method or row.method in named]
    first: dict[tuple[str, str], Calibration] = {}
    for row in rows or record.calibrations:
        first.setdefault((row.method, row.side), row)
    methods = list(dict.fromkeys(method for method, _ in first))[:MOST_DRAWN]
    return [row for (method, _), row in first.items() if method in methods]


def _trusts(row: Calibration) -> list[tuple[str, Trust]]:
    return [("before", row.before), *([("after", row.after)] if row.after is not None else [])]


def _after(trust: Trust | None, field: str) -> str:
    return "undefined" if trust is None else percent(getattr(trust, field))
