"""Where encoders compute: `--device` of every command that computes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch

from emobridge.data import devices
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.features import encoding, store
from emobridge.inference import ahead
from emobridge.scale import workers

QUICK = ("--epochs", "1", "--seeds", "1", "--folds", "2", "--out", "{out}")
SPEECH = ("--source", "{en}", "--target", "{xx}", "--encoder", "{encoder}", "--layer", "1")
COMMANDS = {
    "extract": ("{en}", "--encoder", "{encoder}", "--store", "{out}"),
    "adapt": (*SPEECH, *QUICK),
    "budget": (*SPEECH, *QUICK, "--budgets", "0"),
    "probe": ("--corpus", "{en}", "--encoder", "{encoder}", "--heads", "linear", *QUICK),
    "predict": ("{bundle}", "{xx}", "--out", "{out}.jsonl"),
    "evaluate": ("{bundle}", "--on", "{xx}", "--out", "{out}.json"),
    "suggest": ("{bundle}", "--on", "{new}", "--out", "{out}.csv"),
}


@pytest.fixture
def run(cli, recorded, made, tiny_encoder, tmp_path):
    """A function that runs a command with more options; its bundle has an encoder with weights."""
    manifests = {"en": recorded / "en.jsonl", "xx": recorded / "xx.jsonl"}
    manifests["new"] = recorded / "new.jsonl"
    write_manifest(manifests["new"], [replace(row, emotion=None) for row in read_manifest(manifests["xx"])])
    made("xh", adapters="").save(tmp_path / "bundle", "card")

    def of(command, *more):
        places = {**manifests, "bundle": tmp_path / "bundle", "encoder": tiny_encoder, "out": tmp_path / "out"}
        return cli(command, *(word.format(**places) for word in COMMANDS[command]), *more)

    return of


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_not_there_is_one_line(run, monkeypatch, command):
    monkeypatch.setattr(devices, "device_names", lambda: ("cuda", "cuda:0", "cpu"))
    ran = run(command, "--device", "cuda:7")
    assert ran.code == 2 and ran.complaints == [
        "emobridge: unknown device 'cuda:7': did you mean 'cuda:0'? (one of auto, cpu, cuda, cuda:0)"
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_gpu_of_a_cluster_has_no_number(run, command):
    ran = run(command, "--cluster", "local", "--device", "CUDA:1")
    assert ran.code == 2
    assert ran.complaints == ["emobridge: device CUDA:1: each process of a cluster sees a single GPU: give cuda"]


class ClusterWithoutGpus:
    """A stand-in for Ray that takes no work."""

    @staticmethod
    def cluster_resources():
        return {"CPU": 8.0}


@pytest.fixture
def without_gpus(monkeypatch):
    """A cluster that has none, while this machine has one."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'emobridge[scale]'")
    monkeypatch.setattr(workers, "connected", lambda address: contextlib.nullcontext(ClusterWithoutGpus))
    monkeypatch.setattr(devices, "device_names", lambda: ("cuda", "cuda:0", "cpu"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: module)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cluster_without_gpus_is_one_line(run, without_gpus, command):
    ran = run(command, "--cluster", "local", "--device", "cuda")
    assert ran.code == 2
    assert ran.complaints == ["emobridge: device cuda: the cluster has no GPU; give --device auto or cpu"]


def test_what_is_trained_from_scratch_is_trained_on_the_cpu(run, monkeypatch):
    monkeypatch.setattr(devices, "device_names", lambda: ("cuda", "cuda:0", "cpu"))
    ran = run("probe", "--scratch", "ast", "--device", "cuda")
    assert ran.code == 2
    assert ran.complaints == ["emobridge: device cuda: --scratch trains on the CPU; give --device auto or cpu"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_encoder_goes_where_it_is_sent_and_gets_batches(run, monkeypatch, command):
    """A stand-in: the accelerator is the CPU under the name `mps`, and every move and batch is noted."""
    moves, batches, decoded = [], [], []
    monkeypatch.setattr(devices, "device_names", lambda: ("mps", "cpu"))
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moves.append(str(device)) or module)
    for module in (devices, encoding, ahead):
        monkeypatch.setattr(module, "is_accelerator", lambda device: True)
    encode, together, read = encoding.ClipEncoder._pass, ahead.encode, store.ReadAhead.read
    monkeypatch.setattr(
        encoding.ClipEncoder, "_pass", lambda self, waves: batches.append(len(waves)) or encode(self, waves)
    )
    monkeypatch.setattr(
        ahead, "encode", lambda who, waves, sets: batches.append(len(waves)) or together(who, waves, sets)
    )
    monkeypatch.setattr(store.ReadAhead, "read", lambda self, clip: decoded.append(clip.id) or read(self, clip))
    ran = run(command, "--device", "auto")
    assert ran.code == 0, ran.err
    assert moves[0] == "mps" and max(batches) > 1
    assert bool(decoded) == (command != "predict"), "what is stored is decoded ahead; predict cuts by speech on the way"
