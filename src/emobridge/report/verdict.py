"""The headline of a study of one method, and the warnings under the headline of any study."""

from __future__ import annotations

import math
from collections.abc import Iterator

from emobridge.audit.findings import NEAR, SPEECHLESS
from emobridge.report.blocks import bounds, count, number, percent, signed_interval, unit
from emobridge.report.glossary import meaning_of
from emobridge.report.harm import harm_remark, harm_warning
from emobridge.report.record import CollapsedSystem, Difference, Floor, StudyRecord
from emobridge.report.systems import ScoredSystem, name_in, scored_systems
from emobridge.report.target_section import target_finding
from emobridge.scores.by_group import gap_warnings
from emobridge.scores.measures.base import leading_measure, measure_of
from emobridge.types import Score

FLOOR_FEATURES = "loudness and length"  # the features of the floor that a headline compares with


def headline_measure(record: StudyRecord) -> str:
    """The leading measure of classes (UA); of attributes alone the mean CCC, or that of a single attribute."""
    scored = dict.fromkeys(row.measure for row in record.scores)
    classes, attributes = leading_measure("classes").name, f"{leading_measure('attributes').name} mean"
    leading = (classes, attributes) if len(record.attributes) > 1 else (classes,)
    return next((name for name in (*leading, *scored) if name in scored), classes)


def verdict(record: StudyRecord) -> str:
    """Baseline against method on the target with intervals; first of all what foretells harm, or makes scores void."""
    last = harm_remark(record), bundle_sentence(record)
    if unscored := target_finding(record):
        parts = [harm_warning(record), unscored, *_on_source(record), *last]
        return " ".join(part for part in parts if part)
    measure = headline_measure(record)
    before, after = _on_target(record, measure)
    parts = [harm_warning(record), *_first(record, measure)]
    parts.append(f"On the target ({_scored_speech(record)}), {_reached(record, measure, before, after)}")
    gap = _headline_gap(record, measure)
    if gap is not None:
        parts.append(_gap(record, gap))
    chance = _chance(record, measure) if measure_of(measure).of == "classes" else None
    if chance is not None:
        parts.append(f"Chance over {count(len(record.labels), 'label')} is {number(measure, chance)}{unit(measure)}.")
    return " ".join(part for part in (*parts, *_on_source(record), *last) if part)


def conclusion(record: StudyRecord) -> str:
    """The verdict in few words: what makes the score meaningless, the difference, and what the bundle holds."""
    measure = headline_measure(record)
    before, after = _on_target(record, measure)
    gap = _headline_gap(record, measure)
    parts = [*_first(record, measure)]
    if gap is not None:
        parts.append(_gap(record, gap))
    elif before or after:
        parts.append(f"On the target {_reached(record, measure, before, after)}")
    elif record.scores and not record.bundle_method:
        parts.append("Nothing was scored on the target.")
    return " ".join(part for part in (*parts, harm_remark(record), bundle_sentence(record)) if part)


def bundle_sentence(record: StudyRecord) -> str:
    """Which system the bundle holds, and why; "" where there is no bundle."""
    if not record.bundle_method:
        return ""
    reason = f": {record.bundle_reason}" if record.bundle_reason else ""
    return f"The bundle holds {record.bundle_method}{reason}."


def alarms(record: StudyRecord, name: str, row: Score) -> Iterator[str]:
    """What makes a score of the system `name` meaningless, a sentence each, the gravest first."""
    for collapse in record.collapsed:
        system = row.target_labels, row.normalisation
        theirs = collapse.target_labels or system[0], collapse.normalisation or system[1]
        if (collapse.method, collapse.side) == (row.method, row.side) and theirs == system:
            yield _collapse(record, collapse)
    chance = _chance(record, row.measure)
    if chance is not None and row.value == row.value:  # NaN is no value
        level = f"{number(row.measure, chance)}{unit(row.measure)}"
        value = f"{number(row.measure, row.value)}{unit(row.measure)} {row.measure}"
        if row.value <= chance:
            yield f"NO BETTER THAN CHANCE: {name} reaches {value}, and guessing {level}."
        elif not row.low > chance:  # NaN, no interval, shows nothing
            ends = bounds(row.measure, row.low, row.high)
            yield f"NOT ABOVE CHANCE: {name} is not shown to be above chance ({level}): it reaches {value} ({ends})."
    for floor in record.floors:
        confound = floor.confound
        is_of = floor.side == row.side == "target" and confound.features == FLOOR_FEATURES
        if is_of and row.measure == "UA" and row.value < confound.ua:
            yield _floor_sentence(name, row, floor)


