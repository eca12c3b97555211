"""Tiny encoders with random weights in the place of a recipe's: of the same family and as many layers, but narrow.

Layers are named in recipes by number, so that a tiny encoder is as deep as the one whose place it takes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from emobridge import registry
from emobridge.encoders import load_encoder, presets
from emobridge.encoders.base import seeded
from emobridge.errors import UserError

_WIDTH = 32  # a bottleneck of the reduction 16 leaves two of it
_HEADS = 2
_SHARED = {"hidden_size": _WIDTH, "num_attention_heads": _HEADS, "intermediate_size": 2 * _WIDTH}
_SSL = {**_SHARED, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": _HEADS}
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
_MOST_OF_BASE = 12  # layers of a self-supervised model of the size "base"; larger ones have the options above
_WHISPER = {
    "d_model": _WIDTH,
    "encoder_attention_heads": _HEADS,
    "encoder_ffn_dim": 2 * _WIDTH,
    "decoder_layers": 1,
    "decoder_attention_heads": _HEADS,
    "decoder_ffn_dim": 2 * _WIDTH,
    "vocab_size": 32,
    "max_source_positions": 200,  # 4 s
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
}


def fabricate_encoders(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Folders with random weights for those of the encoders that need weights, each made once.

    Errors: UserError for an encoder that no preset describes and that cannot be made without its weights.
    """
    folders = {}
    for name in names:
        path = folder / name
        if not _needs_weights(name):
            continue
        if not (path / "model.safetensors").exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as draft:
                _write_encoder(name, Path(draft) / "weights")
                shutil.rmtree(path, ignore_errors=True)
                (Path(draft) / "weights").rename(path)  # whole or not at all
        folders[name] = path
    return folders


def _needs_weights(name: str) -> bool:
    """Whether an encoder cannot be opened without a folder."""
    if name not in registry.names("encoders"):
        return True
    try:
        load_encoder(name)
    except UserError:
        return True
    return False


def _write_encoder(name: str, folder: Path) -> None:
    preset = presets().get(name)
    if preset is not None and preset.model_type:
        _write_transformer(preset.model_type, preset.layers, folder)
    else:
        _write_weights(load_encoder(name, weights="random", seed=0), folder)  # of a family that is small anyway


def _write_transformer(kind: str, layers: int, folder: Path) -> None:
    """A model of the transformers library with that many blocks, as it is before any training."""
    from transformers import AutoConfig, AutoModel

    large = layers > _MOST_OF_BASE
    if kind == "whisper":
        config = AutoConfig.for_model(kind, **_WHISPER, encoder_layers=layers)
    else:
        config = AutoConfig.for_model(kind, **_SSL, num_hidden_layers=layers, **(_LARGE if large else {}))
    with seeded(0):
        model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    _write_weights(model, folder)
    config.save_pretrained(folder)
    if kind != "whisper":
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": large}), encoding="utf-8")


def _write_weights(model: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
