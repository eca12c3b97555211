"""The encoder of OpenAI's Whisper (Radford et al. 2023), without its decoder.

Whisper was trained on 30 s of audio, shorter clips padded with silence. `padding="full"` does so, and agrees with the
published implementations. `padding="clip"`, the default, encodes the clip's own length with the first rows of the
position table: it is many times faster, and NOT numerically the same. The option is part of the store's key.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from emobridge.encoders._engines import ENGINE, Engines, engine_choice
from emobridge.encoders._spectral import power, slaney_filters
from emobridge.encoders._weights import (
    MOST,
    MOST_LAYERS,
    check_weights,
    fill,
    load_tensors,
    read_config,
    read_preprocessor,
    size_in,
    weights_digest,
)
from emobridge.encoders.base import (
    WEIGHT_OPTIONS,
    Encoder,
    Option,
    Trunk,
    check_choice,
    check_options,
    key_options,
    seed_of,
    seeded,
    state_digest,
)
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE

HOP = 160  # samples between log-mel frames
SIZE = 400  # samples of a log-mel window
STRIDE = 2  # log-mel frames to one frame of the encoder
EXACT = ("fc2",)  # products that the onnx-int8 engine leaves in single precision (see _onnx.py)
EXAMPLE = 25  # frames of the encoder in the example by which an engine is checked at each start, half a second
PREFIXES = ("model.encoder.", "encoder.")
MOST_BANDS = 1000  # of mel; published models have 80 or 128


class Whisper(Encoder):
    """Layers: the embedding, then each block; the last has the final layer norm (as in transformers' hidden_states).

    weights, seed: "random" gives initial weights for the seed in place of the folder's: normal ones with a deviation of
    the configuration's `init_std`, biases of zero, and sines for positions, as in transformers.
    engine: what runs it where it is frozen (see _engines.py); of these torch alone can be trained.
    """

    defaults: ClassVar = {"padding": "clip", **WEIGHT_OPTIONS, **ENGINE}
    frame_rate = SAMPLE_RATE / (HOP * STRIDE)
    statistics = ("mean", "std", "speech_mean")
    has_graph = True
    filters: Tensor
    hann: Tensor

    def __init__(self, config: dict, padding: str = "clip") -> None:
        super().__init__()
        width, positions = config["d_model"], config["max_source_positions"]
        self.layers, self.first_block = config["encoder_layers"] + 1, 1
        self.width = width
        self.window = positions / self.frame_rate  # 30 s
        self.options = {"padding": padding}
        self.engines: Engines | None = None
        self.spares_memory = False
        self.scale = width**0.5 if config.get("scale_embedding") else 1.0
        self.conv1 = nn.Conv1d(config["num_mel_bins"], width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=STRIDE, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(_drawn_table(positions, width))
        sizes = (width, config["encoder_attention_heads"], config["encoder_ffn_dim"])
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(config["encoder_layers"]))
        self.layer_norm = nn.LayerNorm(width)
        self.register_buffer("filters", slaney_filters(config["num_mel_bins"], SIZE), persistent=False)
        self.register_buffer("hann", torch.hann_window(SIZE, device="cpu"), persistent=False)

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        return config.get("model_type") == "whisper"

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> Whisper:
        options = check_options(cls.name, cls.defaults, options)
        padding = check_choice(cls.name, options, "padding", ("clip", "full"))
        if directory is None:
            raise UserError("encoder whisper needs weights: a folder, or a hub id such as openai/whisper-base")
        config = read_config(directory)
        _check(config, directory)
        read_preprocessor(directory, sampling_rate=SAMPLE_RATE, hop_length=HOP, n_fft=SIZE, dither=0.0)
        seed, engine = seed_of(cls.name, options), engine_choice(cls.name, options)
        tensors = {} if seed is not None else load_tensors(directory, PREFIXES)
        tensors = {_renamed(name): tensor for name, tensor in tensors.items()}
        with seeded(seed), torch.device("meta"):  # without memory: what does not fit is refused first
            draft = cls(config, padding)
        if seed is None:
            encoder = draft
            fill(encoder, tensors, directory)
        else:
            check_weights(draft, directory, random=True)
            with seeded(seed):
                encoder = cls(config, padding)
                encoder.initialise(config.get("init_std", 0.02))
        encoder.options = key_options(options)
        encoder.digest = weights_digest(directory) if seed is None else state_digest(encoder)
        encoder.engine_choice = engine
        about = {"digest": encoder.digest, "config": config}
        frames = 2 * min(EXAMPLE, config["max_source_positions"])
        example = torch.randn(1, config["num_mel_bins"], frames, generator=torch.Generator().manual_seed(0))
        blocks = _Blocks(encoder)
        encoder.engines = Engines(
            encoder, engine, about, lambda folds: contextlib.nullcontext((blocks, example)), axis=2, exact=EXACT
        )
        return encoder.eval()

    def initialise(self, deviation: float) -> None:
        """Set the weights to those before any training, with this deviation."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Conv1d)):
                nn.init.normal_(module.weight, std=deviation)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.embed_positions.weight.data.copy_(_sines(*self.embed_positions.weight.shape))

    def trunk(self) -> Trunk:
        attention = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
        blocks = tuple(f"blocks.{block}" for block in range(len(self.blocks)))
        return Trunk(self, blocks, attention, "fc1", "fc2", prefix="blocks.", library_prefix="layers.")

    def set_checkpointing(self, enabled: bool) -> None:
        self.spares_memory = enabled

    @property
    def gives_means(self) -> bool:
        return super().gives_means and self.options["padding"] == "clip"  # else there are frames behind the clip

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = _frame_counts(lengths)
        longest = int(frames.max())
        engine = self.engines and self.engines.engine_for(self, wave)
        if engine:
            clips = [(wave[row : row + 1, : int(length)], length[None]) for row, length in enumerate(lengths)]
            hidden = engine.run([self.log_mel(*clip) for clip in clips], self.last_layer, means=self.gives_means)
            return hidden[:, :, :longest], frames.clamp(max=hidden.shape[2])
        mask = None
        if self.options["padding"] == "clip" and int(frames.min()) < longest:
            mask = (torch.arange(longest, device=wave.device) < frames[:, None])[:, None, None]
        mel = self.log_mel(wave, lengths)
        with self.engines.autocast() if self.engines else contextlib.nullcontext():
            return torch.stack(self.layers_of(mel, mask, longest)).float(), frames

    def encode_whole(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = _frame_counts(lengths)
        return torch.stack(self.layers_of(self.log_mel(wave, lengths), longest=frames.max())), frames

    def layers_of(self, mel: Tensor, mask: Tensor | None = None, longest: int | Tensor | None = None) -> list[Tensor]:
        """(B, bands, frames) -> each layer (B, F, D), cut to the first `longest` frames."""
        hidden = nn.functional.gelu(self.conv1(mel))
        hidden = nn.functional.gelu(self.conv2(hidden)).transpose(1, 2) * self.scale
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        layers = [hidden[:, :longest]]
        # A sum of layers joins all to one, which is then the last: all are computed for it.
        count = self.last_layer if self.last_layer < self.layers - 1 else len(self.blocks)
        for block in self.blocks[:count]:
            if self.spares_memory and self.training:
                hidden = checkpoint(block, hidden, mask, use_reentrant=False)
            else:
                hidden = block(hidden, mask)
            layers.append(hidden[:, :longest])
        if count == len(self.blocks):
            layers[-1] = self.layer_norm(layers[-1])
        return layers

    def log_mel(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) -> (B, bands, frames), as Whisper's reference computes it for a clip followed by silence.

        Frames beyond a clip are 0, as a lone clip's convolution pads; with padding "full" they are silence to 30 s.
        """
        full = self.options["padding"] == "full"
        count = self.embed_positions.num_embeddings * STRIDE if full else _frame_counts(wave.shape[1]) * STRIDE
        room = count * HOP if full else (count + 2) * HOP  # two frames more overlap the end of the clip
        wave = nn.functional.pad(wave, (0, room - wave.shape[1]))
        wave = nn.functional.pad(wave[:, None], (SIZE // 2, SIZE // 2), mode="reflect")[:, 0]
        mel = (self.filters @ power(wave, self.hann, SIZE, HOP)[..., : room // HOP]).clamp(min=1e-10).log10()
        index = torch.arange(mel.shape[2], device=wave.device)
        frames = _frame_counts(lengths) * STRIDE
        overlaps = (index < frames[:, None] + 2)[:, None]
        top = torch.where(overlaps, mel, -10.0).amax(dim=(1, 2), keepdim=True)
        mel = (torch.maximum(mel, top - 8.0) + 4.0) / 4.0
        if not full:
            mel = torch.where((index < frames[:, None])[:, None], mel, 0.0)
        return mel[..., :count]


class _Blocks(nn.Module):
    """The exported part of the encoder: everything after the log-mel values."""

    def __init__(self, encoder: Whisper) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.encoder.layers_of(mel))


class Block(nn.Module):
    """One transformer block; its modules carry the names that adapters look for."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        hidden = hidden + self.self_attn(self.self_attn_layer_norm(hidden), mask)
        return hidden + self.fc2(nn.functional.gelu(self.fc1(self.final_layer_norm(hidden))))


class Attention(nn.Module):
    """Self-attention (B, F, D) -> (B, F, D) over each clip's own frames."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(B, F, D), mask (B, 1, 1, F) True on frames to attend to -> (B, F, D)."""
        q, k, v = (
            project(hidden).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def _check(config: Mapping[str, Any], directory: Path) -> None:
    """Errors: UserError for a configuration of no Whisper encoder."""
    where = f"{directory}/config.json"
    width, heads = size_in(config, "d_model", directory), size_in(config, "encoder_attention_heads", directory)
    if width % heads or width % 2 or width < 4:
        raise UserError(f"{where}: d_model: expected a multiple of 2 and of the {heads} heads, from 4, got {width}")
    for key, most in (("encoder_layers", MOST_LAYERS), ("num_mel_bins", MOST_BANDS), ("max_source_positions", MOST)):
        size_in(config, key, directory, most)
    size_in(config, "encoder_ffn_dim", directory)
    if config.get("activation_function", "gelu") != "gelu":
        raise UserError(f"{where}: activation_function: expected 'gelu', got {config['activation_function']!r}")
    if not isinstance(config.get("scale_embedding", False), bool):
        raise UserError(f"{where}: scale_embedding: expected true or false, got {config['scale_embedding']!r}")
    deviation = config.get("init_std", 0.02)
    if isinstance(deviation, bool) or not isinstance(deviation, (int, float)) or deviation < 0:
        raise UserError(f"{where}: init_std: expected a number from 0, got {deviation!r}")


def _frame_counts(samples: Any) -> Any:
    """The frames of clips of so many samples, a number or (B,): the last one may be filled in part.

    Only positive numbers are divided: ONNX rounds the quotients of others towards zero.
    """
    return (samples + HOP * STRIDE - 1) // (HOP * STRIDE)


def _drawn_table(positions: int, width: int) -> Tensor:
    """A position table (positions, width) before it is filled.

    It is drawn as `nn.Embedding` draws it: the random weights of a seed come behind it. Not on the device "meta", where
    torch would import its compiler for that, which takes seconds.
    """
    table = torch.empty(positions, width)
    return table if table.is_meta else nn.init.normal_(table)


def _sines(positions: int, width: int) -> Tensor:
    """Whisper's position table (positions, width): sines, then cosines, of periods from 2 pi to 20000 pi frames."""
    slower = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angle = torch.arange(positions)[:, None] * slower
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _renamed(name: str) -> str:
    return "blocks." + name.removeprefix("layers.") if name.startswith("layers.") else name
