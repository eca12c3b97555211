"""Prosody as an encoder: the numbers of `data.prosody`, alone or beside another encoder's."""

from __future__ import annotations

import numpy as np
import torch

from emobridge.data.batching import pad
from emobridge.data.prosody import prosody
from emobridge.encoders import load_encoder
from emobridge.features.pooling import pool


def test_its_features_are_the_numbers_of_each_clip_to_the_last_bit():
    rng = np.random.default_rng(0)
    waves = [(0.1 * rng.standard_normal(count)).astype(np.float32) for count in (16000, 7, 9001)]
    encoder = load_encoder("prosody")
    pooled = pool(encoder(*pad(waves)), encoder.statistics)
    assert torch.equal(pooled[0], torch.from_numpy(np.stack([prosody(wave) for wave in waves])))
