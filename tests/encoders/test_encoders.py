"""load_encoder: which source is what."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from emobridge import registry
from emobridge.encoders import HUB_FILES, fetch, is_here, languages_of, load_encoder, presets
from emobridge.errors import UserError


def fails(source, match, **options):
    with pytest.raises(UserError, match=match) as caught:
        load_encoder(source, **options)
    assert "\n" not in str(caught.value)


def test_a_misspelt_name_is_told_the_nearest_and_asks_no_hub(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    fails("logmle", "unknown encoder 'logmle': did you mean 'logmel'")
    fails("./nowhere", r"\./nowhere: no such folder")
    fails("/no/where", "/no/where: no such folder")


def test_folders_that_hold_no_encoder(tmp_path):
    fails(tmp_path, "holds no weights")
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    fails(tmp_path, r"config.json: is not valid JSON")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    fails(tmp_path, "model.safetensors: cannot be read as safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    fails(tmp_path, r"no known family \(model_type 'bert'; known: ast, byol-s,")
    fails(tmp_path / "model.safetensors", "is a file, expected the folder")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    fails(tmp_path, "gone.safetensors is missing")


@pytest.mark.parametrize("name", ["whisper", "wav2vec2-base", "ast"])
def test_another_users_weights_are_not_taken_for_damaged(name, source, open_folder, other_user):
    folder = open_folder / "weights"
    shutil.copytree(source(name), folder)
    load_encoder(folder)  # imports what another user may not
    for file in ("config.json", "model.safetensors"):
        os.chmod(folder / file, 0o600)
        said = other_user(lambda: load_encoder(folder))
        assert said.startswith(f"{folder / file}: cannot be read (Permission denied); it belongs to "), said
        os.chmod(folder / file, 0o644)


def test_a_hub_id_downloads_its_safetensors_only(monkeypatch, source):
    calls = []

    def download(model, **options):
        calls.append((model, options["revision"], tuple(options["allow_patterns"])))
        return source("whisper")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_encoder("someone/whisper").name == "whisper"
    assert load_encoder("someone/whisper@refs/pr/3", padding="full").options == {"padding": "full"}
    assert calls == [("someone/whisper", None, HUB_FILES), ("someone/whisper", "refs/pr/3", HUB_FILES)]
    assert not any(Path(name).suffix in (".bin", ".pt", ".h5", ".msgpack") for name in HUB_FILES)


def test_random_weights_download_no_weights(monkeypatch, source):
    calls = []

    def download(model, **options):
        calls.append(options["allow_patterns"])
        return source("whisper")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_encoder("someone/whisper", weights="random").options["seed"] == 0
    assert calls == [["config.json", "preprocessor_config.json", "processor_config.json"]]


def test_a_preset_is_its_hub_id_and_revision(monkeypatch, source, tmp_path):
    calls = []

    def download(model, **options):
        calls.append((model, options["revision"]))
        return source("whisper")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    load_encoder("whisper-small.en")
    load_encoder("wavlm-large", weights="random")
    assert calls == [("openai/whisper-small.en", None), ("microsoft/wavlm-large", "refs/pr/2")]
    shutil.copytree(source("byol-s"), "whisper-small.en")
    assert load_encoder("whisper-small.en").name == "byol-s", "a folder of that name comes first"
    assert len(calls) == 2
    fails("whisper-smal", "unknown encoder 'whisper-smal': did you mean 'whisper-small'")


def test_presets_are_complete_and_told_apart():
    all_presets = presets()
    assert not set(all_presets) & set(registry.names("encoders"))
    for name, preset in all_presets.items():
        assert preset.name == name and bool(preset.hub) != bool(preset.family and preset.page)
        assert not preset.hub or (preset.hub.count("/") == 1 and preset.where.startswith(preset.hub))
        assert preset.languages and all(re.fullmatch("[a-z]{2,3}", language) for language in preset.languages)
        assert (preset.layers, preset.width) in {(4, 384), (6, 512), (12, 768), (24, 1024)} or not preset.hub
        assert preset.licence and preset.source
    assert len({(preset.hub, preset.width) for preset in all_presets.values()}) == len(all_presets)


def test_a_preset_that_no_hub_holds(source, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    fails("byol-s-1024", "encoder byol-s-1024: is on no hub: give a folder with its weights .github.com/")
    assert not is_here("byol-s-1024")
    with pytest.raises(UserError, match="byol-s-1024: is on no hub"):
        fetch("byol-s-1024")
    for width in (512, 1024, 2048):
        encoder = load_encoder(f"byol-s-{width}", weights="random")
        assert encoder.name == "byol-s" and encoder.width == width
    shutil.copytree(source("byol-s"), "byol-s-1024")
    assert load_encoder("byol-s-1024").width == 512, "a folder of that name comes first"
    assert is_here("byol-s-1024") and languages_of("byol-s-1024") == ("mul",)


def test_the_languages_of_pre_training():
    assert languages_of("wav2vec2-base-de") == languages_of("facebook/wav2vec2-base-de-voxpopuli-v2@main") == ("de",)
    assert languages_of("xls-r-300m") == ("mul",)
    for source in ("logmel", "./wav2vec2-base", Path("somewhere"), "someone/whisper", ""):
        assert languages_of(source) == ()


def test_an_id_that_cannot_be_had_is_one_line(monkeypatch):
    def download(model, **options):
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    fails("someone/nothing", r"someone/nothing: no such folder, and not to be had from the model hub \(no route\)")


def test_what_is_here_is_told_without_a_download(monkeypatch, source, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the hub"))
    assert is_here("logmel") and is_here("ast") and is_here(source("whisper"))
    assert not is_here("wav2vec2-base") and not is_here("someone/nothing")
    snapshot = tmp_path / "models--facebook--wav2vec2-base" / "snapshots" / ("0" * 40)
    shutil.copytree(source("wav2vec2-base"), snapshot)
    revision = tmp_path / "models--facebook--wav2vec2-base" / "refs" / presets()["wav2vec2-base"].revision
    revision.parent.mkdir(parents=True)
    revision.write_text("0" * 40)
    assert is_here("wav2vec2-base") and is_here("facebook/wav2vec2-base@refs/pr/2")
    (snapshot / "model.safetensors").unlink()
    assert not is_here("wav2vec2-base"), "a configuration alone is no encoder"
    for word in ("wav2vec2-bse", "./nowhere"):
        with pytest.raises(UserError, match=r"did you mean 'wav2vec2-base'|no such folder"):
            is_here(word)


def test_weights_are_fetched_where_they_come_from_the_hub(monkeypatch, source):
    calls = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda model, **_: calls.append(model) or ".")
    for word in ("logmel", source("whisper"), "whisper-small"):
        fetch(word)
    assert calls == ["openai/whisper-small"]


def test_the_digest_follows_the_file(source, tmp_path):
    weights = Path(source("byol-s"), "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(weights.read_bytes())
    assert load_encoder(tmp_path).digest == load_encoder(source("byol-s")).digest
    from safetensors.torch import load_file

    tensors = load_file(weights)
    tensors["fc.0.bias"] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    assert load_encoder(tmp_path).digest != load_encoder(source("byol-s")).digest
