"""`diarize`: every format, channels, pauses, bad files, and mistakes in a line."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

from emobridge.phones.textgrid import INTERVALS, read_tiers
from emobridge.types import SAMPLE_RATE

pytest.importorskip("emobridge.diarization.speechbrain")


@pytest.fixture
def call(tmp_path, all_speech):
    """A stereo recording of 4 s, of noise that grows louder in one channel and fades in the other."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((4 * SAMPLE_RATE, 2)) * np.linspace([0.01, 0.3], [0.3, 0.01], 4 * SAMPLE_RATE)
    folder = tmp_path / "calls"
    folder.mkdir()
    soundfile.write(folder / "call.wav", noise.clip(-1, 1), SAMPLE_RATE)
    return folder / "call.wav"


def test_rows_tile_each_channel(cli, finished, call):
    done = cli("diarize", finished / "bundle", call, "--channels", "each")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    for channel in (0, 1):
        own = [row for row in rows if row["channel"] == channel]
        assert own[0]["start"] == 0 and own[-1]["end"] == 4 and all(row["label"] for row in own)
        assert [row["end"] for row in own[:-1]] == [row["start"] for row in own[1:]]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".rttm", ".TextGrid", ".srt", ".txt"])
def test_every_format_is_written(cli, finished, call, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    done = cli("diarize", finished / "bundle", call, "--channels", "each", "--out", out)
    assert done.code == 0, done.err
    text = out.read_text(encoding="utf-8")
    assert f"{out}: " in done.out and "segment" in done.out
    assert not out.with_name(out.name + ".unfinished").exists()
    if suffix in (".json", ".jsonl"):
        rows = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        assert {row["channel"] for row in rows} == {0, 1}
    elif suffix in (".csv", ".tsv"):
        rows = list(csv.DictReader(text.splitlines(), delimiter="," if suffix == ".csv" else "\t"))
        assert {row["channel"] for row in rows} == {"0", "1"} and all(row["p_anger"] for row in rows)
    elif suffix == ".rttm":
        fields = [line.split() for line in text.splitlines() if not line.startswith(";;")]
        assert all(len(row) == 10 and row[0] == "SPEAKER" for row in fields)
        assert {row[2] for row in fields} == {"1", "2"} and {row[7] for row in fields} <= {"anger", "sadness"}
    elif suffix == ".TextGrid":
        names = [tier.name for tier in read_tiers(out) if tier.kind == INTERVALS]
        assert any(name.endswith("@channel 0") for name in names)
    else:
        assert "channel 1" in text


def test_what_is_no_speech_has_no_label(cli, finished, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(3 * SAMPLE_RATE), SAMPLE_RATE)
    soundfile.write(tmp_path / "click.wav", np.ones(1600) * 0.1, SAMPLE_RATE)
    done = cli("diarize", finished / "bundle", tmp_path / "silence.wav", tmp_path / "click.wav")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["label"], row["reason"]) for row in rows] == [(None, "no speech"), (None, "too short")]


def test_a_bad_file_is_skipped_and_listed(cli, finished, call, tmp_path):
    (call.parent / "bad.wav").write_bytes(b"RIFF and no more")
    done = cli("diarize", finished / "bundle", call.parent, "--out", tmp_path / "x.csv")
    assert done.code == 0 and "bad.wav" in done.err and (tmp_path / "x.csv").exists()
    strict = cli("diarize", finished / "bundle", call.parent, "--out", tmp_path / "y.csv", "--strict")
    assert strict.code == 2 and "bad.wav" in strict.err and not (tmp_path / "y.csv").exists()


def test_mistakes_are_one_line(cli, finished, call, tmp_path):
    bundle = finished / "bundle"
    for words, message in (
        ((bundle, call, "--labels", "angr,sadness"), "unknown label 'angr'"),
        ((bundle, call, "--window", "0.1"), "window: expected 0.5 to 10 s"),
        ((bundle, call, "--out", tmp_path / "x.rtm"), "unknown suffix '.rtm'"),
        ((bundle, call, "--channels", "left"), "choice of channels"),
        ((bundle, call, "--shortest", "-1"), "shortest: expected 0 or more"),
        ((bundle, call, "--language", "fr"), "language 'fr': not one of this recogniser's"),
        ((tmp_path, call), "is no diarizer"),
        ((tmp_path / "absent", call), "absent: no such folder; expected a diarizer"),
        ((bundle, tmp_path / "missing.wav", "--strict"), "missing.wav: no such file"),
    ):
        done = cli("diarize", *words)
        assert done.code == 2 and message in done.err, done.err
        assert len(done.complaints) == 1 and "Traceback" not in done.err


def test_options_reach_the_rows(cli, finished, call):
    done = cli("diarize", finished / "bundle", call, "--abstain-below", "1", "--language", "xh", "--shortest", "9")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert len(rows) == 1 and rows[0]["label"] is None and "is below 1" in rows[0]["reason"]
    assert rows[0]["language"] == "xh"
