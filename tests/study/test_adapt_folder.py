"""A whole run: the files that it writes."""

from __future__ import annotations

import json
import shutil

import pytest

from emobridge.bundle import Recognizer
from emobridge.errors import UserError
from emobridge.report.model_card import portable
from emobridge.scores.files import read_scores
from emobridge.settings import Adapt, from_mapping, read_mapping
from emobridge.study.adapt import adapt


@pytest.fixture
def options(recorded):
    return dict(
        source=[str(recorded / "en.jsonl")],
        target=str(recorded / "xx.jsonl"),
        labels=["anger", "sadness"],
        out=str(recorded / "deep" / "run"),
        store=str(recorded / "store"),
        seeds=1,
        folds=2,
        epochs=2,
    )


def test_a_run_writes_what_it_promises_and_says_what_it_left_out(recorded, options):
    (recorded / "xx-b-anger-0.wav").write_bytes(b"")
    adapted = adapt(**options)
    assert [name for name, _ in adapted.prepared.skipped] == ["xx-b-anger-0"]
    assert "warning: 1 utterances could not be read and were left out" in adapted.lines
    out = recorded / "deep" / "run"
    assert adapted.lines[-1] == f"report: {out / 'report.html'}"
    path = out / "settings.toml"
    assert from_mapping(read_mapping(path), str(path), Adapt) == Adapt.of(**options)
    assert {row.measure for row in read_scores(out / "scores.json")} >= {"UA", "WA", "F1 macro", "F1 weighted"}
    assert Recognizer.load(out / "bundle").labels == ("anger", "sadness")
    page = json.loads((out / "report.json").read_text())
    command = page["record"]["command"]
    assert command.startswith(f"emobridge adapt --source {recorded / 'en.jsonl'} --target {recorded / 'xx.jsonl'} ")
    assert page["record"]["audit"]["confounds"], "the audit is part of the report"
    assert page["record"]["bundle"] == str(out / "bundle")
    card = (out / "bundle" / "README.md").read_text()
    assert portable(command) in card and str(recorded) not in card


def test_a_strict_run_stops_at_the_first_file_that_cannot_be_read(recorded, options):
    (recorded / "xx-b-anger-0.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"xx-b-anger-0\.wav"):
        adapt(**options, strict=True)


def test_a_folder_that_cannot_be_made_stops_before_any_work(recorded, options):
    with pytest.raises(OSError, match="File exists"):
        adapt(**options | {"out": str(recorded / "en.jsonl")})
    assert not (recorded / "store").exists()


def test_a_run_that_fails_leaves_the_earlier_report_alone(recorded, options, finished):
    out = shutil.copytree(finished, recorded / "deep" / "run")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for change in ({"target_labels": "999"}, {"layer": "9"}, {"head": "none"}):
        with pytest.raises(UserError):
            adapt(**options | change)
    assert {path: path.read_bytes() for path in before} == before
