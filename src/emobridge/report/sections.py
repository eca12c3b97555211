"""A run's record as sections of a page."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.audit.confound import Confound
from emobridge.audit.findings import Finding
from emobridge.literature.published import Published
from emobridge.report import plots
from emobridge.report.attributes import attribute_section
from emobridge.report.blocks import (
    Figure,
    Page,
    Section,
    Table,
    count,
    interval,
    number,
    percent,
    points_of,
    stamp_of,
    stamped,
)
from emobridge.report.changes import changes_section
from emobridge.report.choice import choice_section
from emobridge.report.costs import cost_section
from emobridge.report.record import Confusion, CorpusRow, LayerScore, RunRecord
from emobridge.report.space import space_section
from emobridge.report.systems import System, shared, systems
from emobridge.report.verdict import headline_measure, verdict, warnings
from emobridge.scores.measures.base import measure_of
from emobridge.types import Score

MOST_SPEAKERS = 40  # in the plot; the table beside it has all

LIMITS = (
    "A score holds for the corpora, speakers and label set named above. Acted corpora overstate how well emotion can "
    "be read from everyday speech; a label is what an actor was asked for or annotators agreed on, never what a person "
    "felt.",
    "Do not use a recogniser of emotion to decide about a person. In the European Union inferring emotions at work and "
    "in education is forbidden save for medical and safety reasons (Regulation 2024/1689, Article 5). Speech is "
    "personal data: ask the speakers, and check the licence of every corpus before you pass on weights trained on it.",
)


def run_page(record: RunRecord) -> Page:
    """The whole report of a run."""
    sections = [
        _headline(record),
        attribute_section(record),
        _recall_by_class(record),
        _confusions(record),
        _recall_by_speaker(record),
        published_section(record.published),
        data_section(record.corpora, record.held_out, record.saw),
        _audit(record),
        space_section(record.space, trained=dict(record.settings).get("train", "frozen") != "frozen"),
        choice_section(record.candidates, record.validator),
        layer_section(record.layer_choice),
        _curves(record),
        changes_section(record.changes),
        cost_section(record.costs),
        Section("Limits and responsible use", LIMITS),
        _how(record),
    ]
    kept = tuple(section for section in sections if section is not None)
    kept = stamped(kept, stamp_of(record.synthetic, record.constructed))
    subtitle = f"{record.method} against {record.baseline}; {record.created}"
    return Page(record.name, subtitle, verdict(record), warnings(record), kept)


def _headline(record: RunRecord) -> Section | None:
    found = [system for system in systems(record) if system.mean("UA") is not None or not record.attributes]
    if not found:
        return None
    names = (name for name in dict.fromkeys(row.measure for row in record.scores) if not name.startswith("recall "))
    measures = tuple(name for name in names if measure_of(name).of == "classes" or not record.attributes)
    rows = []
    for system in found:
        cells = [_cell(system.mean(measure)) for measure in measures]
        seeds = ", ".join(_plain(row) for row in system.seeds(headline_measure(record)))
        n = max(row.n for row in system.rows if row.measure in measures)
        rows.append((system.name, system.side, *cells, str(n), seeds))
    label_set = ", ".join(record.labels)
    caption = (
        f"Measured. Mean over seeds with 95 % interval over {record.resampled}; per cent. Label set: {label_set}. "
        f"All rows: {shared(record) or 'nothing in common'}."
    )
    columns = ("system", "scored on", *measures, "n", f"{headline_measure(record)} of each seed")
    differences = _differences(record)
    return Section("Scores", (), (), (Table(caption, columns, tuple(rows)), *differences))


def _differences(record: RunRecord) -> tuple[Table, ...]:
    if not record.differences:
        return ()
    rows = tuple(
        (
            f"{d.after} minus {d.before}",
            d.side,
            points_of(d.estimate.measure, d.estimate),
            str(d.estimate.n),
        )
        for d in record.differences
    )
    caption = "Measured. Paired differences in points with 95 % intervals: both systems see the same draw."
    return (Table(caption, ("difference", "scored on", "points", "n"), rows),)


def _recall_by_class(record: RunRecord) -> Section | None:
    found = [system for system in systems(record) if system.classes()]
    blocks = []
    for side in ("target", "source"):
        here = [system for system in found if system.side == side]
        if here:
            names = [label for label in record.labels if any(label == name for s in here for name, _ in s.classes())]
            title = f"Recall by class on the {side}, per cent, with 95 % intervals"
            blocks.append(_dots(here, [dict(s.classes()) for s in here], names, title, record))
    return Section("Recall by class", blocks=tuple(blocks)) if blocks else None


def _recall_by_speaker(record: RunRecord) -> Section | None:
    here = [system for system in systems(record) if system.side == "target" and system.speakers()]
    if not here:
        return None
    lead = next((s for s in here if s.rows[0].method == record.method), here[0])
    order = [name for name, _ in sorted(lead.speakers(), key=lambda pair: pair[1].value)]
    note = f"the {MOST_SPEAKERS} hardest of {len(order)}, " if len(order) > MOST_SPEAKERS else ""
    title = f"UA by target speaker, {note}hardest for {lead.name} first, per cent, 95 % intervals over utterances"
    block = _dots(here, [dict(s.speakers()) for s in here], order, title, record, shown=order[:MOST_SPEAKERS])
    return Section("Recall by speaker", ("A mean can hide a speaker whom the system fails.",), blocks=(block,))


def _dots(
    here: Sequence[System],
    values: Sequence[dict[str, Score]],
    names: Sequence[str],
    title: str,
    record: RunRecord,
    shown: Sequence[str] | None = None,
) -> Figure:
    series = [
        plots.Series(system.name, tuple(plots.Point(name, row.value, row.low, row.high) for name, row in found.items()))
        for system, found in zip(here, values)
    ]
    n = {name: str(row.n) for found in values for name, row in found.items()}
    rows = tuple((name, n[name], *(_cell(found.get(name)) for found in values)) for name in names)
    table = Table(f"Measured. {title}", ("", "n", *(system.name for system in here)), rows)
    return Figure(plots.dots(series, shown or names, chance=1 / len(record.labels), title=title), table)


def _confusions(record: RunRecord) -> Section | None:
    blocks = tuple(_confusion(found) for found in sorted(record.confusions, key=lambda c: c.side != "target"))
    return Section("Confusion", blocks=blocks) if blocks else None


def _confusion(found: Confusion) -> Figure:
    title = f"{found.method} on the {found.side}: rows are the true label, per cent of the row, counts over all seeds"
    rows = tuple((label, *map(str, counts)) for label, counts in zip(found.labels, found.counts))
    table = Table(f"Measured. {title}", ("true \\ predicted", *found.labels), rows)
    return Figure(plots.confusion(found.labels, found.counts, title=title), table)


def published_section(found: Sequence[Published]) -> Section:
    """Printed numbers beside which a run may be read, a table a study and label set."""
    if not found:
        text = "No published number that we know of has this pair of languages, this label set and this label budget."
        return Section("Published numbers", (text,))
    groups: dict[tuple[str, str, tuple[str, ...]], list[Published]] = {}
    for row in found:
        groups.setdefault((row.kind, row.study, row.labels), []).append(row)
    text = (
        "Others' numbers. Their corpora, splits and training differ from this run's: read them as landmarks and never "
        "as a ranking. The corpora of this run are named under Data."
    )
    return Section("Published numbers", (text,), blocks=tuple(map(_published_table, groups.values())))


def _published_table(rows: list[Published]) -> Table:
    """One study and label set; what its rows have in common goes into the caption."""
    columns = {
        "method": [row.method for row in rows],
        "encoder": [row.encoder for row in rows],
        "trained on": [row.source for row in rows],
        "scored on": [row.source if row.side == "source" else row.target for row in rows],
        "target labels": [row.target_labels for row in rows],
        "measure": [row.measure for row in rows],
        "value": [_printed(row) for row in rows],
        "notes": [row.note for row in rows],
    }
    same = {
        name: cells[0] for name, cells in columns.items() if len(set(cells)) == 1 and name not in ("method", "value")
    }
    kept = [name for name in columns if name not in same]
    what = "as published, not measured here" if rows[0].kind == "published" else "a public tool's, not from print"
    labels = ", ".join(rows[0].labels) or "not stated"
    common = "; ".join(f"{name}: {cell}" for name, cell in (("label set", labels), *same.items()) if cell)
    caption = f"{rows[0].study}: {what}. {common[0].upper()}{common[1:]}."
    return Table(caption, tuple(kept), tuple(zip(*(columns[name] for name in kept))))


def data_section(corpora: Sequence[CorpusRow], held_out: str, saw: tuple[str, ...]) -> Section:
    """What was trained on and scored, and what the methods were handed of it."""
    emotions = list(dict.fromkeys(emotion for row in corpora for emotion, _ in row.counts))
    rows = []
    for row in corpora:
        counts = dict(row.counts)
        hours = "not measured" if row.hours is None else f"{row.hours:.2f}"
        speakers = "unknown" if row.speakers is None else str(row.speakers)
        cells = (str(counts.get(emotion, 0)) for emotion in emotions)
        rows.append((row.side, row.corpus, row.language, str(row.utterances), speakers, hours, *cells))
    columns = ("side", "corpus", "language", "utterances", "speakers", "hours", *emotions)
    words = ("What the method was handed:",) if saw else ()
    return Section("Data", (held_out, *words), saw, (Table("Corpora of this run", columns, tuple(rows)),))


def _audit(record: RunRecord) -> Section | None:
    blocks: list[Table] = []
    if record.findings:
        blocks.append(finding_table(record.findings))
    if record.confounds:
        blocks.append(confound_table(record.confounds))
    skipped: tuple[str, ...] = ()
    if record.skipped:
        skipped = (f"{count(len(record.skipped), 'file')} could not be read and took no part:",)
    if not blocks and not skipped:
        return None
    return Section("Audit", skipped, record.skipped, tuple(blocks))


def finding_table(findings: Sequence[Finding]) -> Table:
    """One row a finding of the audit."""
    rows = tuple((finding.severity, finding.kind, finding.message) for finding in findings)
    return Table("What the audit found", ("severity", "kind", "finding"), rows)


def confound_table(found: Sequence[Confound]) -> Table:
    """What loudness and length alone tell of the emotion."""
    caption = "What a logistic regression on loudness and length alone tells of the emotion of new speakers, per cent"
    columns = ("data", "from", "UA (95 % interval)", "chance", "labels", "n", "speakers")
    rows = tuple(
        (
            c.manifest,
            c.features,
            interval("UA", c.ua, c.low, c.high),
            percent(c.chance),
            ", ".join(c.labels),
            str(c.n),
            str(c.speakers),
        )
        for c in found
    )
    return Table(caption, columns, rows)


def layer_section(choice: Sequence[LayerScore]) -> Section | None:
    """How each layer scored where one was chosen."""
    if not choice:
        return None
    names = [row.layer for row in choice]
    chosen = [row.layer for row in choice if row.chosen]
    title = "UA on source validation by encoder layer, per cent"
    svg = plots.layers(names, [row.value for row in choice], chosen, title=title)
    rows = tuple((row.layer, percent(row.value), "chosen" if row.chosen else "") for row in choice)
    figure = Figure(svg, Table(f"Measured. {title}", ("layer", "UA", ""), rows))
    return Section("Layer choice", ("No target label enters this choice.",), blocks=(figure,))


def _curves(record: RunRecord) -> Section | None:
    if not record.curves:
        return None
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for point in record.curves:
        lines.setdefault((point.term, point.run), []).append((point.epoch, point.value))
    title = "Each term of the loss by epoch, one line a run"
    rows = tuple(
        (term, run, *(text for epoch, value in (min(line), max(line)) for text in (str(epoch), f"{value:.4g}")))
        for (term, run), line in lines.items()
    )
    columns = ("term", "run", "first epoch", "value", "last epoch", "value")
    return Section("Training", blocks=(Figure(plots.curves(record.curves, title=title), Table(title, columns, rows)),))


def _how(record: RunRecord) -> Section:
    blocks = [Table("Settings", ("setting", "value"), record.settings)] if record.settings else []
    blocks += [Table("Versions", ("package", "version"), record.versions)] if record.versions else []
    text = (f"The recogniser is in {record.bundle}.",) if record.bundle else ()
    return Section("How to run it again", text, blocks=tuple(blocks), code=record.command)


def _cell(row: Score | None) -> str:
    return "" if row is None else interval(row.measure, row.value, row.low, row.high)


def _plain(row: Score) -> str:
    return number(row.measure, row.value)


def _printed(row: Published) -> str:
    """As the paper prints it, with the decimal that a whole number loses in a CSV."""
    measure = measure_of(row.measure)
    return f"{row.value:.2f}".removesuffix("0") + " %" if measure.unit else f"{row.value:.{measure.digits}f}"
