"""Whether a folder can hold the encoder whose name it is given under: published numbers are of the real one alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emobridge.encoders._presets import presets

# Keys of config.json, the first that is there, by the fact of a preset.
_KEYS = {
    "model_type": ("model_type",),
    "layers": ("encoder_layers", "num_hidden_layers"),
    "width": ("d_model", "hidden_size"),
    "vocabulary": ("vocab_size",),
}


def checkpoint_differences(name: str, folder: str | Path) -> tuple[str, ...]:
    """How what a folder holds differs from the preset `name`, a line a fact: by its configuration, or where there is
    none by its weights.

    () where all agree, where `name` is no preset's, and where there is no such folder. Models of one architecture and
    size, such as the English and the German wav2vec2-base, cannot be told apart by it. Errors: UserError for what
    cannot be read.
    """
    preset, path = presets().get(name), Path(folder).expanduser()
    if preset is None or not path.is_dir():
        return ()
    found = _facts_of(path) if preset.model_type else _facts_of_weights(path)
    expected = {fact: getattr(preset, fact) for fact in _KEYS}
    return tuple(
        f"{fact}: expected {expected[fact]}, found {'nothing' if found[fact] is None else found[fact]}"
        for fact in _KEYS
        if expected[fact] and expected[fact] != found[fact]
    )


def _facts_of(folder: Path) -> dict[str, Any]:
    """What config.json tells."""
    from emobridge.encoders._weights import read_config  # which imports torch

    config = read_config(folder)
    return {fact: next((config[key] for key in keys if key in config), None) for fact, keys in _KEYS.items()}


def _facts_of_weights(folder: Path) -> dict[str, Any]:
    """What the weights tell, of a family that has no configuration."""
    from emobridge.encoders import load_encoder

    encoder = load_encoder(folder)
    return {"model_type": "", "layers": encoder.layers - 1, "width": encoder.width, "vocabulary": 0}


def other_checkpoint(name: str, folder: str | Path) -> str:
    """A sentence on a folder that does not hold the preset `name`; "" where nothing speaks against it."""
    differences = checkpoint_differences(name, folder)
    if not differences:
        return ""
    preset = presets()[name]
    return f"{folder} does not hold {preset.where} ({'; '.join(differences)}): no published number stands beside it"
