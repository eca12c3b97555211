"""The audit's page holds what the audit found."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emobridge.audit.confound import Confound
from emobridge.audit.finding import Finding
from emobridge.audit.findings import Audit
from emobridge.audit.hearing import Sound
from emobridge.audit.rows import ValueCount
from emobridge.report.audit import record_of_audit
from emobridge.report.blocks import Figure
from emobridge.report.glossary import spelt_out
from emobridge.report.page import page_of
from emobridge.report.write import write_study

FOUND = Audit(
    sounds=(Sound("mine", 12, 11, 30.0, 1.5, 4.0, -22.5, 3.0, 0.52), Sound("other", 6, 6, 15.0, 2.0, 3.0, -30.0, 1.0)),
    counts=(
        ValueCount("mine", "emotion", "anger", 7),
        ValueCount("mine", "emotion", "", 5),
        ValueCount("mine", "speaker", "a", 6),
        ValueCount("mine", "speaker", "b", 6),
        ValueCount("mine", "language", "de", 12),
        ValueCount("other", "emotion", "sadness", 6),
        ValueCount("other", "speaker", "", 6),
        ValueCount("other", "language", "it", 6),
    ),
    confounds=(Confound("mine", "length", ("anger", "sadness"), 11, 2, 0.8, 0.7, 0.9, 0.5),),
    findings=(
        Finding("duplicate audio", "error", "mine and other: 1 recording(s) are there more than once", ("x", "y")),
        Finding("same text", "note", "mine: <b>1</b> text is said by all"),
    ),
)


COMMAND = "emobridge audit mine.jsonl other.jsonl"


def audit_page(audit, **values):
    return spelt_out(page_of(record_of_audit(audit, command=COMMAND, **values)))


def tables(page):
    blocks = [block for section in page.sections for block in section.blocks]
    return {table.caption: table for table in (b.table if isinstance(b, Figure) else b for b in blocks)}


def test_the_page_counts_and_names():
    page = audit_page(FOUND)
    assert page.lead == "The audit found 1 error, 0 warnings, 1 note. Scores on these manifests would be false."
    assert page.warnings == (FOUND.findings[0].message,)
    recordings = tables(page)["The recordings"]
    assert recordings.rows[0] == ("mine", "de", "12", "11", "2", "0.01", "1.50 to 4.00", "-22.5 (3.0)", "52%")
    assert recordings.rows[1][4] == "0"  # a missing speaker is no speaker
    emotions = tables(page)["Utterances by emotion"]
    assert emotions.columns == ("manifest", "anger", "unlabelled", "sadness")
    assert emotions.rows == (("mine", "7", "5", "0"), ("other", "0", "0", "6"))
    confound = next(table for caption, table in tables(page).items() if "logistic" in caption)
    assert "UA (unweighted accuracy: the mean of the recalls of the labels)" in confound.caption
    assert confound.rows[0][2:4] == ("80.0 (70.0 to 90.0)", "50.0")


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_stamp(synthetic):
    captions = tables(audit_page(FOUND, synthetic=synthetic))
    assert len(captions) == 4
    assert {caption.startswith("SYNTHETIC") for caption in captions} == {synthetic}


def test_its_files(tmp_path):
    path = write_study(tmp_path, record_of_audit(FOUND, command=COMMAND))
    text = path.read_text(encoding="utf-8")
    assert path.name == "audit.html" and "&lt;b&gt;1&lt;/b&gt;" in text and "<b>" not in text
    record = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["record"]
    assert record["audit"]["findings"][0]["ids"] == ["x", "y"] and record["kind"] == "audit"
    assert {path.name for path in tmp_path.iterdir()} == {"audit.html", "audit.md", "audit.json", "tables"}
    assert COMMAND in text
    assert "recording(s) are there more than once" in (tmp_path / "audit.md").read_text(encoding="utf-8")


def test_ua_is_spelt_out_in_a_finding_that_names_it_first():
    finding = Finding("confound", "note", "mine: loudness and length alone reach UA 53% on new speakers")
    page = audit_page(replace(FOUND, findings=(finding,)))
    full = "reach UA (unweighted accuracy: the mean of the recalls of the labels) 53%"
    assert full in page.sections[0].blocks[0].rows[0][2]
    assert "unweighted" not in tables(page)["UA of a logistic regression that knows only loudness and length, on new "
                                            "speakers, per cent"].caption  # fmt: skip


def test_nothing_found():
    page = audit_page(Audit(FOUND.sounds[:1], FOUND.counts[:5], (), ()))
    assert page.sections[0].paragraphs == ("Nothing was found.",)
    assert page.lead.endswith("No finding makes scores false.")
