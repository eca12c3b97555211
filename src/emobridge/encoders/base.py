"""The base class of encoders: ragged batches, long clips, options, and the mask of frames.

An encoder is a subclass of `Encoder` with `encode`, which gets clips that are zero beyond their length, at least
`minimum` samples long and at most `window` seconds; or with a `forward` of its own, which gets them as they are. A
clip's frames must not depend on the other clips in the batch.

In shapes B is clips, T samples, L layers, F frames and D the width.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emobridge.data.activity import FRAME_RATE, loud_frames
from emobridge.data.graphs import in_graph
from emobridge.data.threads import count_weights, encoder_threads
from emobridge.encoders._loudness import whole_loud_frames
from emobridge.errors import UserError, unknown
from emobridge.options import parameters_of, typed_options
from emobridge.registry import identity, plugin_name
from emobridge.types import SAMPLE_RATE, SPEECH_PREFIX, Layers

Option = str | int | float | bool
# Options of every family whose weights come from a folder: "random" ignores the folder's weights, if it has any, and
# gives the encoder as the family has it before its training: a lower bound that shows what training added.
WEIGHT_OPTIONS: dict[str, Option] = {"weights": "pretrained", "seed": 0}
TRAINABLE_ENGINES = ("auto", "torch")
TORCH_HINT = "give engine=torch (with --precision bf16 for training in bf16)"
EXACT_ENGINES = ("torch", "onnx")  # whose features agree to a cosine of 0.99999: one key, one store, one bundle


@dataclass(frozen=True, slots=True)
class Trunk:
    """The transformer blocks of an encoder, for adapters. Paths have dots; those of linear maps begin at a block."""

    module: nn.Module  # that holds the blocks
    blocks: tuple[str, ...]  # paths in the module, in order
    attention: tuple[str, str, str, str]  # linear maps of a block: query, key, value, output
    inner: str  # linear maps of its feed-forward part
    outer: str
    prefix: str = ""  # how the paths of blocks begin here, where the transformers library has another beginning
    library_prefix: str = ""  # how they begin there


class Encoder(nn.Module):
    """Waveforms in, the hidden states of all layers out.

    A subclass gives `layers`, `width`, and either `encode` or `forward`. It has options as keyword parameters of its
    `__init__`; one of them named `seed` seeds its initial weights. A family whose weights come from folders overrides
    `claims` and `open` too.
    """

    name: ClassVar[str]  # by default that of the class: EmotionCnn is "emotion-cnn"
    statistics: ClassVar[tuple[str, ...]] = ("mean", "std")  # how its frames are pooled over time, see features.pool
    chosen_statistics: ClassVar[tuple[str, ...]] = ()  # those that heads see by default; () is the first one
    pooled_frames: str = "all"  # the frames that they are taken over, "all" or "speech"; `load_encoder` changes it
    defaults: ClassVar[dict[str, Option]] = {}  # every option that `open` takes, by default those of `__init__`

    layers: int  # that there are; `last_layer` says how many of them are computed
    first_block: int = 0  # the first layer that a transformer block gives: 1 where layer 0 is the input of all blocks
    width: int
    frame_rate: float = 0.0  # Hz; 0 for one frame a clip
    options: dict[str, Option]  # as opened, defaults included: part of the feature store's key
    digest: str = ""  # sha256 of the weights, or of whatever else decides the features: part of that key too
    weights_digest: str = ""  # of weights from a folder alone, as bundles of before 0.2 have it for the digest
    minimum: int = 1  # samples; shorter clips are padded with zeros
    window: float | None = None  # s; longer clips are encoded, and searched for speech, window by window
    engine_choice: str = "torch"  # what runs it where it is frozen, as asked for; auto is chosen at the first clip
    active_adapters: Any = None  # the emobridge.adapters.Adapters that take effect in it
    inactive_adapters: tuple[Any, ...] = ()  # others that are in it without effect
    has_graph: ClassVar[bool] = False  # whether `encode_whole` is made of operations that ONNX has
    _last_layer: int | None = None  # see `stop_after`
    _wanted: tuple[str, ...] | None = None  # see `pooled_by`

    def __init__(self) -> None:
        super().__init__()
        self.options = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = plugin_name(cls.__name__)
        if "defaults" not in vars(cls):
            cls.defaults = {name: option.default for name, option in parameters_of(cls.__init__).items()}

    @property
    def all_adapters(self) -> tuple[Any, ...]:
        """Every set of adapters in the encoder, without effect or active; the active one comes last."""
        active = () if self.active_adapters is None else (self.active_adapters,)
        return (*self.inactive_adapters, *active)

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        """Whether a directory with this config.json and these tensor names holds this family's weights."""
        return False

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> Encoder:
        """The encoder, in evaluation mode, with the weights in `directory` or, where it is None, with initial ones.

        By default it takes no directory, and its digest is that of its initial weights and of its source code.
        Errors: UserError for an unknown option, a value that `__init__` refuses, or a directory.
        """
        if directory is not None:
            raise UserError(f"encoder {cls.name} reads no weights; {directory} was given")
        options = check_options(cls.name, cls.defaults, options)
        with seeded(check_seed(cls.name, options) if "seed" in options else 0):
            try:
                encoder = cls(**options)
            except (TypeError, ValueError, RuntimeError) as error:  # torch raises the last for sizes below zero
                raise UserError(f"encoder {cls.name}: {' '.join(str(error).split())}") from error
        encoder.options = options
        encoder.digest = encoder.digest or _digest(encoder)
        return encoder.eval()

    def has_digest(self, digest: str) -> bool:
        """Whether a digest in a bundle is that of this encoder; older ones leave out the configuration."""
        return bool(digest) and digest in (self.digest, self.weights_digest)

    @property
    def block_layers(self) -> tuple[int, ...]:
        """The layers that its transformer blocks give, or all of an encoder without blocks: "1..L" of the papers."""
        return tuple(range(min(self.first_block, self.layers - 1), self.layers))

    @property
    def last_layer(self) -> int:
        """The last layer, from 0, that is computed; by default `layers - 1`."""
        return self.layers - 1 if self._last_layer is None else min(self._last_layer, self.layers - 1)

    def stop_after(self, layer: int | None) -> None:
        """Compute layers 0 to `layer` only, to the last bit as all of them are computed; None is all layers.

        `forward` then returns (layer + 1, B, F, D). A layer norm at the end belongs to layer L - 1 alone. Errors:
        ValueError for a layer that the encoder does not have.
        """
        if layer is not None and not 0 <= layer < self.layers:
            raise ValueError(f"layer {layer} of encoder {self.name}: expected 0 to {self.layers - 1}")
        self._last_layer = None if layer == self.layers - 1 else layer

    @property
    def gives_means(self) -> bool:
        """Whether nothing but the mean over all of a clip's frames is wanted: `encode` may give it as the one frame."""
        return self._wanted == ("mean",) and self.pooled_frames == "all"

    def trunk(self) -> Trunk | None:
        """The transformer blocks that adapters fit; None where there are none."""
        return None

    def set_checkpointing(self, enabled: bool) -> None:
        """Whether training computes each block twice, to spare the memory of its inner values.

        Errors: UserError where there are no blocks.
        """
        if enabled:
            raise UserError(f"checkpointing: encoder {self.name} has no transformer blocks; whisper and hf-ssl have")

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) float32, zero beyond `lengths` (B,) samples -> hidden (L, B, F, D) and each clip's frames (B,).

        Layers behind `last_layer` are not used: a family spares itself their cost by leaving them out.
        """
        raise NotImplementedError(f"encoder {self.name} has neither `encode` nor a `forward` of its own")

    def encode_whole(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """`encode` of clips of one length, as a graph of ONNX is made of it: no step depends on a number in a tensor.

        A family whose `has_graph` is true overrides it where its `encode` has such steps.
        """
        return self.encode(wave, lengths)

    def forward(self, wave: Tensor, mask: Tensor | None) -> Layers:
        """(B, T) float32 at 16 kHz and its (B, T) bool mask -> Layers; autograd flows through it.

        Without a mask the clips are whole and at most `window` long, and the steps are those of a graph of ONNX.
        """
        if mask is None:
            return self._layers(*self._encode(*lengthened(wave, self.minimum), self.encode_whole))
        if self.training and self.engine_choice not in TRAINABLE_ENGINES:
            raise UserError(f"encoder {self.name} with engine {self.engine_choice}: cannot be trained; {TORCH_HINT}")
        wave, lengths = clean(wave, mask, self.minimum)
        size = wave.shape[1] if self.window is None else round(self.window * SAMPLE_RATE)
        encode = self._encode if wave.shape[1] <= size else functools.partial(self._windows, size=size)
        with encoder_threads(count_weights(self)):
            return self._layers(*encode(wave, lengths))

    def _layers(self, hidden: Tensor, frames: Tensor, speech: Tensor) -> Layers:
        """What `_encode` gives as a record."""
        valid = torch.arange(hidden.shape[2], device=frames.device) < frames[:, None]
        over_speech = self.pooled_frames == "speech" and self.frame_rate > 0
        return Layers(hidden, valid, self.frame_rate, speech if self._tells_speech else None, over_speech)

    @property
    def _tells_speech(self) -> bool:
        """Whether any of its statistics is taken over frames with speech."""
        wanted = self.statistics if self._wanted is None else self._wanted
        has_speech_statistic = any(name.startswith(SPEECH_PREFIX) for name in wanted)
        return self.frame_rate > 0 and (has_speech_statistic or self.pooled_frames == "speech")

    def _encode(
        self, wave: Tensor, lengths: Tensor, encode: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`encode`, and which frames (B, F) hold speech, where a statistic is taken over these."""
        hidden, frames = (encode or self.encode)(wave, lengths)
        if not self._tells_speech:
            return hidden, frames, frames.new_zeros(frames.shape[0], hidden.shape[2], dtype=torch.bool)
        return hidden, frames, speech_frames(wave, lengths, hidden.shape[2], frames, self.frame_rate)

    def _windows(self, wave: Tensor, lengths: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Encode `size` samples at a time. Each window of a clip but its last is full, so the frames simply join."""
        parts, spoken, frames = [], [], torch.zeros_like(lengths)
        for first in range(0, wave.shape[1], size):
            rows = (lengths > first).nonzero()[:, 0]
            inside = (lengths[rows] - first).clamp(max=size)
            stretch = nn.functional.pad(wave[rows, first : first + int(inside.max())], (0, self.minimum))
            inside = inside.clamp(min=self.minimum)
            with pooled_by(self, None):  # the mean of windows would be that of all frames only where they are as long
                hidden, count, speech = self._encode(stretch[:, : int(inside.max())], inside)
            part = hidden.new_zeros(hidden.shape[0], len(lengths), *hidden.shape[2:])
            parts.append(part.index_copy(1, rows, hidden))
            spoken.append(speech.new_zeros(len(lengths), speech.shape[1]).index_copy(0, rows, speech))
            frames = frames.index_add(0, rows, count)
        return torch.cat(parts, dim=2), frames, torch.cat(spoken, dim=1)


def speech_frames(wave: Tensor, lengths: Tensor, size: int, frames: Tensor, frame_rate: float) -> Tensor:
    """(B, size) bool: an encoder's frames, of `frame_rate` Hz, in which somebody speaks (`data.activity.loud_frames`).

    wave: (B, T) with clips of `lengths` (B,) samples; frames: (B,) of each clip. Of a clip without any, all its frames.
    """
    edges = torch.arange(size + 1, dtype=torch.float64) * FRAME_RATE / frame_rate
    first, last = edges[:-1].floor().long(), edges[1:].ceil().long()
    if in_graph():
        speech = _hold_any(whole_loud_frames(wave), first, last)
    else:
        clips = zip(wave.detach(), lengths.tolist())
        loud = [torch.from_numpy(loud_frames(clip[:length].float().cpu().numpy())) for clip, length in clips]
        speech = torch.stack([_hold_any(row, first, last) for row in loud])
    valid = torch.arange(size, device=frames.device) < frames[:, None]
    speech = speech.to(frames.device) & valid
    return speech | (valid & ~speech.any(1, keepdim=True))


def _hold_any(loud: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(..., F) bool -> (..., S): whether any of the F from `first` (S,) on and before `last` (S,) is true."""
    count = nn.functional.pad(loud.long().cumsum(-1), (1, 0))
    end = loud.shape[-1]
    return count[..., last.clamp(max=end)] > count[..., first.clamp(max=end)]


def lengthened(wave: Tensor, minimum: int) -> tuple[Tensor, Tensor]:
    """Whole clips (B, T), lengthened to `minimum` samples with zeros, and their lengths (B,), in steps of a graph."""
    from torch.onnx.operators import shape_as_tensor

    size = torch.clamp(shape_as_tensor(wave)[1], min=minimum)
    wave = nn.functional.pad(wave, (0, minimum))[:, :size]
    return wave, size.expand(wave.shape[0])


def clean(wave: Tensor, mask: Tensor, minimum: int) -> tuple[Tensor, Tensor]:
    """Zero samples beyond each clip, cut those beyond all clips, and lengthen clips to `minimum` samples with zeros.

    (B, T) and its mask (B, T) -> (B, T') and lengths (B,).
    """
    lengths = mask.sum(1)
    size = max(int(lengths.max()), minimum)
    wave = torch.where(mask, wave, 0.0)[:, :size]
    if wave.shape[1] < size:
        wave = nn.functional.pad(wave, (0, size - wave.shape[1]))
    return wave, lengths.clamp(min=minimum)


def zero_padding(hidden: Tensor, frames: Tensor) -> Tensor:
    """(B, ..., F) with zeros from each clip's `frames` (B,) on, which is what convolutions see beyond a lone clip."""
    inside = torch.arange(hidden.shape[-1], device=hidden.device) < frames[:, None]
    return torch.where(inside.reshape(frames.shape[0], *[1] * (hidden.ndim - 2), -1), hidden, 0.0)


def check_options(name: str, defaults: dict[str, Option], options: dict[str, Option]) -> dict[str, Option]:
    """The defaults, overridden by `options`, in which text is read by the type of the default.

    Errors: UserError for an option that the encoder does not have, and a value of another type than its default's.
    """
    return {**defaults, **typed_options(f"encoder {name}", options, defaults)}


def check_choice(name: str, options: dict[str, Option], option: str, choices: tuple[str, ...]) -> str:
    """The value of an option. Errors: UserError where it is not one of `choices`."""
    value = str(options[option])
    if value not in choices:
        raise unknown(f"{option} of encoder {name}", value, choices)
    return value


def check_seed(name: str, options: dict[str, Option]) -> int:
    """The option `seed`. Errors: UserError where it is below 0."""
    seed = int(options["seed"])
    if not 0 <= seed < 1 << 63:
        raise UserError(f"seed {seed!r} of encoder {name}: expected a whole number from 0")
    return seed


def seed_of(name: str, options: dict[str, Option]) -> int | None:
    """The seed of random weights; None where the folder's weights are used."""
    if check_choice(name, options, "weights", ("pretrained", "random")) == "pretrained":
        return None
    return check_seed(name, options)


def key_options(options: dict[str, Option]) -> dict[str, Option]:
    """The options that are part of the store's key: without the defaults that older stores do not have.

    These are the options of WEIGHT_OPTIONS where the weights are the folder's, and an engine that is exact or auto.
    """
    omitted = set(WEIGHT_OPTIONS) if options["weights"] == "pretrained" else set()
    if options.get("engine") in ("auto", *EXACT_ENGINES):
        omitted.add("engine")
    return {name: value for name, value in options.items() if name not in omitted}


@contextlib.contextmanager
def stopped_after(encoder: Encoder, layer: int | None) -> Iterator[Encoder]:
    """Within the block the encoder computes layers 0 to `layer` only; None leaves it as it is.

    An encoder of somebody's own without `stop_after` computes them all.
    """
    if layer is None or not isinstance(encoder, Encoder):
        yield encoder
        return
    before = encoder.last_layer
    encoder.stop_after(layer)
    try:
        yield encoder
    finally:
        encoder.stop_after(before)


@contextlib.contextmanager
def pooled_by(encoder: Encoder, statistics: tuple[str, ...] | None) -> Iterator[Encoder]:
    """Within the block `features.pooling.pool` takes no other statistics of the encoder's frames; None is no promise.

    What only others need is not computed. Where that is all but the mean, a clip's mean may come as its one frame.
    """
    if not isinstance(encoder, Encoder):  # as in `stopped_after`
        yield encoder
        return
    before, encoder._wanted = encoder._wanted, statistics
    try:
        yield encoder
    finally:
        encoder._wanted = before


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed torch's random numbers within the block; outside it they go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        yield


def state_digest(state: nn.Module | Mapping[str, Tensor]) -> str:
    """sha256 of a module's state, or of tensors by name, for weights that come from no file."""
    digest = hashlib.sha256()
    for key, tensor in sorted((state.state_dict() if isinstance(state, nn.Module) else state).items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest(encoder: Encoder) -> str:
    """sha256 of an encoder's weights and of the source of its class, for features that follow from these alone."""
    return hashlib.sha256(f"{identity('encoders', type(encoder))} {state_digest(encoder)}".encode()).hexdigest()
