"""What a competent user writes by hand for features: a loop over clips, each at its own length, and transformers.

Nothing is padded to 30 s: Whisper gets as many of its positions as the clip has frames. All hidden states are averaged
over the clip's frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from emobridge.data.audio import read_audio
from emobridge.encoders._weights import read_config
from emobridge.types import SAMPLE_RATE

Loop = Callable[[], np.ndarray]  # -> (N, L, D) means over frames
HOP, FRAME = 160, 320  # samples between log-mel frames, and to a frame of the encoder


def whisper_model(weights: Path) -> tuple[Any, Callable[[np.ndarray], torch.Tensor]]:
    """transformers' encoder with a folder's weights, and a function wave (T,) -> hidden (L, F, D)."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    prefix = "model.encoder."
    tensors = load_file(weights / "model.safetensors")
    model = WhisperEncoder(WhisperConfig(**read_config(weights))).eval()
    model.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
    extractor = WhisperFeatureExtractor.from_pretrained(weights)
    positions = model.embed_positions.weight.detach()

    def hidden(wave: np.ndarray) -> torch.Tensor:
        frames = -(-len(wave) // FRAME)
        # Two log-mel frames of silence overlap the clip's end, as where 30 s are filled up.
        mel = extractor(
            wave,
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            padding="max_length",
            max_length=(2 * frames + 2) * HOP,
        ).input_features[..., : 2 * frames]
        model.config.max_source_positions = frames
        model.embed_positions = torch.nn.Embedding.from_pretrained(positions[:frames])
        return torch.cat(model(mel, output_hidden_states=True).hidden_states)

    return model, hidden


def wav2vec2_model(**size: int) -> tuple[Any, Callable[[np.ndarray], torch.Tensor]]:
    """transformers' wav2vec 2.0 of base size, or of `size`, with random weights, and the same function."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    model = Wav2Vec2Model(Wav2Vec2Config(layerdrop=0.0, **size)).eval()

    def hidden(wave: np.ndarray) -> torch.Tensor:
        wave = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
        return torch.cat(model(torch.from_numpy(wave[None]), output_hidden_states=True).hidden_states)

    return model, hidden


def loop_over(paths: Sequence[str], hidden: Callable[[np.ndarray], torch.Tensor]) -> Loop:
    """The loop over files, ready to run."""

    def run() -> np.ndarray:
        with torch.inference_mode():
            return np.stack([hidden(read_audio(path)).mean(1).numpy() for path in paths])

    return run
