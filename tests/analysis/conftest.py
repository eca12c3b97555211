"""A tiny encoder folder and studies of the recorded corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CONFIG = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "max_source_positions": 100,
}
LAYERS = CONFIG["encoder_layers"] + 1


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The folder of a Whisper encoder of two blocks, which has never heard speech."""
    import torch
    from safetensors.torch import save_file

    from emobridge.encoders.whisper import Whisper

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    folder.mkdir()
    state = Whisper(CONFIG).state_dict()
    save_file(
        {"model.encoder." + key.replace("blocks.", "layers."): value for key, value in state.items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.fixture
def asked(recorded, tiny, tmp_path):
    """A function that makes settings of a quick study of the two recorded corpora."""
    from emobridge.probe_settings import ProbeSettings

    def make(**changes):
        values = {
            "corpora": (str(recorded / "en.jsonl"), str(recorded / "xx.jsonl")),
            "encoders": (f"wb={tiny}",),
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
