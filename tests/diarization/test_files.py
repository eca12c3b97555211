"""Diarizers as files: what was saved comes back, and what was changed is told in a line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from emobridge.diarization.files import DIARIZER, is_diarizer, load_frame_model, read_diarizer, save_diarizer
from emobridge.diarization.files import DIARIZER_TENSORS as TENSORS
from emobridge.diarization.frame_model import Diarizer
from emobridge.errors import UserError


@pytest.fixture
def folder(tiny_diarizer, tmp_path):
    model = tiny_diarizer(layer="0+2", synthetic=True, corpora=("demo-en",), languages=("en",))
    return save_diarizer(tmp_path / "d", model)


def test_it_answers_as_before(folder, tiny_diarizer, tone):
    model = load_frame_model(folder)
    assert isinstance(model, Diarizer)
    assert is_diarizer(folder)
    assert model.synthetic
    assert model.spec.corpora == ("demo-en",)
    before = tiny_diarizer(layer="0+2", synthetic=True)
    wave = tone(1.3)
    assert np.array_equal(model.frame_probabilities(wave), before.frame_probabilities(wave))


def test_saved_once_more_it_is_the_same(folder, tmp_path):
    again = save_diarizer(tmp_path / "again", read_diarizer(folder))
    assert (again / TENSORS).read_bytes() == (folder / TENSORS).read_bytes()
    assert (again / DIARIZER).read_bytes() == (folder / DIARIZER).read_bytes()


def test_it_moves_with_its_encoder(tiny_diarizer, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "home"
    shutil.copytree(tiny_encoder, here / "models" / "tiny-whisper")
    model = tiny_diarizer(encoder=str(here / "models" / "tiny-whisper"))
    save_diarizer(here / "run" / "d", model)
    assert json.loads((here / "run" / "d" / DIARIZER).read_text())["encoder"] == "../../models/tiny-whisper"
    shutil.move(here, tmp_path / "there")
    assert load_frame_model(tmp_path / "there" / "run" / "d").labels == model.labels
    shutil.move(tmp_path / "there" / "models" / "tiny-whisper", tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"--encoder"):
        load_frame_model(tmp_path / "there" / "run" / "d")
    assert load_frame_model(tmp_path / "there" / "run" / "d", encoder=str(tmp_path / "elsewhere"))


def test_an_encoder_of_other_weights_is_refused(folder, source, tmp_path):
    with pytest.raises(UserError, match="other weights"):
        load_frame_model(folder, encoder=str(source("whisper")))


def test_a_folder_that_is_none(tmp_path):
    assert not is_diarizer(tmp_path)
    assert not is_diarizer(tmp_path / "absent")
    with pytest.raises(UserError, match=r"is no diarizer \(there is no diarizer.json\)"):
        read_diarizer(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "update it"),
        ("format", "1", "format: expected a whole number"),
        ("labels", "anger", "labels: expected a list of words"),
        ("labels", ["anger"], "labels: expected two or more"),
        ("labels", ["anger", "neutral"], "changed after it was saved"),
        ("layer", 3, "layer: expected str"),
        ("layer", "1", "changed after it was saved"),
        ("frame_rate", "fast", "frame_rate: expected float"),
        ("frame_rate", float("inf"), "frame_rate: expected above 0"),
        ("radii", [0.2, "x"], "radii: expected a list of numbers"),
        ("window", 0, "window: expected seconds above 0"),
        ("frame_rate", 1.0, "changed after it was saved"),
        ("synthetic", False, "changed after it was saved"),
        ("synthetic", 0, "synthetic: expected bool"),
        ("sha256", None, "changed after it was saved"),
        ("tensors", "0" * 64, "changed after it was saved"),
        ("colour", "blue", "unknown key 'colour'"),
    ],
)
def test_a_changed_description_is_told_in_a_line(folder, key, value, message):
    facts = json.loads((folder / DIARIZER).read_text())
    (folder / DIARIZER).write_text(json.dumps({**facts, key: value}))
    with pytest.raises(UserError, match=message) as caught:
        load_frame_model(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("key", ["labels", "radii", "synthetic", "sha256", "tensors", "format"])
def test_a_missing_field_is_named(folder, key):
    facts = json.loads((folder / DIARIZER).read_text())
    del facts[key]
    (folder / DIARIZER).write_text(json.dumps(facts))
    with pytest.raises(UserError, match=key):
        load_frame_model(folder)


@pytest.mark.parametrize("text", [b"", b"[1]", b"{", b"\xff\xfe", b"null", b'{"format": 1, "format": 1}'])
def test_a_description_that_is_none(folder, text):
    (folder / DIARIZER).write_bytes(text)
    with pytest.raises(UserError, match=DIARIZER):
        load_frame_model(folder)


def test_damaged_tensors_are_told(folder, tiny_diarizer, tmp_path):
    content = (folder / TENSORS).read_bytes()
    for damaged in (b"", content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
        (folder / TENSORS).write_bytes(damaged)
        with pytest.raises(UserError, match=rf"{TENSORS}: does not fit {DIARIZER}"):
            load_frame_model(folder)
    (folder / TENSORS).unlink()
    with pytest.raises(UserError, match=rf"{TENSORS}: is missing"):
        load_frame_model(folder)
