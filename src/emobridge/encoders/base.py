"""What every encoder shares: ragged batches, long clips, options, and the frame mask.

An encoder writes `encode`, which sees clips that are zero beyond their length, at least `minimum` samples long and at
most `window` seconds; `forward` makes them so. A clip's frames must not depend on its neighbours in the batch.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emobridge.errors import UserError, unknown
from emobridge.options import typed_options
from emobridge.types import SAMPLE_RATE, Layers

Option = str | int | float | bool
# Options of every family whose weights come from a folder: "random" leaves the folder's weights aside, if it has any,
# and starts the same encoder as the family does before its training. It is the floor of what training gave.
WEIGHTS: dict[str, Option] = {"weights": "pretrained", "seed": 0}


@dataclass(frozen=True, slots=True)
class Trunk:
    """Where an encoder's transformer blocks are, for adapters; paths have dots, those of maps begin at a block."""

    module: nn.Module  # that holds the blocks
    blocks: tuple[str, ...]  # paths in it, in order
    attention: tuple[str, str, str, str]  # linear maps of a block: query, key, value, output
    inner: str  # linear maps of its feed-forward part
    outer: str
    public: str = ""  # how the transformers library begins the paths of blocks, where it differs
    own: str = ""  # how they begin here


class Encoder(nn.Module):
    """Waveforms in, all layers out."""

    name: ClassVar[str]
    statistics: ClassVar[tuple[str, ...]] = ("mean", "std")  # how its frames are pooled over time, see features.pool
    defaults: ClassVar[dict[str, Option]] = {}  # every option that `open` takes

    layers: int
    width: int
    frame_rate: float  # Hz; 0 for one frame a clip
    options: dict[str, Option]  # as opened, defaults included: part of the feature store's key
    digest: str  # sha256 of the weights
    minimum: int = 1  # samples; shorter clips are padded with zeros
    active_adapters: Any = None  # the emobridge.adapters.Adapters at work in it
    inactive_adapters: tuple[Any, ...] = ()  # others that are in it without effect
    window: float | None = None  # s; longer clips are encoded window by window, and the frames joined

    @property
    def all_adapters(self) -> tuple[Any, ...]:
        """Every set of adapters in the encoder, without effect or active; the active one comes last."""
        return (
            self.inactive_adapters if self.active_adapters is None else (*self.inactive_adapters, self.active_adapters)
        )

    @classmethod
    def claims(cls, config: dict, tensors: frozenset[str]) -> bool:
        """Whether a directory with this config.json and these tensor names holds this family's weights."""
        return False

    @classmethod
    def open(cls, directory: Path | None, **options: Option) -> Encoder:
        """The encoder with the weights in `directory`."""
        raise NotImplementedError

    def trunk(self) -> Trunk | None:
        """The transformer blocks that adapters fit; None where there are none."""
        return None

    def set_checkpointing(self, wanted: bool) -> None:
        """In training, compute each block twice rather than keep what is in it.

        Errors: UserError where there are no blocks.
        """
        if wanted:
            raise UserError(f"checkpointing: encoder {self.name} has no transformer blocks; whisper and hf-ssl have")

    def encode(self, wave: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) float32, zero beyond `lengths` (B,) samples -> hidden (L, B, F, D) and frames of each clip (B,)."""
        raise NotImplementedError

    def forward(self, wave: Tensor, mask: Tensor) -> Layers:
        """(B, T) float32 at 16 kHz and its (B, T) bool mask -> Layers; autograd flows through it."""
        if self.training and "engine" in self.options:
            raise UserError(f"encoder {self.name} with engine {self.options['engine']}: cannot be trained")
        wave, lengths = tidy(wave, mask, self.minimum)
        size = wave.shape[1] if self.window is None else round(self.window * SAMPLE_RATE)
        if wave.shape[1] <= size:
            hidden, frames = self.encode(wave, lengths)
        else:
            hidden, frames = self._windows(wave, lengths, size)
        valid = torch.arange(hidden.shape[2], device=frames.device) < frames[:, None]
        return Layers(hidden, valid, self.frame_rate)

    def _windows(self, wave: Tensor, lengths: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Encode `size` samples at a time. Each window of a clip but its last is full, so the frames simply join."""
        parts, frames = [], torch.zeros_like(lengths)
        for first in range(0, wave.shape[1], size):
            rows = (lengths > first).nonzero()[:, 0]
            inside = (lengths[rows] - first).clamp(max=size)
            stretch = nn.functional.pad(wave[rows, first : first + int(inside.max())], (0, self.minimum))
            inside = inside.clamp(min=self.minimum)
            hidden, count = self.encode(stretch[:, : int(inside.max())], inside)
            part = hidden.new_zeros(hidden.shape[0], len(lengths), *hidden.shape[2:])
            parts.append(part.index_copy(1, rows, hidden))
            frames = frames.index_add(0, rows, count)
        return torch.cat(parts, dim=2), frames


def tidy(wave: Tensor, mask: Tensor, minimum: int) -> tuple[Tensor, Tensor]:
    """Zero what lies beyond each clip, cut what no clip reaches, and lengthen clips to `minimum` samples with zeros."""
    lengths = mask.sum(1)
    size = max(int(lengths.max()), minimum)
    wave = torch.where(mask, wave, 0.0)[:, :size]
    if wave.shape[1] < size:
        wave = nn.functional.pad(wave, (0, size - wave.shape[1]))
    return wave, lengths.clamp(min=minimum)


def hushed(hidden: Tensor, frames: Tensor) -> Tensor:
    """(B, ..., F) with zeros from each clip's `frames` (B,) on: what convolutions see beyond a lone clip."""
    inside = torch.arange(hidden.shape[-1], device=hidden.device) < frames[:, None]
    return torch.where(inside.reshape(len(frames), *[1] * (hidden.ndim - 2), -1), hidden, 0.0)


def checked(name: str, defaults: dict[str, Option], options: dict[str, Option]) -> dict[str, Option]:
    """The defaults with `options` over them, text read by the type of the default.

    Errors: UserError for an option that the encoder does not have, and a value of another type than its default's.
    """
    return {**defaults, **typed_options(f"encoder {name}", options, defaults)}


def chosen(name: str, options: dict[str, Option], option: str, choices: tuple[str, ...]) -> str:
    """The value of an option that is one of a few words."""
    value = str(options[option])
    if value not in choices:
        raise unknown(f"{option} of encoder {name}", value, choices)
    return value


def seed_of(name: str, options: dict[str, Option]) -> int | None:
    """The seed of random weights, or None where the folder's are asked for."""
    if chosen(name, options, "weights", ("pretrained", "random")) == "pretrained":
        return None
    seed = int(options["seed"])
    if not 0 <= seed < 1 << 63:
        raise UserError(f"seed {seed!r} of encoder {name}: expected a whole number from 0")
    return seed


def named(options: dict[str, Option]) -> dict[str, Option]:
    """The options as the store's key has them: nothing is said of the folder's own weights, nor of the torch engine."""
    silent = set(WEIGHTS) if options["weights"] == "pretrained" else set()
    if options.get("engine") == "torch":
        silent.add("engine")
    return {name: value for name, value in options.items() if name not in silent}


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Random numbers of `seed` within the block; the caller's go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        yield


def state_digest(state: nn.Module | Mapping[str, Tensor]) -> str:
    """sha256 of a module's state, or of named tensors, for weights that come from no file."""
    digest = hashlib.sha256()
    for key, tensor in sorted((state.state_dict() if isinstance(state, nn.Module) else state).items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
