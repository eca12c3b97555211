"""Sounds to diarize."""

from __future__ import annotations

import pytest

from emobridge.types import SAMPLE_RATE


@pytest.fixture
def tone():
    """A function to make a tone of some seconds."""
    import numpy as np

    def make(seconds, pitch=200.0, level=0.1):
        time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        return (level * np.sin(2 * np.pi * pitch * time)).astype(np.float32)

    return make
