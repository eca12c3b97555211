from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import save_file

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders._spectral import gammatone_filters
from emobridge.types import SAMPLE_RATE


def test_the_published_number_of_weights_and_features():
    encoder = load_encoder("emotion-cnn")
    assert sum(weight.numel() for weight in encoder.parameters() if weight.requires_grad) == 35_584
    assert encoder.width == 128


def test_a_tone_lights_up_the_band_of_its_frequency():
    filters = gammatone_filters(64, 512, 50.0, 7800.0)
    torch.testing.assert_close(filters.sum(1), torch.ones(64))
    peaks = filters.argmax(1)
    assert (peaks.diff() >= 0).all() and peaks[-1] == round(7800 / (SAMPLE_RATE / 512))
    encoder = load_encoder("emotion-cnn")
    bands = []
    for hertz in (200, 1000, 4000):
        wave = np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
        values, frames = encoder.cochleagram(torch.from_numpy(wave)[None], torch.tensor([SAMPLE_RATE]))
        assert frames.item() == values.shape[2] == 101
        bands.append(int(values[0, :, 50].argmax()))
        assert abs(peaks[bands[-1]].item() * SAMPLE_RATE / 512 - hertz) < 0.1 * hertz
    assert bands == sorted(bands)


def test_seeds_give_other_weights_and_leave_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    digests = [load_encoder("emotion-cnn", seed=seed).digest for seed in (0, 0, 1)]
    torch.testing.assert_close(torch.rand(2), expected)
    assert digests[0] == digests[1] != digests[2]


def test_a_saved_encoder_opens_as_itself(tmp_path):
    encoder = load_encoder("emotion-cnn", seed=5)
    save_file(encoder.state_dict(), tmp_path / "model.safetensors")
    again = load_encoder(tmp_path)
    batch = pad([np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)])
    torch.testing.assert_close(again(*batch).hidden, encoder(*batch).hidden)


def test_two_seconds_train():
    encoder = load_encoder("emotion-cnn").train()
    wave, mask = pad([np.random.default_rng(seed).standard_normal(2 * SAMPLE_RATE) for seed in range(4)])
    before = encoder.norms[0].running_mean.clone()
    hidden = encoder(wave, mask).hidden
    assert hidden.shape == (1, 4, 7, 128)
    hidden.sum().backward()
    assert (encoder.norms[0].running_mean != before).any()
