"""Sections on what a study was made of: corpora, splits, the audit, what was left out, settings, limits."""

from __future__ import annotations

from collections.abc import Sequence

from emobridge.audit.confound import Confound
from emobridge.audit.finding import Finding
from emobridge.report.blocks import Section, Table, count, interval, percent
from emobridge.report.record import StudyRecord, SystemRow
from emobridge.report.verdict import bundle_sentence

LIMITS = (
    "A score holds for the corpora, speakers and label set named above. Acted corpora overstate how well emotion can "
    "be read from everyday speech; a label is what an actor was asked for or annotators agreed on, never what a person "
    "felt.",
    "Do not use a recogniser of emotion to decide about a person. In the European Union inferring emotions at work and "
    "in education is forbidden save for medical and safety reasons (Regulation 2024/1689, Article 5). Speech is "
    "personal data: ask the speakers, and check the licence of every corpus before you pass on weights trained on it.",
)


def data_section(record: StudyRecord) -> Section:
    """What was trained on and scored, and what the methods saw of it."""
    emotions = list(dict.fromkeys(emotion for row in record.corpora for emotion, _ in row.counts))
    rows = []
    for row in record.corpora:
        counts = dict(row.counts)
        hours = "" if row.hours is None else f"{row.hours:.2f}"
        speakers = "unknown" if row.speakers is None else str(row.speakers)
        cells = (str(counts.get(emotion, 0)) for emotion in emotions)
        rows.append((row.side, row.corpus, row.language, str(row.utterances), speakers, hours, *cells))
    columns = ("side", "corpus", "language", "utterances", "speakers", "hours", *emotions)
    items = what_was_seen(record)
    whose = "the method" if record.method else "each method"
    text = (record.held_out, *([f"What {whose} was trained and normalised with:"] if items else []))
    return Section("Data", text, items, (Table("Corpora of this run", columns, tuple(rows)),))


def what_was_seen(record: StudyRecord, method: str = "") -> tuple[str, ...]:
    """A line for each fact about a method, by default that of the headline.

    Without a headline of one method, a line for each method and normalisation.
    """
    method = method or record.method
    if method:
        return next((system.saw for system in record.systems if system.method == method), ())
    groups: dict[tuple[str, str], list[SystemRow]] = {}
    for system in record.systems:
        groups.setdefault((system.method, system.normalise), []).append(system)
    return tuple(_seen(method, normalise, systems) for (method, normalise), systems in groups.items())


def audit_section(record: StudyRecord) -> Section | None:
    """What the audit found in the manifests, and the files that could not be read."""
    blocks: list[Table] = []
    if record.audit is not None and record.audit.findings:
        blocks.append(finding_table(record.audit.findings))
    if record.audit is not None and record.audit.confounds:
        blocks.append(confound_table(record.audit.confounds))
    text: tuple[str, ...] = ()
    if record.skipped:
        text = (f"{count(len(record.skipped), 'file')} could not be read and took no part:",)
    if not blocks and not text:
        return None
    return Section("Audit", text, record.skipped, tuple(blocks))


def skipped_section(record: StudyRecord) -> Section | None:
    """The files that could not be read, of a study without an audit."""
    return Section("Left out", items=record.skipped) if record.skipped else None


def missing_section(record: StudyRecord) -> Section | None:
    """What a published study has and this one has not."""
    return Section("What is missing", items=record.missing) if record.missing else None


def choice_of_ours_section(record: StudyRecord) -> Section | None:
    """What a published study leaves open, and what was chosen here."""
    return Section("What the paper leaves open, and was chosen here", items=record.choices) if record.choices else None


def limit_section(record: StudyRecord) -> Section:
    """What no score of this page shows, and what a recogniser of emotion must not be used for."""
    return Section("Limits and responsible use", LIMITS)


def how_section(record: StudyRecord) -> Section:
    """The command that makes the study again, its settings and the versions of packages."""
    blocks = [Table("Settings", ("setting", "value"), record.settings)] if record.settings else []
    blocks += [Table("Versions", ("package", "version"), record.versions)] if record.versions else []
    text = (f"The recogniser is in {record.bundle}. {bundle_sentence(record)}".strip(),) if record.bundle else ()
    return Section("How to run it again", text, blocks=tuple(blocks), code=record.command)


def finding_table(findings: Sequence[Finding]) -> Table:
    """One row a finding of the audit."""
    rows = tuple((finding.severity, finding.kind, finding.message) for finding in findings)
    return Table("What the audit found", ("severity", "kind", "finding"), rows)


def confound_table(confounds: Sequence[Confound]) -> Table:
    """What loudness and length alone tell of the emotion."""
    caption = "UA of a logistic regression that knows only loudness and length, on new speakers, per cent"
    columns = ("data", "from", "UA (95 % interval)", "chance", "labels", "n", "speakers")
    rows = tuple(
        (
            confound.manifest,
            confound.features,
            interval("UA", confound.ua, confound.low, confound.high),
            percent(confound.chance),
            ", ".join(confound.labels),
            str(confound.n),
            str(confound.speakers),
        )
        for confound in confounds
    )
    return Table(caption, columns, rows)


def _seen(method: str, normalise: str, systems: Sequence[SystemRow]) -> str:
    """What a method saw with every number of target labels, then what only some of them have."""
    common = [fact for fact in systems[0].saw if all(fact in system.saw for system in systems)]
    others = dict.fromkeys(fact for system in systems for fact in system.saw if fact not in common)
    budgets = f"; by budget {', or '.join(others)}" if others else ""
    return f"{method} (head {systems[0].head}), normalisation {normalise}: {'; '.join(common)}{budgets}."
