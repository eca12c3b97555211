"""Where a bundle's encoder is: bundles that are moved, sent and joined find it, or say so in one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest

from emobridge.bundle import Recognizer
from emobridge.bundle.places import lasting_place, written_place
from emobridge.encoders import folder_has_digest, load_encoder
from emobridge.errors import UserError

HEX = "0" * 64


@pytest.fixture
def saved(made, source, tmp_path, monkeypatch):
    """A bundle whose encoder lies in the same tree: home/run/bundle and home/models/tiny-whisper."""
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = tmp_path / "home" / "models" / "tiny-whisper"
    shutil.copytree(source("whisper"), weights)
    made_here = made("de", encoder=load_encoder(weights))
    return placed(made_here, weights).save(tmp_path / "home" / "run" / "bundle", "card")


def placed(recognizer, weights):
    """The recogniser as if it had been trained with the encoder in a folder."""
    object.__setattr__(recognizer.spec, "encoder", str(weights))
    return recognizer


def encoder_in(bundle):
    return json.loads((bundle / "bundle.json").read_text())["encoder"]


def texts_of(folder):
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def test_no_folder_of_this_machine_stands_in_a_bundle(saved, tmp_path):
    assert encoder_in(saved) == "../../models/tiny-whisper"
    assert str(tmp_path) not in texts_of(saved)
    assert Recognizer.load(saved).spec.encoder == str(tmp_path / "home" / "models" / "tiny-whisper")


@pytest.mark.parametrize("working_folder", ["home/run/bundle", "."])
def test_a_tree_that_moves_as_a_whole(saved, tmp_path, monkeypatch, working_folder):
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.chdir(tmp_path / working_folder.replace("home", "elsewhere"))
    bundle = tmp_path / "elsewhere" / "run" / "bundle"
    assert Recognizer.load(os.path.relpath(bundle)).labels == ("anger", "sadness", "neutral")


def test_a_bundle_that_moves_alone_is_known_to_this_machine(saved, tmp_path):
    moved = saved.rename(tmp_path / "moved")
    assert Recognizer.load(moved).spec.encoder == str(tmp_path / "home" / "models" / "tiny-whisper")


@pytest.mark.parametrize("place", ["moved/tiny-whisper", "tiny-whisper", "another-name", "moved/bundle/inside"])
def test_on_another_machine_it_is_found_beside_the_bundle(saved, tmp_path, place):
    bundle = tmp_path / "moved" / "bundle"
    shutil.copytree(saved, bundle)
    (tmp_path / "home" / "models" / "tiny-whisper").rename(tmp_path / place)
    shutil.rmtree(tmp_path / "home")
    shutil.rmtree(tmp_path / "cache")
    assert Recognizer.load(bundle).spec.encoder == str(tmp_path / place)


def test_on_another_machine_it_is_found_in_the_cache_of_the_hub(saved, tmp_path):
    """As the hub keeps it: a snapshot of links to files that are named after their content."""
    weights, cached = tmp_path / "home" / "models" / "tiny-whisper", tmp_path / "hub" / "models--a--tiny"
    (cached / "blobs").mkdir(parents=True)
    (cached / "snapshots" / "f00").mkdir(parents=True)
    for file in weights.iterdir():
        name = hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(cached / "blobs" / name)
        (cached / "snapshots" / "f00" / file.name).symlink_to(f"../../blobs/{name}")
    shutil.rmtree(weights)
    assert Recognizer.load(saved).spec.encoder == str(cached / "snapshots" / "f00")


def test_where_it_is_nowhere_one_line_says_what_to_do(saved, tmp_path, cli):
    (tmp_path / "home" / "models").rename(tmp_path / "cellar")
    done = cli("predict", saved, "a.wav")
    (line,) = done.complaints
    assert done.code == 2 and line.endswith("say where it is (--encoder)") and "'tiny-whisper'" in line
    recognizer = Recognizer.load(saved, encoder=str(tmp_path / "cellar" / "tiny-whisper"))
    again = recognizer.save(tmp_path / "again", "card")
    assert Recognizer.load(again).spec.encoder == str(tmp_path / "cellar" / "tiny-whisper")


def test_other_weights_in_its_place_are_not_taken_for_it(saved, tmp_path, source):
    weights = tmp_path / "home" / "models" / "tiny-whisper"
    weights.rename(weights.with_name("renamed"))
    shutil.copytree(source("wav2vec2-base"), weights)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match=r"was made with an encoder of other weights than .*tiny-whisper has"):
        Recognizer.load(saved)
    weights.with_name("renamed").rename(saved.parent / "whisper")
    assert Recognizer.load(saved).spec.encoder == str(saved.parent / "whisper")


def test_joined_bundles_move_too(saved, tmp_path, made):
    weights = tmp_path / "home" / "models" / "tiny-whisper"
    placed(made("it", 1, encoder=load_encoder(weights)), weights).save(tmp_path / "home" / "run" / "it", "card")
    joined = Recognizer.joined([saved, tmp_path / "home" / "run" / "it"])
    both = joined.save(tmp_path / "home" / "deep" / "er" / "both", "card")
    assert str(tmp_path) not in texts_of(both)
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "cache")
    again = Recognizer.load(tmp_path / "elsewhere" / "deep" / "er" / "both")
    assert {branch.spec.encoder for branch in again.branches} == {str(tmp_path / "elsewhere/models/tiny-whisper")}


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_files_have_the_mode_that_the_umask_leaves(saved, tmp_path, made, mask, mode):
    weights = tmp_path / "home" / "models" / "tiny-whisper"
    other = made("it", 1, encoder=load_encoder(weights))
    joined = Recognizer.load(saved, encoder=str(weights)).join(other)
    before = os.umask(mask)
    try:
        joined.save(tmp_path / "both", "card", {"de": "card", "it": "card"})
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "both").rglob("*") if path.is_file()]
    assert {"adapter_model.safetensors", "model.safetensors", "bundle.json", "README.md"} <= {p.name for p in files}
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_how_a_place_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    bundle = tmp_path / "a" / "b" / "c" / "bundle"
    for place, written in {
        "logmel": "logmel",
        "openai/whisper-base": "openai/whisper-base",
        str(bundle / "encoder"): "./encoder",
        str(tmp_path / "a" / "b" / "c" / "w"): "../w",
        str(tmp_path / "a" / "w"): "../../../w",
        str(tmp_path / "w"): "../w",  # four folders up: no way is told, it may lie beside
        "/w": "../w",
        str(tmp_path / "a" / "b" / "mine.py"): "../../mine.py",
        str(tmp_path / "a" / "b" / "mine.py:Bands"): "../../mine.py:Bands",
    }.items():
        assert written_place(place, HEX, bundle) == written, place


def test_a_folder_of_weights_is_remembered_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wavlm").mkdir()
    (tmp_path / "logmel").mkdir()
    assert lasting_place("wavlm") == str(tmp_path / "wavlm")
    assert lasting_place("facebook/wav2vec2-base") == "facebook/wav2vec2-base"
    assert lasting_place("logmel") == "logmel", "load_encoder takes the plug-in before a folder of its name"


@pytest.mark.parametrize("digest", ["", "../../x", HEX, "0" * 5000])
def test_a_digest_of_anybody_reads_no_other_file(saved, tmp_path, digest):
    (tmp_path / "cache" / "x").write_text(str(tmp_path))
    assert not folder_has_digest(tmp_path / "home" / "models" / "tiny-whisper", digest)
    assert not folder_has_digest(tmp_path / "nowhere", digest) and not folder_has_digest("n" * 5000, digest)
    path = saved / "bundle.json"
    about = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    path.write_text(json.dumps(about | {"digest": digest, "encoder": "../nowhere"}))
    with pytest.raises(UserError, match="--encoder"):
        Recognizer.load(saved)