def _on_source(record: StudyRecord) -> Iterator[str]:
    """What the method reaches on the source; of a target without scores, how good it can at most be hoped to be."""
    measure = headline_measure(record)
    system = next((s for s in scored_systems(record) if (s.side, s.method) == ("source", record.method)), None)
    if system is None or system.mean(measure) is None:
        return
    if record.is_scored:
        yield f"On the source {system.name} reaches {_value(_row(system, measure))}."
    else:
        yield (
            f"On new speakers of the SOURCE {system.name} reaches {_value(_row(system, measure))}; across languages a "
            "recogniser is mostly right less often."
        )


def warnings_of(record: StudyRecord) -> tuple[str, ...]:
    """What a reader must know before any number: made-up speech, collapsed systems, confounds, unknown speakers."""
    lines = []
    if record.synthetic:
        lines.append("SYNTHETIC speech: these numbers show that the machinery works, and nothing about emotion.")
    if record.constructed:
        lines.append(
            "CONSTRUCTED attributes: level, pitch and rate of the audio stand where ratings would. CCC shows that the "
            "regression learns, and nothing about emotion."
        )
    lines += [_collapse(record, collapse) for collapse in record.collapsed]
    lines += record.warnings
    lines += _gap_warnings(record)
    if record.audit is not None and record.scores:
        lines += _confounds(record)
    if record.listening is not None:
        return tuple(dict.fromkeys(lines))
    if record.scores and record.intervals_over != "speakers":
        lines.append("Utterances without a known speaker count as speakers of their own: intervals are too narrow.")
    lines += _without_interval(record)
    if record.audit is not None:
        findings = record.audit.findings
        lines += [f.message for f in findings if f.severity == "error" or f.kind == SPEECHLESS]
    return tuple(dict.fromkeys(lines))


def _gap_warnings(record: StudyRecord) -> list[str]:
    """Of the one system that the record is about, on the target."""
    facts = [fact for fact in record.by_group if (fact.method, fact.side) == (record.method, "target")]
    return list(dict.fromkeys(gap_warnings([fact.result for fact in facts])))


def _first(record: StudyRecord, measure: str) -> Iterator[str]:
    """The alarms of the adapted system on the target, or of the baseline where there is no other."""
    before, after = _on_target(record, measure)
    best = after or before
    if best is None:
        return
    yield from alarms(record, best.name, _row(best, measure))
    classes = best.mean("UA")  # the measure of floors
    if classes is not None and measure != "UA":
        yield from alarms(record, best.name, classes)


def _on_target(record: StudyRecord, measure: str) -> tuple[ScoredSystem | None, ScoredSystem | None]:
    """The baseline and the method of the headline, as far as they were scored on the target."""
    scored = [system for system in scored_systems(record) if system.side == "target" and system.mean(measure)]
    before = next((system for system in scored if system.method == record.baseline), None)
    return before, next((system for system in scored if system.method == record.method), None)


def _headline_gap(record: StudyRecord, measure: str) -> Difference | None:
    key = record.method, "target", measure
    return next((gap for gap in record.differences if (gap.method, gap.side, gap.measure) == key), None)


def _chance(record: StudyRecord, measure: str) -> float | None:
    """What guessing reaches in a measure; None where that is not known."""
    if measure_of(measure).of != "classes":
        return measure_of(measure).chance(0)
    return measure_of(measure).chance(len(record.labels)) if record.labels else None


