"""`emobridge diarize --page` writes the page of a call beside the rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from frame_models import LoudModel
from sounds import RATE, syllables


@pytest.fixture
def call(tmp_path, monkeypatch):
    """A call of two channels, and a model for whatever folder is named."""
    monkeypatch.setattr("emobridge.diarization.files.load_frame_model", lambda folder, **options: LoudModel())
    silence = np.zeros(2 * RATE, np.float32)
    left, right = np.concatenate([2 * syllables(2), silence]), np.concatenate([silence, 0.3 * syllables(2)])
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    return tmp_path / "call.wav"


def test_rows_are_printed_and_shown(cli, call, tmp_path):
    words = ("diarize", tmp_path, call, "--channels", "each", "--detector", "energy")
    rows = cli(*words).out
    done = cli(*words, "--page", tmp_path / "out" / "call.html")
    assert done.code == 0 and done.out == rows and f"page: {tmp_path / 'out' / 'call.html'}" in done.err
    page = (tmp_path / "out" / "call.html").read_text(encoding="utf-8")
    labels = [json.loads(row)["label"] for row in rows.splitlines() if json.loads(row)["label"]]
    assert labels == ["anger", "sadness"]
    assert page.count('class="stretch') == 2 and "SYNTHETIC run. " in page and "data:audio/" in page
    silent = cli(*words, "--page", tmp_path / "silent.html", "--no-page-audio")
    assert silent.code == 0 and "<audio" not in (tmp_path / "silent.html").read_text(encoding="utf-8")


def test_a_redacted_timeline_names_nobody(cli, call, tmp_path):
    telling = tmp_path / "Mrs Huber.wav"
    telling.write_bytes(call.read_bytes())
    words = ("diarize", tmp_path, telling, "--detector", "energy", "--redact")
    done = cli(*words, "--out", tmp_path / "rows.jsonl", "--page", tmp_path / "page.html")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["path"] for row in rows} == {"recording 1.wav"} and rows[0]["id"] == "recording 1@0"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "recording 1" in page and "<audio" not in page
    plain = cli(*words[:-1])
    unredacted = [json.loads(line) for line in plain.out.splitlines()]
    assert [row["probabilities"] for row in unredacted] == [row["probabilities"] for row in rows]
    for text in (page, (tmp_path / "rows.jsonl").read_text()):
        assert "uber" not in text and str(tmp_path) not in text and tmp_path.name not in text


@pytest.mark.parametrize(("page", "message"), [("call.htm", "did you mean '.html'"), (".", "is a directory")])
def test_a_wrong_name_is_refused_before_the_work(cli, call, tmp_path, page, message):
    done = cli("diarize", tmp_path, call, "--page", tmp_path / page)
    assert done.code == 2 and message in done.err and not done.out
