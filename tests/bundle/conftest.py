from __future__ import annotations

import hashlib

import pytest

from emobridge.encoders.logmel import Logmel


@pytest.fixture(scope="module")
def earlier_logmel():
    """The log-mels of bundles of format 2: the level of each clip was in them, and all frames were pooled."""
    start = Logmel.__init__

    def __init__(self):
        start(self)
        self.digest = hashlib.sha256(b"log-mel 64 60-7800 1").hexdigest()

    def encode(self, wave, lengths):
        mel, frames = self.front(wave, lengths)
        return mel.transpose(1, 2)[None], frames

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"__init__": __init__, "encode": encode, "pooled_frames": "all"}.items():
            patch.setattr(Logmel, name, value)
        yield
