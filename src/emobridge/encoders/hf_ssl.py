"""Self-supervised speech transformers: wav2vec 2.0 and XLS-R (Baevski et al. 2020), HuBERT (Hsu et al. 2021), WavLM
(Chen et al. 2022), as the transformers library implements them.

The base models normalise the first convolution's channels over the whole padded batch ("group" norm), and were trained
without attention masks: in the library, padding changes the hidden states of a clip. Here the norm is over each clip's
own frames, and padding is masked: a clip in a ragged batch is encoded as it is alone, as in the models' training.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emobridge.encoders._engines import ENGINE, Engines, engine_choice
from emobridge.encoders._transformers import all_layers, first_layers, open_model
from emobridge.encoders._weights import read_config, read_preprocessor, setting, weights_digest
from emobridge.encoders.base import (
    WEIGHT_OPTIONS,
    Encoder,
    Option,
    Trunk,
    check_options,
    key_options,
    seed_of,
    state_digest,
)
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE

# Products that the onnx-int8 engine leaves in single precision (see _onnx.py); all layers depend on the first two.
EXACT = ("feature_extractor", "feature_projection", "output_dense")
FAMILIES = ("wav2vec2", "hubert", "wavlm")


class HfSsl(Encoder):
    """Layers: the input of the first block, then each block; the last as the model itself yields it.

    max_seconds: longer clips are encoded in stretches of this length, since attention grows with its square.
    weights, seed: "random" gives the configuration's initial weights for the seed in place of the folder's.
    engine: what runs it where it is frozen (see _engines.py); of these torch alone can be trained.
    """

    statistics = ("mean", "std", "speech_mean")
    has_graph = True
    defaults: ClassVar = {"max_seconds": 30.0, **WEIGHT_OPTIONS, **ENGINE}

    def __init__(self, model: Any, normalises: bool, max_seconds: float = 30.0) -> None:
        super().__init__()
        config = model.config
        self.model = model
        self.normalises = normalises
        self.steps = tuple(zip(config.conv_kernel, config.conv_stride))
        self.layers, self.first_block = config.num_hidden_layers + 1, 1
        self.width = config.hidden_size
        self.frame_rate = SAMPLE_RATE / math.prod(config.conv_stride)
        self.minimum = _receptive_field(self.steps)
        self.window = max_seconds
        self.options = {"max_seconds": max_seconds}
        self.engines: Engines | None = None
        self.norm: ClipNorm | None = None
        if config.feat_extract_norm == "group":
            first = model.feature_extractor.conv_layers[0]
            self.norm = first.layer_norm = ClipNorm(first.layer_norm)

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        return config.get("model_type") in FAMILIES

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> HfSsl:
        options = check_options(cls.name, cls.defaults, options)
        seconds = options["max_seconds"]
        if isinstance(seconds, (str, bool)) or not 1 <= seconds < float("inf"):
            raise UserError(f"max_seconds {seconds!r} of encoder hf-ssl: expected at least 1 second")
        if directory is None:
            raise UserError("encoder hf-ssl needs weights: a folder, or a hub id such as facebook/wav2vec2-xls-r-300m")
        seed, engine = seed_of(cls.name, options), engine_choice(cls.name, options)
        preprocessor = read_preprocessor(directory, sampling_rate=SAMPLE_RATE)
        model = open_model(directory, seed, _adjusted)
        if model.config.model_type == "wavlm":
            from emobridge.encoders._wavlm import call_modules

            call_modules(model)
        usual = model.config.feat_extract_norm == "layer"  # as the models of these architectures were trained
        # The library's own default is True, where a preprocessor is there and does not say.
        normalises = setting(preprocessor, "do_normalize", usual if preprocessor is None else True, directory)
        encoder = cls(model, bool(normalises), float(seconds))
        encoder.options = key_options(options | {"max_seconds": float(seconds)})
        if bool(normalises) != usual:
            encoder.options["do_normalize"] = bool(normalises)
        encoder.digest = weights_digest(directory) if seed is None else state_digest(encoder)
        encoder.engine_choice = engine
        about = {"digest": encoder.digest, "config": read_config(directory)}
        encoder.engines = Engines(encoder, engine, about, encoder.exportable, axis=1, exact=EXACT)
        return encoder.eval()

    def trunk(self) -> Trunk:
        attention = ("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.out_proj")
        blocks = tuple(f"encoder.layers.{block}" for block in range(self.layers - 1))
        return Trunk(self.model, blocks, attention, "feed_forward.intermediate_dense", "feed_forward.output_dense")

    def set_checkpointing(self, enabled: bool) -> None:
        new = hasattr(self.model, "activation_checkpointing_enable")  # its name from transformers 6 on
        kind = "activation_checkpointing" if new else "gradient_checkpointing"
        if enabled:
            getattr(self.model, f"{kind}_enable")({"use_reentrant": False})
        elif getattr(self.model, f"is_{kind}"):
            getattr(self.model, f"{kind}_disable")()

    @contextlib.contextmanager
    def exportable(self, folds: bool = True) -> Iterator[tuple[nn.Module, Tensor]]:
        """A module (1, T) -> layers (1, F, D) of a lone clip, and an example of its input; the encoder is restored.

        folds: the first norm is part of the convolution, which is faster, and needs single precision.
        """
        with self._folded():
            yield (
                _Hidden(self.model).eval(),
                torch.randn(1, SAMPLE_RATE // 2, generator=torch.Generator().manual_seed(0)),
            )

    @contextlib.contextmanager
    def _folded(self) -> Iterator[None]:
        """Within the block the first norm, where there is one, is part of the convolution."""
        layers: Any = self.model.feature_extractor.conv_layers
        first = layers[0]
        if self.norm is not None:
            layers[0] = FoldedNorm(first)
        try:
            yield
        finally:
            layers[0] = first

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.arange(wave.shape[1], device=wave.device) < lengths[:, None]
        if self.normalises:
            wave = _normalised(wave, mask, lengths)
        engine = self.engines and self.engines.engine_for(self, wave)
        if engine:
            clips = [clip[None, :length] for clip, length in zip(wave, lengths.tolist())]
            encoded = engine.run(clips, self.last_layer, means=self.gives_means)
            return encoded, _frames(lengths, self.steps).clamp(max=encoded.shape[2])
        if self.norm is not None:
            self.norm.frames = _frames(lengths, self.steps[:1])
        with self.engines.autocast() if self.engines else contextlib.nullcontext():
            hidden = self._hidden(functools.partial(self.model, wave, attention_mask=mask.long()))
        return torch.stack(hidden).float(), _frames(lengths, self.steps)

    def encode_whole(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.normalises:
            wave = _normalised(wave, torch.ones_like(wave, dtype=torch.bool), lengths)
        with self._folded():
            return torch.stack(self._hidden(functools.partial(self.model, wave))), _frames(lengths, self.steps)

    def _hidden(self, run: Callable[[], Any]) -> list[Tensor]:
        """Layers 0 to `last_layer`; `run` runs the model."""
        if self.last_layer < self.layers - 1:
            return first_layers(run, self.model.encoder.layers, self.last_layer)
        return all_layers(run, self.model.encoder.layers)


class _Hidden(nn.Module):
    """The model's hidden states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        return _layers_of(self.model(wave, output_hidden_states=True))


