"""Answers as files: each format has the rows, and whatever a caller sends is either converted or named in one line."""

from __future__ import annotations

import csv
import io
import json

import pytest

from emobridge.errors import UserError
from emobridge.inference.output.base import Origin, row_of
from emobridge.serve.conversion import CONVERTED_TYPES, convert, read_answer
from emobridge.types import Prediction
from emobridge.web.requests import Refusal

LABELS = ("anger", "sadness")
PREDICTIONS = (
    Prediction("call", 0.0, 1.5, LABELS, (0.75, 0.25), channel=0, language="de", answered_by="de"),
    Prediction("call", 0.5, 2.0, LABELS, (0.4, 0.6), channel=1, reason="unsure: 0.6 is below 0.7"),
    Prediction("call", 1.5, 2.0, LABELS, (), channel=0, reason="no speech"),
)


def given(rows=PREDICTIONS, trained_on="", **changes):
    rows = [row_of(row, Origin(trained_on)) for row in rows]
    facts = {"name": "call.wav", "seconds": 2.0, "rows": rows} | changes
    return json.dumps(facts).encode()


def test_the_rows_come_back_as_they_were_answered():
    rows = read_answer(given()).predictions
    assert [(row.start, row.channel, row.label, row.probabilities, row.reason) for row in rows] == [
        (row.start, row.channel, row.label, row.probabilities, row.reason) for row in PREDICTIONS
    ]
    assert {(row.id, row.path) for row in rows} == {("call.wav", "")}, "no file of this machine is named"
    [alone] = read_answer(given(PREDICTIONS[:1])).predictions
    assert alone.labels == LABELS and alone.answered_by == "de"


@pytest.mark.parametrize("form", [form for form in CONVERTED_TYPES if form != "html"])
def test_a_file_has_the_rows_and_says_what_is_synthetic(form):
    answer = read_answer(given(trained_on="SYNTHETIC, CONSTRUCTED"))
    text = convert(answer, form)
    assert "anger" in text and "SYNTHETIC, CONSTRUCTED" in text
    if form == "textgrid":
        assert "xmax = 2" in text
    if form == "csv":
        [first, unsure, silent] = csv.DictReader(io.StringIO(text))
        assert (first["label"], first["p_anger"], unsure["label"], silent["reason"]) == (
            "anger",
            "0.75",
            "",
            "no speech",
        )
    if form == "json":
        assert [row["label"] for row in json.loads(text)] == ["anger", None, None]
    assert "SYNTHETIC" not in convert(read_answer(given()), form)


def test_the_timeline_escapes_what_a_caller_names():
    bad = "</script><img src=x onerror=alert(1)>"
    rows = [Prediction("a", 0, 1, (bad, "neutral"), (0.9, 0.1), reason=bad)]
    page = convert(read_answer(given(rows, name=bad)), "html")
    assert "SYNTHETIC" not in page and bad not in page and "&lt;img" in page and 'class="stretch' in page


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (b"\xff\xfe", "body: Invalid JSON"),
        (given(rows=()), "rows: List should have at least 1 item"),
        (given(seconds=0), "seconds: Input should be greater than 0"),
        (given(seconds="soon"), "seconds: Input should be a valid number"),
        (given(name="a" * 201), "name: String should have at most 200 characters"),
        (given(rows=[], name=None), "name: Input should be a valid string"),
        (given().replace(b'"start": 0.0', b'"start": NaN', 1), "rows.0.start: Input should be"),
        (given().replace(b'"start": 0.0', b'"start": -1', 1), "rows.0.start: Input should be greater"),
        (given().replace(b'"anger": 0.75', b'"anger": 7.5', 1), "rows.0.probabilities.anger: Input should be less"),
        (given().replace(b'"channel": 0', b'"channel": -1', 1), "rows.0.channel: Input should be greater"),
        (b"[" * 100_000, "body: Invalid JSON"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_line(body, line):
    with pytest.raises(Refusal, match="422") as refused:
        read_answer(body)
    assert refused.value.reason.startswith(line) and "\n" not in refused.value.reason


def test_a_format_that_is_not_there_or_cannot_hold_the_answer_is_refused():
    with pytest.raises(UserError, match="did you mean 'csv'"):
        convert(read_answer(given()), "cvs")
    attributes = [Prediction("a", 0, 1, (), (), (0.5,), ("arousal",))]
    answer = read_answer(given(attributes))
    with pytest.raises(UserError, match="arousal"):
        convert(answer, "rttm")
    assert "0.5" in convert(answer, "csv") and "No emotion was recognised" in convert(answer, "html")


def test_a_path_as_a_name_opens_nothing(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "long.wav", [0.0] * 160_000, 16_000)
    text = convert(read_answer(given(name=str(tmp_path / "long.wav"))), "textgrid")
    assert "xmax = 2" in text and "xmax = 10" not in text


def test_rows_that_each_name_other_labels_are_refused():
    rows = [{"start": i, "end": i + 1, "probabilities": {f"label {i}": 1.0}} for i in range(201)]
    with pytest.raises(Refusal, match="rows: 201 labels or attributes; expected 200 at most"):
        convert(read_answer(json.dumps({"name": "a.wav", "seconds": 300, "rows": rows}).encode()), "csv")
