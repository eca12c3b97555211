"""Which frames of an encoder are pooled: all of a clip, or those in which somebody speaks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from emobridge.adapters import Adapters
from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder, speech_frames
from emobridge.errors import UserError
from emobridge.features.pooling import pool
from emobridge.features.store import FeatureStore
from emobridge.inference.features import encode
from emobridge.types import SAMPLE_RATE, Layers, Utterance

FAMILIES = ("ast", "byol-s", "emotion-cnn", "hubert-base", "logmel", "wav2vec2-large", "wavlm-base", "whisper")


def spoken(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that rises and falls as syllables do, by 20 dB."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.1 * 10 ** (np.sin(2 * np.pi * 4 * time) / 2 - 0.5) * noise).astype(np.float32)


def silent(seconds: float) -> np.ndarray:
    return (3e-5 * np.random.default_rng(9).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_frames_with_speech_are_pooled_on_request(name, source, tmp_path):
    every = load_encoder(source(name), frames="all")
    speech = load_encoder(source(name), frames="speech")
    assert speech.pooled_frames == "speech" and every.pooled_frames == "all"
    assert FeatureStore(tmp_path, speech).folder != FeatureStore(tmp_path, every).folder
    waves = [np.concatenate([silent(0.25), spoken(0.5), silent(0.25)]), spoken(0.4, 1)]  # within the tiny windows
    with torch.no_grad():
        layers, whole = speech(*pad(waves)), every(*pad(waves))
        alone = speech(*pad(waves[:1]))
    torch.testing.assert_close(layers.hidden, whole.hidden)
    assert torch.equal(whole.pooled, whole.mask) and (layers.pooled <= layers.mask).all()
    rate, rows = layers.frame_rate, layers.pooled[0]
    assert 0.5 * rate - 2 <= rows.sum() <= 0.54 * rate + 4, "the half second that is spoken"
    assert rows[round(0.25 * rate) + 1 : round(0.75 * rate) - 1].all() and not rows[: round(0.23 * rate) - 1].any()
    assert torch.equal(alone.pooled[0], rows[: alone.pooled.shape[1]])
    expected = layers.hidden[:, 0, rows].mean(1)
    torch.testing.assert_close(pool(layers, ("mean",))[:, 0], expected, atol=1e-5, rtol=1e-4)


def test_the_family_decides_unless_asked_and_older_keys_stay(source, tmp_path):
    plain = load_encoder(source("whisper"))
    assert plain.pooled_frames == "all" and "frames" not in plain.options
    assert (
        FeatureStore(tmp_path, plain).folder
        == FeatureStore(tmp_path, load_encoder(source("whisper"), frames="all")).folder
    )
    assert load_encoder("logmel").pooled_frames == "speech"
    assert "frames" in load_encoder("logmel", frames="all").options


def test_silence_alone_is_pooled_whole(source):
    encoder = load_encoder(source("whisper"), frames="speech")
    layers = encoder(*pad([np.zeros(SAMPLE_RATE, np.float32), spoken(1.0)]))
    assert torch.equal(layers.pooled[0], layers.mask[0])


@pytest.mark.parametrize("samples", [1, 160, 401])
def test_every_length_has_a_frame_to_pool(samples):
    encoder = load_encoder("logmel")
    layers = encoder(*pad([np.full(samples, 0.1, np.float32)]))
    assert layers.pooled.any(1).all() and torch.isfinite(pool(layers, encoder.statistics)).all()


def test_a_long_clip_is_pooled_as_in_the_store(tmp_path):
    """Window by window, so that the store, which reads one window at a time, and an answer agree."""
    import soundfile

    encoder = load_encoder("logmel")
    encoder.window = 1.0
    wave = np.concatenate([spoken(0.8), 0.01 * spoken(0.9), silent(0.5), spoken(0.6, 1)])
    soundfile.write(tmp_path / "long.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    stored = FeatureStore(tmp_path / "store", encoder).extract([Utterance("a", "c", str(tmp_path / "long.wav"))])
    with torch.no_grad():
        direct = pool(encoder(*pad([wave])), encoder.statistics)[:, 0]
    np.testing.assert_allclose(stored.values[0], direct, atol=1e-4)


def test_a_louder_recording_gives_the_same_log_mels():
    encoder = load_encoder("logmel")
    wave = spoken(1.5)
    with torch.no_grad():
        soft, loud = (pool(encoder(*pad([gain * wave])), encoder.statistics) for gain in (0.2, 2.0))
    torch.testing.assert_close(soft, loud, atol=1e-2, rtol=1e-2)


def test_silence_around_a_clip_hardly_changes_its_log_mels():
    encoder = load_encoder("logmel")
    wave = spoken(1.5)
    longer = np.concatenate([silent(1.0), wave, silent(2.0)])
    with torch.no_grad():
        short, long = (pool(encoder(*pad([clip])), ("mean",)) for clip in (wave, longer))
        encoder.pooled_frames = "all"
        whole = pool(encoder(*pad([longer])), ("mean",))
    assert (short - long).abs().max() < 0.2 < (short - whole).abs().mean()


def test_all_of_a_clip_is_pooled_unless_frames_are_chosen():
    layers = Layers(torch.zeros(1, 1, 3, 2), torch.ones(1, 3, dtype=torch.bool), 50.0)
    assert torch.equal(layers.pooled, layers.mask)
    chosen = torch.tensor([[False, True, False]])
    marked = dataclasses.replace(layers, speech=chosen)
    assert torch.equal(marked.pooled, layers.mask) and torch.equal(marked.spoken, chosen)
    assert torch.equal(dataclasses.replace(marked, over_speech=True).pooled, chosen)


def test_a_sum_of_layers_keeps_the_frames_with_speech(source):
    encoder = load_encoder(source("whisper"), frames="speech")
    batch = pad([np.concatenate([silent(0.3), spoken(0.5)])])
    with torch.no_grad():
        expected = encoder(*batch).pooled
        Adapters(encoder, "layer-sum")
        summed = encoder(*batch)
    assert summed.hidden.shape[0] == 1 and torch.equal(summed.pooled, expected) and not expected.all()


def test_frames_of_any_rate_are_those_of_the_same_time():
    wave = torch.zeros(1, SAMPLE_RATE)
    wave[0, 8000:] = torch.from_numpy(spoken(0.5))
    for rate in (10.0, 12.5, 50.0, 100.0):
        count = int(rate)
        rows = speech_frames(wave, torch.tensor([SAMPLE_RATE]), count, torch.tensor([count]), rate)[0]
        assert not rows[: round(0.47 * rate) - 1].any() and rows[round(0.5 * rate) + 1 :].all()


def test_unfitting_choices_are_refused(tmp_path):
    with pytest.raises(UserError, match="unknown choice of frames 'speach': did you mean 'speech'"):
        load_encoder("logmel", frames="speach")
    code = "from emobridge.encoders.base import Encoder\nfrom emobridge.types import Layers\n\n\nclass Own(Encoder):\n"
    code += "    layers, width, frame_rate = 1, 2, 50.0\n\n    def forward(self, wave, mask):\n        return None\n"
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(UserError, match="has a forward of its own"):
        load_encoder(str(tmp_path / "own.py"), frames="speech")


def test_an_answer_pools_what_training_pooled(source):
    """`inference.features.encode` goes by the encoder too."""
    from types import SimpleNamespace

    encoder: Encoder = load_encoder(source("whisper"), frames="speech")
    wave = np.concatenate([silent(1.0), spoken(1.0)])
    spec = SimpleNamespace(layer="0", statistics=encoder.statistics, frames=False, prosody=False)
    value = encode(SimpleNamespace(encoder=encoder, spec=spec), [wave], [None])[0]
    with torch.no_grad():
        torch.testing.assert_close(value[0], pool(encoder(*pad([wave])), encoder.statistics)[0, 0])


def test_a_statistic_of_speech_beside_that_of_all_frames(source, tmp_path):
    """What two encoders with `frames` would give, from one; also beyond the encoder's window."""
    both, speech = load_encoder(source("whisper")), load_encoder(source("whisper"), frames="speech")
    wave = np.concatenate([spoken(0.5), silent(0.3), spoken(both.window, 1), silent(0.2)])
    path = tmp_path / "clip.wav"
    soundfile.write(path, wave, SAMPLE_RATE, subtype="FLOAT")
    rows = [Utterance("a", "x", str(path)), Utterance("b", "x", str(path), end=0.7)]
    values, width = FeatureStore(tmp_path, both).extract(rows).values, both.width
    assert both.statistics == ("mean", "std", "speech_mean")
    alone = FeatureStore(tmp_path, speech).extract(rows).values
    np.testing.assert_allclose(values[..., 2 * width :], alone[..., :width], atol=1e-5)
    assert np.abs(values[..., 2 * width :] - values[..., :width]).max() > 1e-3
