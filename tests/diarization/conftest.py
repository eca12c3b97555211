"""A tiny random diarizer."""

from __future__ import annotations

import pytest

from emobridge.types import SAMPLE_RATE


@pytest.fixture(scope="session")
def tiny_diarizer(tiny_encoder):
    """A function to make a diarizer of random weights; its words are those of `DiarizerSpec`."""
    import torch

    from emobridge.diarization.frame_model import Diarizer, DiarizerSpec, features_of_steps, make_head
    from emobridge.encoders import load_encoder

    encoder = load_encoder(tiny_encoder)

    def make(**options):
        words = {"labels": ("neutral", "anger", "sadness"), "encoder": str(tiny_encoder), "layer": "1"} | options
        spec = DiarizerSpec(digest=encoder.digest, **words)
        width = features_of_steps(spec, encoder)
        torch.manual_seed(0)
        head = make_head(spec, width).eval()
        return Diarizer(spec, encoder, head, torch.randn(width), torch.rand(width) + 0.1)

    return make


@pytest.fixture
def tone():
    """A function to make a tone of some seconds."""
    import numpy as np

    def make(seconds, pitch=200.0, level=0.1):
        time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        return (level * np.sin(2 * np.pi * pitch * time)).astype(np.float32)

    return make