class FoldedNorm(nn.Module):
    """The first layer of base models, convolution, group norm of one channel a group and GELU, of clips of one length.

    The deviation of each channel over time follows from the covariance of the kernel's few inputs. The norm so becomes
    part of the convolution's weights, which is exact and passes over the long output only once.
    """

    weights: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, layer: Any) -> None:
        super().__init__()
        convolution, norm = layer.conv, layer.layer_norm
        self.stride, self.kernel, self.eps = convolution.stride[0], convolution.kernel_size[0], norm.eps
        self.register_buffer("weights", convolution.weight[:, 0].detach())  # (C, kernel); the norm removes a bias
        self.register_buffer("scale", norm.weight.detach())
        self.register_buffer("bias", norm.bias.detach())

    def forward(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> (B, C, F)."""
        frames = (wave.shape[2] - self.kernel) // self.stride + 1
        shifted = [wave[..., j : j + (frames - 1) * self.stride + 1 : self.stride] for j in range(self.kernel)]
        inputs = torch.cat(shifted, 1)  # (B, kernel, F)
        inputs = inputs - inputs.mean(2, keepdim=True)
        covariance = inputs @ inputs.transpose(1, 2) / frames
        variance = ((self.weights @ covariance) * self.weights).sum(2)
        weights = self.weights * (self.scale * (variance + self.eps).rsqrt())[..., None]
        return nn.functional.gelu(weights @ inputs + self.bias[:, None])


class ClipNorm(nn.Module):
    """Group norm with one channel a group, over each clip's own frames; `frames` (B,) is set before each batch."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.frames: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, F) -> the same; frames beyond a clip are normalised by the clip's moments."""
        channels = hidden.shape[1]
        if self.frames is None or int(self.frames.min()) == hidden.shape[2]:
            return nn.functional.group_norm(hidden, channels, self.weight, self.bias, self.eps)
        count = self.frames[:, None, None]
        inside = torch.arange(hidden.shape[2], device=hidden.device) < count
        mean = torch.where(inside, hidden, 0.0).sum(2, keepdim=True) / count
        square = torch.where(inside, hidden - mean, 0.0).square().sum(2, keepdim=True) / count
        return (hidden - mean) * (square + self.eps).rsqrt() * self.weight[:, None] + self.bias[:, None]


def _layers_of(out: Any) -> tuple[Tensor, ...]:
    # Releases of the library differ in whether the last hidden state has the final layer norm; the output has it.
    return (*out.hidden_states[:-1], out.last_hidden_state)


def _adjusted(config: Any) -> str:
    for key in ("conv_kernel", "conv_stride"):
        if min(getattr(config, key)) < 1:
            raise ValueError(f"{key}: expected numbers from 1")
    config.layerdrop = 0.0  # a dropped block would be missing among the layers
    config.apply_spec_augment = False
    config.add_adapter = False  # it shortens the last layer's frames
    return "eager" if config.model_type == "wavlm" else "sdpa"


def _normalised(wave: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
    """Each clip with zero mean and unit variance, zero beyond it (Wav2Vec2FeatureExtractor's do_normalize)."""
    mean = wave.sum(1, keepdim=True) / lengths[:, None]
    centred = torch.where(mask, wave - mean, 0.0)
    variance = centred.square().sum(1, keepdim=True) / lengths[:, None]
    return centred / (variance + 1e-7).sqrt()


def _frames(lengths: Tensor, steps: tuple[tuple[int, int], ...]) -> Tensor:
    """Frames (B,) that the convolutions give for clips of so many samples (B,)."""
    for kernel, stride in steps:
        lengths = (lengths - kernel) // stride + 1
    return lengths


def _receptive_field(steps: tuple[tuple[int, int], ...]) -> int:
    """Samples that the first frame depends on."""
    field = 1
    for kernel, stride in reversed(steps):
        field = (field - 1) * stride + kernel
    return field
