from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from emobridge.data.batching import pad
from emobridge.encoders import load_encoder
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE


def test_functionals_are_those_of_the_package():
    opensmile = pytest.importorskip("opensmile")
    wave = np.sin(2 * np.pi * 150 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    encoder = load_encoder("opensmile")
    layers = encoder(*pad([wave, wave[:20000]]))
    assert layers.hidden.shape == (1, 2, 1, 88) and layers.frame_rate == 0
    torch.testing.assert_close(
        layers.hidden[0, 0, 0].numpy(), smile.process_signal(wave, SAMPLE_RATE).to_numpy()[0], check_dtype=False
    )


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError, match=r"pip install 'emobridge\[opensmile\]'"):
        load_encoder("opensmile")
