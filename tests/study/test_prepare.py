"""What a study begins with: what cannot be trained on is skipped before training comes upon it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from emobridge.data.audio import AudioError
from emobridge.data.manifest import read_manifest
from emobridge.encoders import load_encoder
from emobridge.study import prepare


def test_recordings_of_which_an_encoder_makes_nothing_finite_are_skipped(recorded, tmp_path, monkeypatch):
    """Where an encoder is trained too: no features are stored that would tell."""
    encoder = load_encoder("emotion-cnn")
    forward = type(encoder).forward

    def sour(self, wave, mask):
        layers = forward(self, wave, mask)
        layers.hidden[:, wave[:, 0] == 0.5] = torch.nan
        return layers

    monkeypatch.setattr(type(encoder), "forward", sour)
    soundfile.write(tmp_path / "sour.wav", np.full(8000, 0.5), 16000, subtype="FLOAT")
    rows = list(read_manifest(recorded / "xx.jsonl"))[:3]
    rows.insert(1, replace(rows[0], id="sour", path=str(tmp_path / "sour.wav")))
    rows.append(replace(rows[0], id="gone", path=str(tmp_path / "gone.wav")))
    case = SimpleNamespace(uses_recordings=False, training=SimpleNamespace(crop=2.0, precision="fp32"))
    speech, calls = SimpleNamespace(utterances=rows), []
    skipped = prepare._unreadable(
        speech, encoder, case, torch.device("cpu"), lambda *call: calls.append(call), strict=False
    )
    assert [name for name, _ in skipped] == ["sour", "gone"] and calls[-1] == (5, 5)
    assert skipped[0][1].endswith("sour.wav: encoder emotion-cnn gives numbers that are not finite (NaN or infinity)")
    with pytest.raises(AudioError, match="not finite"):
        prepare._unreadable(speech, encoder, case, torch.device("cpu"), lambda *call: None, strict=True)
