from __future__ import annotations

import numpy as np
import torch

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.encoders._spectral import htk_filters, kaldi_filters, reflected, slaney_filters
from emobridge.types import SAMPLE_RATE


def test_a_louder_tone_is_a_shift_in_its_band():
    encoder = load_encoder("logmel")
    wave = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    wave[: SAMPLE_RATE // 2] *= 0.1
    soft, loud = encoder(*pad([wave])).hidden[0, 0, [25, 75]]
    assert soft.argmax() == loud.argmax()
    assert abs(float(loud.max() - soft.max()) - np.log(100)) < 1e-3


def test_mel_filters_are_those_of_transformers():
    from transformers.audio_utils import mel_filter_bank

    options = {"num_frequency_bins": 201, "num_mel_filters": 80, "min_frequency": 0.0, "max_frequency": 8000.0}
    slaney = mel_filter_bank(**options, sampling_rate=SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(slaney_filters(80, 400).T, slaney, atol=1e-7)
    options |= {"num_frequency_bins": 513, "num_mel_filters": 64, "min_frequency": 60.0, "max_frequency": 7800.0}
    htk = mel_filter_bank(**options, sampling_rate=SAMPLE_RATE, norm=None, mel_scale="htk")
    np.testing.assert_allclose(htk_filters(64, 1024, 60.0, 7800.0).T, htk, atol=1e-6)
    options = {"num_frequency_bins": 257, "num_mel_filters": 128, "min_frequency": 20.0, "max_frequency": 8000.0}
    options |= {"sampling_rate": SAMPLE_RATE, "norm": None, "mel_scale": "kaldi", "triangularize_in_mel_space": True}
    np.testing.assert_allclose(kaldi_filters(128, 512, 20.0, 8000.0).T, mel_filter_bank(**options), atol=1e-6)


def test_each_clip_is_reflected_at_its_own_end():
    wave = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    expected = [[3, 2, 1, 2, 3, 4, 3, 2, 0], [3, 2, 1, 2, 3, 4, 5, 4, 3]]
    assert reflected(wave, torch.tensor([4, 5]), 2).tolist() == expected
