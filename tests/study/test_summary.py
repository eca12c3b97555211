"""A whole run: the files that it writes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from emobridge.study.summary import run_and_report

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.scores.files import read_scores
from emobridge.settings import Settings, read_settings


@pytest.fixture
def settings(recorded):
    return Settings(
        source=(str(recorded / "en.jsonl"),),
        target=str(recorded / "xx.jsonl"),
        labels=("anger", "sadness"),
        out=str(recorded / "deep" / "run"),
        store=str(recorded / "store"),
        seeds=1,
        folds=2,
        epochs=2,
    )


def test_a_run_writes_what_it_promises(recorded, settings):
    text = run_and_report(settings, "emobridge adapt --some words")
    out = recorded / "deep" / "run"
    assert text.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert read_settings(out / "settings.toml") == settings
    assert {row.measure for row in read_scores(out / "scores.json")} >= {"UA", "WA", "F1 macro", "F1 weighted"}
    assert Recognizer.load(out / "bundle").labels == ("anger", "sadness")
    page = json.loads((out / "report.json").read_text())
    assert page["record"]["command"] == "emobridge adapt --some words"
    assert page["record"]["audit"]["findings"], "the audit is part of the report"
    assert page["record"]["bundle"] == str(out / "bundle")
    assert "emobridge adapt --some words" in (out / "bundle" / "README.md").read_text()


def test_skipped_utterances_are_handed_over(recorded, settings):
    (recorded / "xx-b-anger-0.wav").write_bytes(b"")
    skipped = []
    text = run_and_report(settings, "emobridge adapt", skipped)
    assert [name for name, _ in skipped] == ["xx-b-anger-0"]
    assert "warning: 1 utterances could not be read and were left out" in text


def test_a_folder_that_cannot_be_made_stops_before_any_work(recorded, settings):
    with pytest.raises(OSError, match="File exists"):
        run_and_report(replace(settings, out=str(recorded / "en.jsonl")), "emobridge adapt")
    assert not (recorded / "store").exists()


def test_a_run_that_fails_leaves_the_earlier_report_alone(recorded, settings):
    run_and_report(settings, "emobridge adapt")
    out = recorded / "deep" / "run"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for values in ({"target_labels": "999"}, {"layer": "9"}, {"head": "none"}):
        with pytest.raises(UserError):
            run_and_report(replace(settings, **values), "emobridge adapt")
    assert {path: path.read_bytes() for path in before} == before
