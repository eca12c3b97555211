"""Where encoders compute: `--device` of every command that computes."""

from __future__ import annotations

import pytest
import torch

from emobridge.data import devices
from emobridge.features import encoding

QUICK = ("--epochs", "1", "--seeds", "1", "--folds", "2", "--out", "{out}")
SPEECH = ("--source", "{en}", "--target", "{xx}", "--encoder", "{encoder}", "--layer", "1")
COMMANDS = {
    "adapt": (*SPEECH, *QUICK),
    "budget": (*SPEECH, *QUICK, "--budgets", "0"),
    "probe": ("--corpus", "{en}", "--encoder", "{encoder}", "--heads", "linear", *QUICK),
    "predict": ("{bundle}", "{xx}", "--out", "{out}.jsonl"),
    "evaluate": ("{bundle}", "--on", "{xx}", "--out", "{out}.json"),
    "suggest": ("{bundle}", "--on", "{xx}", "--out", "{out}.csv"),
}


@pytest.fixture
def run(cli, recorded, finished, tiny_encoder, tmp_path):
    """A function that runs a command with more options."""
    manifests = {"en": recorded / "en.jsonl", "xx": recorded / "xx.jsonl"}

    def of(command, *more):
        places = {**manifests, "bundle": finished / "bundle", "encoder": tiny_encoder, "out": tmp_path / "out"}
        return cli(command, *(word.format(**places) for word in COMMANDS[command]), *more)

    return of


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_not_there_is_one_line(run, monkeypatch, command):
    monkeypatch.setattr(devices, "device_names", lambda: ("cuda", "cuda:0", "cpu"))
    ran = run(command, "--device", "cuda:7")
    assert ran.code == 2 and ran.complaints == [
        "emobridge: unknown device 'cuda:7': did you mean 'cuda:0'? (one of auto, cpu, cuda, cuda:0)"
    ]


@pytest.mark.parametrize("command", ["adapt", "budget", "probe"])
def test_the_encoder_goes_where_it_is_sent_and_comes_back(run, monkeypatch, command):
    """A stand-in: the accelerator is the CPU under the name `mps`, and every move is noted."""
    moves, batches = [], []
    monkeypatch.setattr(devices, "device_names", lambda: ("mps", "cpu"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moves.append(str(device)) or module)
    for module in (devices, encoding):
        monkeypatch.setattr(module, "is_accelerator", lambda device: True)
    encode = encoding.ClipEncoder._pass
    monkeypatch.setattr(
        encoding.ClipEncoder, "_pass", lambda self, waves: batches.append(len(waves)) or encode(self, waves)
    )
    ran = run(command, "--device", "auto")
    assert ran.code == 0, ran.err
    assert moves[0] == "mps" and max(batches) > 1
