"""Tiny random models of every family, written as the folders that a person downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emobridge.encoders.byol_s import ByolS
from emobridge.encoders.whisper import Whisper

WHISPER = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "max_source_positions": 100,  # 2 s
}
SSL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
# Base models: group norm, no normalisation of the input; large ones: layer norm everywhere.
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def write_whisper(folder: Path, prefix: str = "model.encoder.") -> Path:
    torch.manual_seed(0)
    state = Whisper(WHISPER).state_dict()
    tensors = {prefix + name.replace("blocks.", "layers."): tensor.half() for name, tensor in state.items()}
    tensors["model.decoder.layers.0.fc1.bias"] = torch.zeros(3)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(WHISPER))
    return folder


def write_byol_s(folder: Path) -> Path:
    torch.manual_seed(0)
    encoder = ByolS()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.normal_(module.bias)
    folder.mkdir(exist_ok=True)
    save_file(encoder.state_dict(), folder / "model.safetensors")
    return folder


def write_ssl(folder: Path, name: str) -> Path:
    import transformers

    family, size = name.split("-")
    config = transformers.AutoConfig.for_model(family, **SSL, **(BASE if size == "base" else LARGE))
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": size == "large"}))
    return folder


AST = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_length": 192}


def write_ast(folder: Path) -> Path:
    """As a checkpoint with a classifier has it; random position table and tokens, which begin as zeros."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    model = ASTForAudioClassification(ASTConfig(**AST))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    ASTFeatureExtractor(max_length=192, mean=-5.0, std=4.0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """name -> what load_encoder takes."""
    folders: dict[str, str] = {}

    def find(name: str) -> str:
        if name == "opensmile":
            pytest.importorskip("opensmile")
        if name in ("logmel", "opensmile", "emotion-cnn"):
            return name
        if name not in folders:
            folder = tmp_path_factory.mktemp("weights") / name
            write = {"ast": write_ast, "whisper": write_whisper, "byol-s": write_byol_s}.get(name)
            folders[name] = str(write(folder) if write else write_ssl(folder, name))
        return folders[name]

    return find
