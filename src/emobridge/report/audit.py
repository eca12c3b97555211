"""The record of an audit of manifests, its headline and its sections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

from emobridge.audit.finding import SEVERITIES
from emobridge.audit.findings import Audit
from emobridge.report import plots
from emobridge.report.blocks import Section, Table, count, figure
from emobridge.report.data import confound_table, finding_table
from emobridge.report.record import StudyRecord

CONFOUNDS = (
    "A recogniser that scores no higher than this has shown only that it can tell loud from quiet and long from short. "
    "The level of chance is 1 over the number of emotions and stands in the table."
)


def record_of_audit(audit: Audit, *, command: str, synthetic: bool = False) -> StudyRecord:
    """The record of an audit. synthetic: whether any of the speech was made by a synthesiser."""
    return StudyRecord(
        kind="audit",
        name=f"Audit of {' and '.join(sound.manifest for sound in audit.sounds)}",
        command=command,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        synthetic=synthetic,
        audit=audit,
    )


def audit_of(record: StudyRecord) -> Audit:
    """The audit that the record of one holds."""
    assert record.audit is not None, "the record of an audit without one"
    return record.audit


def headline(record: StudyRecord) -> str:
    """How many findings there are, by severity, and what follows from them."""
    severities = Counter(finding.severity for finding in audit_of(record).findings)
    tally = ", ".join(count(severities[severity], severity) for severity in SEVERITIES)
    meaning = "Scores on these manifests would be false." if severities["error"] else "No finding makes scores false."
    return f"The audit found {tally}. {meaning}"


def finding_section(record: StudyRecord) -> Section:
    """All findings."""
    findings = audit_of(record).findings
    if not findings:
        return Section("Findings", ("Nothing was found.",))
    return Section("Findings", blocks=(finding_table(findings),))


def manifest_section(record: StudyRecord) -> Section:
    """How long and how loud the recordings of each manifest are, and its utterances by emotion."""
    audit = audit_of(record)
    rows = tuple(
        (
            sound.manifest,
            ", ".join(value or "unknown" for value, _ in _counts(audit, sound.manifest, "language")),
            str(sound.utterances),
            str(sound.readable),
            str(sum(value != "" for value, _ in _counts(audit, sound.manifest, "speaker"))),
            f"{sound.seconds / 3600:.2f}",
            f"{sound.shortest:.2f} to {sound.longest:.2f}",
            f"{sound.level:.1f} ({sound.level_spread:.1f})",
            "" if sound.speech is None else f"{sound.speech:.0%}",
        )
        for sound in audit.sounds
    )
    columns = ("manifest", "language", "utterances", "readable", "speakers", "hours", "length, s", "level, dB (spread)")
    recordings = Table("The recordings", (*columns, "speech"), rows)
    emotions = list(dict.fromkeys(row.value for row in audit.counts if row.column == "emotion"))
    by_emotion = []
    for sound in audit.sounds:
        n = dict(_counts(audit, sound.manifest, "emotion"))
        by_emotion.append((sound.manifest, *(str(n.get(emotion, 0)) for emotion in emotions)))
    head = ("manifest", *(emotion or "unlabelled" for emotion in emotions))
    blocks = (recordings, Table("Utterances by emotion", head, tuple(by_emotion)))
    return Section("Manifests", blocks=blocks)


def confound_section(record: StudyRecord) -> Section | None:
    """How well loudness and length alone tell the emotions of each manifest."""
    confounds = audit_of(record).confounds
    if not confounds:
        return None
    table = confound_table(confounds)
    manifests = list(dict.fromkeys(confound.manifest for confound in confounds))
    series = [
        plots.Series(
            features,
            tuple(plots.Point(c.manifest, c.ua, c.low, c.high) for c in confounds if c.features == features),
        )
        for features in dict.fromkeys(confound.features for confound in confounds)
    ]
    block = figure(plots.dots(series, manifests, chance=None, title=table.caption), table)
    return Section("What loudness and length give away", (CONFOUNDS,), blocks=(block,))


def _counts(audit: Audit, manifest: str, column: str) -> Sequence[tuple[str, int]]:
    """Utterances of a manifest by the values of a column."""
    return [(row.value, row.n) for row in audit.counts if row.column == column and row.manifest == manifest]
