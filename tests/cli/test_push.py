"""`emobridge push`, to a stand-in of the hub, and what is pulled from there."""

from __future__ import annotations

import dataclasses
import json

import pytest

import emobridge
from emobridge.diarization.files import save_diarizer

CARD = "---\nlicense: other\n---\n# Made of demo-en\n"


@pytest.fixture
def diarizer(tiny_diarizer, tmp_path):
    """The folder of a diarizer with a card."""
    made = tiny_diarizer(corpora=("demo-en",), languages=("en",), synthetic=True)
    return save_diarizer(tmp_path / "diarizer", dataclasses.replace(made, card=CARD))


def test_it_lists_files_and_terms_and_sends_nothing_without_yes(hub, finished, cli):
    done = cli("push", finished / "bundle", "user/calls")
    assert done.code == 2 and hub.requests == [] and hub.models == {}
    lines = done.out.splitlines()
    assert lines[0] == "user/calls, branch main, private:"
    assert [line.split()[0] for line in lines[1:4]] == ["README.md", "bundle.json", "model.safetensors"]
    assert [line.split(":")[0].strip() for line in lines[5:]] == ["en", "xx"] and "ask its owner" in lines[5]
    assert done.complaints[-1] == "emobridge: push: nothing was uploaded; if these terms allow it, add --yes"


def test_there_and_back(hub, finished, recorded, cli):
    done = cli("push", finished / "bundle", "user/calls", "--yes")
    assert done.code == 0 and done.out.splitlines()[-1] == f"{hub.address}/user/calls", done.err
    clip = recorded / "xx-a-anger-0.wav"
    here, there = (cli("predict", model, clip) for model in (finished / "bundle", "user/calls"))
    assert there.code == 0 and here.out == there.out


def test_a_diarizer_goes_there_and_back(hub, diarizer, recorded, cli):
    done = cli("push", diarizer, "user/when", "--public", "--yes")
    assert done.code == 0, done.err
    assert done.out.startswith("user/when, branch main, everyone can see it (SYNTHETIC):")
    assert hub.private["user/when"] in (False, "public")
    assert {"diarizer.json", "diarizer.safetensors", "README.md"} <= set(hub.models["user/when"])
    clip = recorded / "xx-a-anger-0.wav"
    encoder = json.loads((diarizer / "diarizer.json").read_text())["encoder"]
    models = {diarizer: (), "user/when": ("--encoder", (diarizer / encoder).resolve())}
    here, there = (cli("diarize", model, clip, *words) for model, words in models.items())
    assert there.code == 0 and here.out == there.out and here.out, there.err
    assert emobridge.load_frame_model("user/when", encoder=str((diarizer / encoder).resolve())).labels[0] == "neutral"


def test_refusals_are_one_line(hub, finished, diarizer, cli, tmp_path):
    (tmp_path / "empty").mkdir()
    (diarizer / "README.md").unlink()
    for words, message in {
        (tmp_path / "none", "user/calls"): "none: no such folder",
        (tmp_path / "empty", "user/calls"): "empty: is no bundle",
        (finished / "bundle", "calls"): "calls: expected the id of a model on the hub, such as user/name",
        (diarizer, "user/when"): "diarizer: has no model card (README.md), which must name sources",
    }.items():
        done = cli("push", *words)
        assert done.code == 2 and message in done.complaints[-1], done.err
    assert hub.requests == []
