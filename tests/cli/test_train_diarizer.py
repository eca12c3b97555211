"""`emobridge train-diarizer`: what it writes and prints, and what it says of mistakes."""

from __future__ import annotations

import json

import pytest

import emobridge
from emobridge.diarization.files import load_frame_model


@pytest.fixture
def manifest(recorded):
    """Utterances of four speakers, of which the low ones count as neutral."""
    path = recorded / "en.jsonl"
    path.write_text(path.read_text().replace('"sadness"', '"neutral"'))
    return path


def rename(manifest, corpus):
    manifest.write_text(manifest.read_text().replace('"corpus": "en"', f'"corpus": "{corpus}"'))


def test_a_diarizer_is_trained_and_written(cli, manifest, tmp_path):
    ran = cli("train-diarizer", manifest, "--radii", "0.05", "--epochs", 30, "--out", tmp_path / "d")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("trained on: 6 recordings with known boundaries, ")
    assert lines[1] == "trained on: en: 6 recordings, 3 speakers"
    assert lines[2].startswith("held out: 2 recordings of 1 held-out speaker, of the same corpora: UA of steps ")
    assert lines[3] == f"diarizer: {tmp_path / 'd'}"
    model = load_frame_model(tmp_path / "d")
    assert model.labels == ("anger", "neutral")
    assert not model.synthetic
    card = (tmp_path / "d" / "README.md").read_text()
    assert "Which emotion when: anger, neutral" in card
    assert str(tmp_path) not in card
    assert "en: not known to emobridge" in card  # the licence
    again = cli("train-diarizer", "--settings", tmp_path / "d" / "settings.toml", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "diarizer.json").read_bytes() == (tmp_path / "d" / "diarizer.json").read_bytes()


def test_synthetic_speech_is_said_everywhere(cli, manifest, tmp_path):
    rename(manifest, "demo-en")
    ran = cli("train-diarizer", manifest, "--out", tmp_path / "d", "--epochs", 1)
    assert ran.code == 0, ran.err
    assert "held out: SYNTHETIC" in ran.out
    assert load_frame_model(tmp_path / "d").synthetic
    assert "**SYNTHETIC" in (tmp_path / "d" / "README.md").read_text()


def test_marked_stretches_beside_utterances(manifest, tmp_path, recorded):
    first = json.loads(manifest.read_text().splitlines()[0])
    marked = {**first, "id": "m", "corpus": "zed", "start": 0.1, "end": 0.2}
    (recorded / "zed.jsonl").write_text(json.dumps(marked) + "\n")
    study = emobridge.train_diarizer(
        source=[str(manifest)], segments=[str(recorded / "zed.jsonl")], out=str(tmp_path / "d"), epochs=1
    )
    assert study.diarizer.spec.corpora == ("en", "zed")
    assert study.diarizer.labels == ("anger", "neutral")
    alone = emobridge.train_diarizer(segments=[str(recorded / "zed.jsonl")], out=str(tmp_path / "e"), epochs=1)
    assert alone.fit.accuracy is None
    assert "held out: Not measured: nobody is held out." in alone.lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "anger,sadness"], "the source has no utterance of 'sadness'; it has anger, neutral"),
        (["--labels", "neutral,hapiness"], "did you mean 'happiness'"),
        (["--labels", "anger"], "a diarizer tells emotions from neutral speech, and it is not among --labels"),
        (["--labels", "neutral"], "expected an emotion beside neutral"),
        (["--encoder", "prosody"], "yields one frame a clip"),
        (["--encoder", "logmell"], "did you mean 'logmel'"),
        (["--layer", "7"], "unknown layer of encoder logmel '7'"),
        (["--layer", "best"], "expected a number such as 3"),
        (["--head", "singel"], "did you mean 'single'"),
        (["--orders", "neutral-emotionel"], "did you mean 'neutral-emotional'"),
        (["--levels", "same"], "unknown levels 'same'"),
        (["--validation", "1"], "expected a share below 1"),
        (["--radii", "0.2,x"], "expected numbers with commas"),
        (["--radii", "0"], "radii: expected seconds above 0"),
        (["--frame-rate", "1000"], "frame_rate: expected above 0 and at most 100"),
        (["--window", "40"], "window: expected seconds above 0 and at most 30"),
        (["--frame-rate", "0.2"], "frame_rate: 0.2 Hz leaves no answer in a window of 6 s"),
        (["--out", "d.json"], "is the name of a file"),
    ],
)
def test_a_mistake_is_one_line(cli, manifest, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = cli("train-diarizer", manifest, *words)
    assert ran.code == 2
    assert len(ran.complaints) == 1
    assert message in ran.complaints[0]
    assert not (tmp_path / "diarizer").exists()


def test_what_cannot_be_trained_on(cli, recorded, tmp_path):
    ran = cli("train-diarizer", recorded / "xx.jsonl", "--out", tmp_path / "d")
    assert ran.code == 2
    assert "xx.jsonl have none in common" in ran.err
    ran = cli("train-diarizer", "--out", tmp_path / "d")
    assert ran.code == 2
    assert "expected a manifest" in ran.err
    ran = cli("train-diarizer", tmp_path / "absent.jsonl")
    assert ran.code == 2
    assert "absent.jsonl" in ran.err