def _collapse(record: StudyRecord, collapse: CollapsedSystem) -> str:
    return (
        f"COLLAPSED: {name_in(record, collapse)} predicts {collapse.predictions} on the {collapse.side}: "
        "it has learnt nothing that tells them apart."
    )


def _confounds(record: StudyRecord) -> Iterator[str]:
    assert record.audit is not None
    for confound in record.audit.confounds:
        if confound.reach >= NEAR and confound.features == FLOOR_FEATURES:
            yield (
                f"In {confound.manifest}, nothing but {confound.features} already gives {percent(confound.ua)} % UA "
                f"(chance {percent(confound.chance)} %): a recogniser may have learnt that and no more."
            )


def _without_interval(record: StudyRecord) -> Iterator[str]:
    """A line for each scored side whose headline measure has no interval."""
    measure = headline_measure(record)
    for side in dict.fromkeys(row.side for row in record.scores):
        rows = [row for row in record.scores if (row.side, row.measure, row.seed) == (side, measure, "all")]
        if any(math.isnan(row.low) and not math.isnan(row.value) for row in rows):
            yield f"Scores on the {side} have no interval: that takes two speakers or more."


def _scored_speech(record: StudyRecord) -> str:
    """Corpora and languages of the target, and how many utterances of it were scored."""
    rows = [row for row in record.corpora if row.side == "target"]
    scored = [row for row in record.scores if row.side == "target" and row.seed == "all"]
    names = " and ".join(dict.fromkeys(f"{row.corpus}, {row.language}" for row in rows)) or "unnamed"
    n = max((row.n for row in scored), default=0)
    return f"{names}; {count(n, 'utterance')} scored"


def _floor_sentence(name: str, row: Score, floor: Floor) -> str:
    confound = floor.confound
    return (
        f"BELOW THE FLOOR: nothing but the {confound.features} of the target's recordings tells its emotions better "
        f"({percent(confound.ua)} %, learnt from its own labels, on new speakers) than {name} does "
        f"({number(row.measure, row.value)} %)."
    )


def _reached(record: StudyRecord, measure: str, before: ScoredSystem | None, after: ScoredSystem | None) -> str:
    """Both systems with their scores; the measure and the interval are explained with the first."""
    systems = [system for system in dict.fromkeys((before, after)) if system is not None]
    if not systems:
        return "nothing was scored."
    first = _row(systems[0], measure)
    value = f"{number(measure, first.value)}{unit(measure)} {measure}"
    interval, ends = f"95 % interval over {record.intervals_over}", bounds(measure, first.low, first.high)
    meaning = f"{meaning_of(measure)}; {ends if first.low != first.low else f'{interval} {ends}'}"
    parts = [f"{systems[0].name} reaches {value} ({meaning})"]
    parts += [f"{system.name} reaches {_value(_row(system, measure))}" for system in systems[1:]]
    return " and ".join(parts) + "."


def _value(row: Score) -> str:
    """66.7 % UA (61.2 to 71.9)."""
    value = f"{number(row.measure, row.value)}{unit(row.measure)}"
    return f"{value} {row.measure} ({bounds(row.measure, row.low, row.high)})"


def _gap(record: StudyRecord, gap: Difference) -> str:
    estimate, size = gap.estimate, signed_interval(gap.estimate)
    if unit(gap.measure):
        size = size.replace(" ", " points ", 1)
    start = f"{gap.method} minus {gap.before}, paired on the same {estimate.intervals_over}, is {size}: "
    if estimate.low > 0:
        return start + "a gain that the choice of speakers does not explain."
    if estimate.high < 0:
        return start + f"adaptation made it WORSE{'' if record.bundle_method else f'; use {gap.before}'}."
    why = "there is no interval" if estimate.low != estimate.low else "the interval holds zero"
    return f"{start}no difference is shown, since {why}."


def _row(system: ScoredSystem, measure: str) -> Score:
    row = system.mean(measure)
    assert row is not None, f"{system.name} has no {measure} over all seeds"
    return row
