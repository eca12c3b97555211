"""The Audio Spectrogram Transformer (Gong et al. 2021), as the transformers library implements it.

The spectrogram is always padded to `max_length` frames, as in AST's training, for its attention has no mask: the hidden
states of a clip depend on the clip and on that length, and on no other clip. A frame here is the mean over frequency of
the patches at the same time; only patches that lie wholly within the clip count.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emobridge.encoders._spectral import frame_power, framed, kaldi_filters
from emobridge.encoders._transformers import first_layers, open_model, quiet
from emobridge.encoders._weights import read_preprocessor, setting, weights_digest
from emobridge.encoders.base import WEIGHT_OPTIONS, Encoder, Option, check_options, seed_of, seeded, state_digest
from emobridge.errors import UserError
from emobridge.types import SAMPLE_RATE

SIZE, HOP, BINS = 400, 160, 512  # samples of a window and between two, points of the FFT
MOMENTS = (-4.2677393, 4.5689974)  # mean and deviation of AudioSet's log-mel values
INITIAL = 0.02  # deviation of the positions and tokens before training
# Each of AST's own sizes: the option, its name in transformers' configuration, the published value.
SIZES = (
    ("max_length", "max_length", 1024),
    ("hidden_size", "hidden_size", 768),
    ("layers", "num_hidden_layers", 12),
    ("heads", "num_attention_heads", 12),
)


class Ast(Encoder):
    """Layers: the patch embedding, then each block; the last has the final layer norm. 10 Hz.

    "ast" without a folder has random weights of the `seed`, as its authors draw them, and these sizes, 0 for the
    published one: max_length, the frames of 10 ms to which clips are padded (longer ones are encoded window by
    window); hidden_size, a multiple of heads; layers; heads. The inner width is four times the hidden one. A folder
    with weights has its own sizes. tokens: the mean of the class and the distillation token is the only frame of a clip
    (of a window), behind a layer norm that is trained with the rest. frequency_mask, time_mask: in training a band of
    up to so many mel bands, and a stretch of up to so many frames, are zero in each clip (SpecAugment, Park et al.
    2019), drawn anew in each step.
    """

    defaults: ClassVar = {
        **{option: 0 for option, _, _ in SIZES},
        "tokens": False,
        "frequency_mask": 0,
        "time_mask": 0,
        **WEIGHT_OPTIONS,
    }
    has_graph = True
    filters: Tensor
    hann: Tensor

    def __init__(self, model: Any, moments: tuple[float, float] = MOMENTS) -> None:
        super().__init__()
        config = model.config
        self.model = model
        self.moments = moments
        self.patch, self.stride = config.patch_size, config.time_stride
        self.max_length = config.max_length
        self.layers, self.first_block = config.num_hidden_layers + 1, 1
        self.width = config.hidden_size
        self.frame_rate = SAMPLE_RATE / HOP / self.stride
        self.minimum = SIZE + (self.patch - 1) * HOP  # one patch
        self.window = self.max_length * HOP / SAMPLE_RATE
        self.options = {option: getattr(config, name) for option, name, _ in SIZES}
        self.masks = (0, 0)  # of bands and frames, in training
        self.token_norm: nn.LayerNorm | None = None  # where the tokens are read
        self.register_buffer("filters", kaldi_filters(config.num_mel_bins, BINS, 20.0, 8000.0), persistent=False)
        self.register_buffer("hann", torch.hann_window(SIZE, periodic=False), persistent=False)

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        return config.get("model_type") == "audio-spectrogram-transformer"

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> Ast:
        options = check_options(cls.name, cls.defaults, options)
        for option in ("frequency_mask", "time_mask"):
            if int(options[option]) < 0:
                raise UserError(f"{option} {options[option]!r} of encoder ast: expected a whole number from 0")
        seed = seed_of(cls.name, {**options, "weights": "random"} if directory is None else options)
        if directory is None:
            model, moments = _from_scratch(options, seed), MOMENTS
        else:
            sizes = [option for option in (*(option for option, _, _ in SIZES), "tokens") if options[option]]
            if sizes:
                raise UserError(f"{sizes[0]} of encoder ast: cannot be set for {directory}, which has its own")
            model = open_model(directory, seed, lambda config: "sdpa")
            moments = _moments(directory, model.config)
        encoder = cls(model, moments)
        encoder.masks = int(options["frequency_mask"]), int(options["time_mask"])
        if options["tokens"]:
            encoder.read_tokens()
        if moments != MOMENTS:
            encoder.options |= {"mean": moments[0], "std": moments[1]}
        if seed is None and directory is not None:
            encoder.digest = weights_digest(directory)
        else:
            encoder.options |= {"weights": "random", "seed": options["seed"]}
            encoder.digest = state_digest(encoder)
        return encoder.eval()

    def read_tokens(self) -> None:
        """Take the two tokens of the whole spectrogram in place of the frames."""
        self.token_norm = nn.LayerNorm(self.width)
        self.frame_rate = 0.0
        self.options["tokens"] = True

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames = (1 + (lengths - SIZE) // HOP).clamp(max=self.max_length)
        hidden = torch.stack(list(self._hidden(self.spectrogram(wave, frames))))
        if self.token_norm is not None:
            tokens = hidden[:, :, :2].mean(2, keepdim=True)
            if self.last_layer == self.layers - 1:
                tokens = torch.cat([tokens[:-1], self.token_norm(tokens[-1:])])
            return tokens, torch.ones_like(frames)
        moments = 1 + (self.max_length - self.patch) // self.stride
        whole = 1 + (frames - self.patch) // self.stride  # patches within each clip
        # (L, B, 2 + bands * moments, D): two tokens of the whole spectrogram come first, then the bands, each over time
        hidden = hidden[:, :, 2:].unflatten(2, (-1, moments)).mean(2)
        return hidden[:, :, : whole.max()], whole

    def _hidden(self, spectrogram: Tensor) -> list[Tensor]:
        """Layers 0 to `last_layer`, each (B, patches, D)."""
        if self.last_layer < self.layers - 1:
            run = functools.partial(self.model, spectrogram)
            blocks = (
                self.model.layers if hasattr(self.model, "layers") else self.model.encoder.layer
            )  # transformers 5, 4
            return first_layers(run, blocks, self.last_layer)
        out = self.model(spectrogram, output_hidden_states=True)
        # Releases of the library differ in whether the last hidden state has the final layer norm; the output has it.
        return [*out.hidden_states[:-1], out.last_hidden_state]

    @torch.no_grad()
    def spectrogram(self, wave: Tensor, frames: Tensor) -> Tensor:
        """(B, T) -> (B, max_length, bands): Kaldi's log-mel values as the AST's feature extractor computes them.

        Windows of 25 ms every 10 ms, each without its mean, pre-emphasised by 0.97; frames beyond a clip's own are zero
        before standardisation.
        """
        cut = framed(wave, SIZE, HOP)[:, : self.max_length]
        cut = cut - cut.mean(2, keepdim=True)
        cut = torch.cat([cut[..., :1] * (1 - 0.97), cut[..., 1:] - 0.97 * cut[..., :-1]], dim=2)
        mel = frame_power(cut * self.hann, BINS) @ self.filters.T
        mel = mel.clamp(min=torch.finfo(torch.float32).eps).log()
        inside = torch.arange(mel.shape[1], device=mel.device) < frames[:, None]
        mel = torch.where(inside[..., None], mel, 0.0)
        mel = nn.functional.pad(mel, (0, 0, 0, self.max_length - mel.shape[1]))
        if self.training:
            mel = masked(masked(mel, self.masks[0], 2), self.masks[1], 1)
        return (mel - self.moments[0]) / (2 * self.moments[1])


def masked(mel: Tensor, size: int, dim: int) -> Tensor:
    """(B, frames, bands) with a stretch of zeros along `dim` in each of the B, less than `size` long; 0 masks nothing.

    Its length and place are drawn from uniform distributions.
    """
    if not size:
        return mel
    total = mel.shape[dim]
    length = torch.rand(len(mel), 1) * min(size, total)
    start = torch.floor(torch.rand(len(mel), 1) * (total - length))
    place = torch.arange(total)
    inside = (place >= start) & (place < start + torch.floor(length))
    inside = inside.to(mel.device)
    return mel.masked_fill(inside[:, None] if dim == 2 else inside[..., None], 0.0)


def _moments(directory: Path, config: Any) -> tuple[float, float]:
    """Mean and deviation of a folder's preprocessor; those that change nothing where it does not normalise."""
    sizes = {"num_mel_bins": config.num_mel_bins, "max_length": config.max_length}
    preprocessor = read_preprocessor(directory, sampling_rate=SAMPLE_RATE, **sizes)
    if not setting(preprocessor, "do_normalize", True, directory):
        return 0.0, 0.5
    mean, deviation = (
        setting(preprocessor, name, MOMENTS[index], directory) for index, name in enumerate(("mean", "std"))
    )
    if not deviation > 0:
        raise UserError(f"{directory}: its preprocessor has std {deviation!r}; expected a number above 0")
    return float(mean), float(deviation)


def _from_scratch(options: dict[str, Option], seed: int | None) -> Any:
    """The model with AST's sizes and those of `options`, and the library's own random weights."""
    from transformers import ASTConfig, ASTModel

    sizes: dict[str, Any] = {}
    for option, name, published in SIZES:
        value = options[option] or published
        least = 16 if option == "max_length" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{option} {value!r} of encoder ast: expected a whole number from {least}, or 0")
        sizes[name] = value
    width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    if width % heads:
        raise UserError(f"hidden_size {width} of encoder ast: expected a multiple of its {heads} heads")
    with quiet(), seeded(seed):
        model = ASTModel._from_config(ASTConfig(**sizes, intermediate_size=4 * width), attn_implementation="sdpa")
        for name in ("position_embeddings", "cls_token", "distillation_token"):  # which the library leaves at zero
            nn.init.trunc_normal_(getattr(model.embeddings, name), std=INITIAL)
        return model
