"""Studies of the recorded corpora."""

from __future__ import annotations

import pytest


@pytest.fixture
def asked(recorded, tiny_encoder, tmp_path):
    """A function that makes settings of a quick study of the two recorded corpora."""
    from emobridge.probe.settings import ProbeSettings

    def make(**changes):
        values = {
            "corpora": (str(recorded / "en.jsonl"), str(recorded / "xx.jsonl")),
            "encoders": (f"wb={tiny_encoder}",),
            "heads": ("single", "nonlinear", "multilayer"),
            "head_options": ("hidden=8",),
            "settings": ("mono", "trans", "cross", "other"),
            "folds": 2,
            "seeds": 2,
            "epochs": 2,
            "floors": False,
            "out": str(tmp_path / "study"),
            "store": str(tmp_path / "features"),
        }
        return ProbeSettings(**(values | changes))

    return make
