"""The paragraph at the top of a report, and the warnings under it, in plain words."""

from __future__ import annotations

from emobridge.audit.findings import NEAR
from emobridge.report.blocks import FEW_SPEAKERS, count, number, percent, points_of
from emobridge.report.record import Difference, RunRecord
from emobridge.report.systems import System, systems
from emobridge.scores.measures.base import leading_measure, measure_of
from emobridge.types import Score


def headline_measure(record: RunRecord) -> str:
    """UA where classes were scored, else the mean CCC of several attributes, else the first measure of the run."""
    scored = [row.measure for row in record.scores]
    classes, attributes = leading_measure("classes").name, f"{leading_measure('attributes').name} mean"
    leading = (classes, attributes) if len(record.attributes) > 1 else (classes,)
    return ([name for name in leading if name in scored] or scored or [classes])[0]


def verdict(record: RunRecord) -> str:
    """Baseline against adapted on the target with intervals, whether the gap holds, and the chance level."""
    measure = headline_measure(record)
    on_target = [system for system in systems(record) if system.side == "target" and system.mean(measure)]
    before = next((s for s in on_target if s.rows[0].method == record.baseline), None)
    after = next((s for s in on_target if s.rows[0].method == record.method), None)
    parts = [f"On the target ({_who(record)}), {_reached(record, measure, before, after)}"]
    of_classes = measure_of(measure).of == "classes"
    gaps = record.differences if of_classes else record.attribute_differences
    gap = next((d for d in gaps if d.side == "target" and d.estimate.measure.startswith(measure)), None)
    if gap is not None:
        parts.append(_gap(gap))
    if of_classes:
        parts.append(f"Chance over {count(len(record.labels), 'label')} is {percent(1 / len(record.labels))} %.")
        best = after or before
        if best is not None and _row(best, measure).low <= 1 / len(record.labels):
            parts.append(f"{best.name} is not shown to be above chance.")
    on_source = next((s for s in systems(record) if s.side == "source" and s.rows[0].method == record.method), None)
    if on_source is not None and on_source.mean(measure):
        parts.append(f"On the source {on_source.name} reaches {_with_interval(_row(on_source, measure))}.")
    return " ".join(parts)


def warnings(record: RunRecord) -> tuple[str, ...]:
    """What a reader must know before any number: synthetic speech, confounds, few speakers, the run's own warnings."""
    found = []
    if record.synthetic:
        found.append("SYNTHETIC speech: these numbers show that the machinery works, and nothing about emotion.")
    if record.constructed:
        found.append(
            "CONSTRUCTED attributes: level, pitch and rate of the audio stand where ratings would. CCC shows that the "
            "regression learns, and nothing about emotion."
        )
    found += record.warnings
    for confound in record.confounds:
        if confound.reach >= NEAR and confound.features == "loudness and length":
            found.append(
                f"In {confound.manifest}, nothing but {confound.features} already gives {percent(confound.ua)} % UA "
                f"(chance {percent(confound.chance)} %): a recogniser may have learnt that and no more."
            )
    if record.scores and record.resampled == "utterances":
        found.append("Intervals draw utterances, since speakers are single or unknown: they are too narrow.")
    speakers = {len(system.speakers()) for system in systems(record) if system.side == "target"}
    if not record.labels:  # nor is there a recall by speaker
        speakers = {row.speakers or 0 for row in record.corpora if row.side == "target"}
    few = min(speakers, default=0)
    if record.resampled == "speakers" and 0 < few < FEW_SPEAKERS:
        found.append(f"Only {few} target speakers were scored: with so few to draw from, intervals are too narrow.")
    found += [finding.message for finding in record.findings if finding.severity == "error"]
    return tuple(dict.fromkeys(found))


def _who(record: RunRecord) -> str:
    rows = [row for row in record.corpora if row.side == "target"]
    scored = [row for row in record.scores if row.side == "target" and row.seed == "all"]
    names = " and ".join(dict.fromkeys(f"{row.corpus}, {row.language}" for row in rows)) or "unnamed"
    n = max((row.n for row in scored), default=0)
    return f"{names}; {count(n, 'utterance')} scored"


def _reached(record: RunRecord, measure: str, before: System | None, after: System | None) -> str:
    if before is None and after is None:
        return "nothing was scored."
    words: list[str] = []
    for system in (before, after):
        if system is not None and not (words and system is before):
            words.append(f"{system.name} reaches {_with_interval(_row(system, measure))}")
    return " and ".join(words) + f"; brackets hold 95 % intervals over {record.resampled}."


def _with_interval(row: Score) -> str:
    """66.7 % UA (61.2 to 71.9)."""
    value, low, high = (number(row.measure, share) for share in (row.value, row.low, row.high))
    unit = " %" if measure_of(row.measure).unit else ""
    return f"{value}{unit} {row.measure} ({low} to {high})"


def _gap(gap: Difference) -> str:
    found = gap.estimate
    size = points_of(found.measure, found)
    if measure_of(found.measure).unit:
        size = size.replace(" ", " points ", 1)
    start = f"{gap.after} minus {gap.before}, paired on the same {found.resampled}, is {size}: "
    if found.low > 0:
        return start + "a gain that the choice of speakers does not explain."
    if found.high < 0:
        return start + f"adaptation made it WORSE; use {gap.before}."
    return start + "no difference is shown, since the interval holds zero."


def _row(system: System, measure: str) -> Score:
    row = system.mean(measure)
    assert row is not None, f"{system.name} has no {measure} over all seeds"
    return row
