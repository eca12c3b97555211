"""An audit as a page: audit.html, audit.md and audit.json."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from emobridge.audit.findings import SEVERITIES, Audit
from emobridge.report import plots
from emobridge.report.blocks import Figure, Page, Section, Table, count, stamped
from emobridge.report.sections import confound_table, finding_table
from emobridge.report.write import write_page


def write_audit(folder: str | Path, audit: Audit, *, synthetic: bool = False) -> Path:
    """Write audit.html, audit.md and audit.json into `folder`, each whole or as it was; the path of audit.html.

    `synthetic` puts SYNTHETIC into every caption. Errors: UserError where the folder cannot be written.
    """
    page = audit_page(audit, synthetic=synthetic)
    return write_page(Path(folder), "audit", page, {"audit": asdict(audit), "synthetic": synthetic})


def audit_page(audit: Audit, *, synthetic: bool = False) -> Page:
    """The audit as a page: the errors on top, then all findings, the manifests and the confounds."""
    severities = Counter(finding.severity for finding in audit.findings)
    tally = ", ".join(count(severities[severity], severity) for severity in SEVERITIES)
    meaning = "Scores on these manifests would be false." if severities["error"] else "No error stands in the way."
    errors = tuple(finding.message for finding in audit.findings if finding.severity == "error")
    names = " and ".join(sound.manifest for sound in audit.sounds)
    findings = Section("Findings", ("Nothing was found.",))
    if audit.findings:
        findings = Section("Findings", blocks=(finding_table(audit.findings),))
    sections = (findings, _manifests(audit), *_confounds(audit))
    title, lead = f"Audit of {names}", f"The audit found {tally}. {meaning}"
    subtitle = count(sum(sound.utterances for sound in audit.sounds), "utterance")
    return Page(title, subtitle, lead, errors, stamped(sections) if synthetic else sections)


def _manifests(audit: Audit) -> Section:
    rows = tuple(
        (
            s.manifest,
            _values(audit, s.manifest, "language"),
            str(s.utterances),
            str(s.readable),
            str(sum(c.column == "speaker" and c.manifest == s.manifest and c.value != "" for c in audit.counts)),
            f"{s.seconds / 3600:.2f}",
            f"{s.shortest:.2f} to {s.longest:.2f}",
            f"{s.level:.1f} ({s.level_spread:.1f})",
        )
        for s in audit.sounds
    )
    columns = ("manifest", "language", "utterances", "readable", "speakers", "hours", "length, s", "level, dB (spread)")
    emotions = list(dict.fromkeys(c.value for c in audit.counts if c.column == "emotion"))
    n = {(c.manifest, c.value): str(c.n) for c in audit.counts if c.column == "emotion"}
    by_emotion = tuple((s.manifest, *(n.get((s.manifest, emotion), "0") for emotion in emotions)) for s in audit.sounds)
    words = ("manifest", *(emotion or "unlabelled" for emotion in emotions))
    blocks = (Table("What was heard", columns, rows), Table("Utterances by emotion", words, by_emotion))
    return Section("Manifests", blocks=blocks)


def _confounds(audit: Audit) -> tuple[Section, ...]:
    if not audit.confounds:
        return ()
    table = confound_table(audit.confounds)
    names = list(dict.fromkeys(c.manifest for c in audit.confounds))
    series = [
        plots.Series(
            cue, tuple(plots.Point(c.manifest, c.ua, c.low, c.high) for c in audit.confounds if c.features == cue)
        )
        for cue in dict.fromkeys(c.features for c in audit.confounds)
    ]
    text = (
        "A recogniser that scores no higher than this has shown nothing but an ear for loudness and length. The level "
        "of chance is 1 over the number of emotions and stands in the table."
    )
    figure = Figure(plots.dots(series, names, chance=None, title=table.caption), table)
    return (Section("What loudness and length give away", (text,), blocks=(figure,)),)


def _values(audit: Audit, manifest: str, column: str) -> str:
    return ", ".join(c.value or "unknown" for c in audit.counts if c.column == column and c.manifest == manifest)
