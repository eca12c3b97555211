"""What is told before a study is what the study then does."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.probe.estimate import estimate
from emobridge.probe.run import probe
from emobridge.probe.scoring import score_study
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.timing import LinearCost

COUNTS = re.compile(r"([\d,]+) units, ([\d,]+) probes, ([\d,]+) scores")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A folder of features that the studies share."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def asked(recorded, tiny_encoder, tmp_path):
    def make(**changes):
        return ProbeSettings(
            **{
                "corpora": (str(recorded / "en.jsonl"), str(recorded / "xx.jsonl")),
                "encoders": (f"wav2vec2-base-en={tiny_encoder}",),  # by its name it knows English alone
                "head_options": ("hidden=4",),
                "layers": ("last",),
                "folds": 2,
                "seeds": 2,
                "epochs": 2,
                "out": str(tmp_path / "study"),
                "store": str(tmp_path / "features"),
                **changes,
            }
        )

    return make


def counted(line):
    return tuple(int(number.replace(",", "")) for number in COUNTS.search(line).groups())


def line_of(lines, beginning):
    return next(line for line in lines if line.strip().startswith(beginning))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"layers": ("all",), "heads": ("single", "multilayer"), "floors": False, "settings": ("mono", "cross")},
        {"split": "80/10/10", "folds": 3, "patience": 1, "learning_rates": (1e-3, 1e-2), "share_speakers": True},
        {"split": "80/10/10", "folds": 1, "seeds": 1, "layers": ("all",), "normalise": ("none", "speaker")},
        {"heads": ("discriminant", "ridge"), "head_options": (), "layers": ("all",)},
        {"settings": ("trans",), "layers": ("all",), "patience": 1, "folds": 3},
    ],
)
def test_counts_are_those_of_the_study(asked, changes, store, monkeypatch):
    for name in ("encoder_cost", "head_cost"):  # how long it takes is another question
        monkeypatch.setattr(f"emobridge.probe.estimate.{name}", lambda *_, **__: LinearCost(0.0, 1.0))
    monkeypatch.setattr("emobridge.probe.estimate.solved_cost", lambda *_: 1.0)
    settings = asked(epochs=1, store=str(store), **changes)
    units, probes, scores = counted(line_of(estimate(settings), "in all"))
    study = probe(settings)
    assert units == len(study.outcomes)
    assert probes == sum(outcome.epochs.size for outcome in study.outcomes) * len(settings.learning_rates)
    assert scores == len(score_study(study).scores) > 0


def test_nothing_is_written_nor_fetched(asked, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the hub"))
    lines = estimate(asked(encoders=("whisper-small", "someone/unknown", "logmel")))
    assert not (tmp_path / "study").exists() and not (tmp_path / "features").exists()
    assert "not here (openai/whisper-small on the hub); 13 layers of 768; 8 units" in line_of(lines, "whisper-small:")
    assert line_of(lines, "whisper-small with random weights").count("8 units") == 1
    assert "not here (someone/unknown on the hub); what it would take is not known" in line_of(lines, "someone/unknown")
    assert "1 layer of 64, no frames" in line_of(lines, "logmel:")
    assert "without what is not here" in line_of(lines, "in all")


def test_corpora_are_told(asked, recorded):
    rows = list(read_manifest(recorded / "en.jsonl"))
    write_manifest(recorded / "en.jsonl", [*rows, replace(rows[0], id="gone", path="gone.wav")])
    lines = estimate(asked(encoders=("logmel",), heads=("single",), head_options=()))
    said = "en: 17 utterances, 4 speakers, 0.00 h, en, anger sadness; 1 cannot be read"
    assert line_of(lines, "en:").strip() == said
    assert "estimates" in lines[-3]


def test_frames_are_stored_or_streamed(asked):
    kept = line_of(estimate(asked(floors=False)), "wav2vec2-base-en")
    assert "3 layers of 16, frames stored" in kept and "1 pass of the encoder" in kept
    anew = line_of(estimate(asked(floors=False, disk=0.0)), "wav2vec2-base-en")
    assert "frames streamed" in anew and "at most 5 passes" in anew  # features, moments, two epochs, one test
    pooled = line_of(estimate(asked(floors=False, heads=("linear",))), "wav2vec2-base-en")
    assert "no frames" in pooled and "1 pass" in pooled


def test_mistakes_are_told_before_anything_is_timed(asked):
    with pytest.raises(UserError, match="did you mean 'whisper-small'"):
        estimate(asked(encoders=("whisper-smal",)))
    with pytest.raises(UserError, match="parts need 3 speakers"):
        estimate(asked(split="80/10/10", folds=1, sample=1))


def test_a_dry_run_on_the_command_line(cli, recorded, tmp_path):
    words = ("--corpus", recorded / "en.jsonl", "--heads", "single", "--layers", "last", "--out", tmp_path / "study")
    ran = cli("probe", *words, "--dry-run")
    assert ran.code == 0 and "in all: 0.00 h of audio, 1 units, " in ran.out
    assert not (tmp_path / "study").exists() and not (tmp_path / "cache").exists()
