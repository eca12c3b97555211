"""What the training loop draws batches from: features computed once, or recordings that go through the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from emobridge.data.audio import random_crop, read_utterance, utterance_seconds
from emobridge.data.batching import pad
from emobridge.encoders.base import Encoder, stopped_after
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain, fit_domain, moments
from emobridge.features.phone_means import frame_seconds
from emobridge.features.pooling import pool
from emobridge.phones.base import PHONE_CLASSES, Alignment
from emobridge.training.hardware import ALONE, Hardware
from emobridge.types import SAMPLE_RATE, Frames, Layers, Utterance, person

PREDICTED_TOGETHER = 4096  # rows of stored features
WARM = 32  # utterances in a batch by which fresh batch norms learn


class Frozen:
    """Features of a frozen encoder, normalised before: (N, D), or (N, V, D) of V layers, side by side in a vector.

    copies: how many rows at the end are other rows once more, recoloured. whole: memory that begins with x and has room
    for such copies behind it.
    """

    def __init__(self, x: Tensor, copies: int = 0, whole: Tensor | None = None) -> None:
        self.copies = copies
        self.layers = x.shape[1] if x.ndim == 3 else 1
        self.x = x.flatten(1)
        self.width = self.x.shape[1]
        self._whole = None if whole is None else whole.flatten(1)
        self.frames, self.together = False, PREDICTED_TOGETHER
        self.seconds: Tensor | None = None

    def room(self, count: int) -> Tensor:
        """Memory for `count` copies (count, D): behind x where there is room, so that `with_copies` moves nothing."""
        if self._whole is None:
            return self.x.new_empty(count, self.width)
        return self._whole[len(self.x) : len(self.x) + count]

    def with_copies(self, copies: Tensor) -> Frozen:
        """The same rows (N, D) and copies (S, D) behind them, N + S in all."""
        if self._whole is None:
            return Frozen(torch.cat([self.x, copies]), len(copies))
        room = self.room(len(copies))
        if room.data_ptr() != copies.data_ptr():
            room.copy_(copies)
        return Frozen(self._whole[: len(self.x) + len(copies)], len(copies))

    def draws(self, count: int, generator: torch.Generator) -> None:
        """Nothing is cropped."""

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor:
        if len(rows) == len(self.x) and torch.equal(rows, torch.arange(len(rows))):
            return self.x  # all of it: a copy would be all features once more
        return self.x.index_select(0, rows)

    def names(self, rows: Tensor) -> tuple[str, ...]:
        return ()

    def refresh(self) -> None:
        """Nothing changes."""

    def modules(self) -> tuple[nn.Module, ...]:
        return ()

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing was learnt."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """How recordings go through an encoder that is trained, or whose single frames are wanted."""

    encoder: Encoder
    layers: tuple[int, ...]  # side by side in what they yield
    statistics: tuple[str, ...]
    normalise: str = "none"
    crop: float = 2.0  # s of an utterance that a training step sees at most
    frames: bool = False  # yield frames instead of their statistics; each is normalised as the mean frame is
    hardware: Hardware = ALONE  # where the encoder runs; what it yields comes back to the CPU


class Recordings:
    """Recordings that go through an encoder anew in each step.

    domain_of: of each utterance, the index of its corpus in `corpora` (name and language); target: the index of the
    target. learner: the recordings whose audio tells the moments of each domain; without it these ones do. leads: the
    learner learns anew whenever these recordings do. Batch norms would see the padding of unlike lengths, so before
    them utterances that are shorter than `crop` repeat themselves.
    """

    def __init__(
        self,
        front: FrontEnd,
        utterances: Sequence[Utterance],
        *,
        domain_of: Sequence[int] | np.ndarray,
        corpora: Sequence[tuple[str, str]],
        target: int,
        learner: Recordings | None = None,
        leads: bool = False,
    ) -> None:
        self.front = front
        self.utterances = tuple(utterances)
        self.domain_of = np.asarray(domain_of)
        self.corpora, self.target = tuple(corpora), target
        self.learner, self.leads = learner, leads
        self.together, self.copies = 1, 0  # they are of many lengths
        encoder, crop = front.encoder, front.crop
        self.norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        lengths = [min(crop, utterance_seconds(utterance)) for utterance in self.utterances]
        self.seconds = None if self.norms else torch.tensor(lengths)
        self.domains: tuple[Domain, ...] = ()
        self.frames = front.frames
        self.width = len(front.layers) * encoder.width * (1 if front.frames else len(front.statistics))
        self.mean = torch.zeros(len(self.utterances), self.width)
        self.deviation = torch.ones(len(self.utterances), self.width)

    @property
    def encoder(self) -> Encoder:
        """What the recordings go through."""
        return self.front.encoder

    def modules(self) -> tuple[nn.Module, ...]:
        trained = any(weight.requires_grad for weight in self.encoder.parameters())
        return (self.encoder,) if trained else ()

    def names(self, rows: Tensor) -> tuple[str, ...]:
        return tuple(self.utterances[int(row)].id for row in rows)

    def state(self) -> dict[str, Tensor]:
        state = {"mean": self.mean, "deviation": self.deviation}
        for index, domain in enumerate(self.domains):
            state |= {f"{index}.mean": domain.mean, f"{index}.deviation": domain.deviation}
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        self.mean, self.deviation = state["mean"], state["deviation"]
        self.domains = tuple(
            Domain(*names, state[f"{index}.mean"], state[f"{index}.deviation"])
            for index, names in enumerate(self.corpora)
        )
        if self.learner is not None:
            self.learner.domains = self.domains

    def draws(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(1 << 62, (count,), generator=generator)

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor | Frames:
        seeds = [None] * len(rows) if draws is None else draws.tolist()
        layers = self._layers([self._wave(row, seed) for row, seed in zip(rows.tolist(), seeds)])
        self._check_finite(layers, rows)
        mean, deviation = self.mean[rows], self.deviation[rows]
        if self.frames:
            hidden = self._side_by_side(layers.hidden)
            return Frames((hidden - mean[:, None]) / deviation[:, None], layers.mask)
        return (self._side_by_side(pool(layers, self.front.statistics)) - mean) / deviation

    def phone_means(self, rows: Tensor, alignments: Sequence[Alignment | None], generator: torch.Generator) -> Tensor:
        """(B, P, D): the mean of the frames inside the phones of each of PHONE_CLASSES, in random crops.

        NaN where a crop has none. They are normalised as the utterances are.
        """
        crops = [self._crop(row, seed) for row, seed in zip(rows.tolist(), self.draws(len(rows), generator).tolist())]
        layers = self._layers([wave for wave, _ in crops])
        hidden = self._side_by_side(layers.hidden)  # (B, F, D)
        seconds = torch.zeros(len(rows), len(PHONE_CLASSES), hidden.shape[1])
        for row, (alignment, (_, start), mask) in enumerate(zip(alignments, crops, layers.mask)):
            if alignment is not None:
                count = int(mask.sum())
                moved = [replace(phone, start=phone.start - start, end=phone.end - start) for phone in alignment.phones]
                inside = frame_seconds(Alignment(tuple(moved)), count, layers.frame_rate)
                seconds[row, :, :count] = torch.from_numpy(inside)
        total = seconds.sum(2, keepdim=True)
        means = (seconds / total.clamp(min=1e-9)) @ hidden
        means = (means - self.mean[rows][:, None]) / self.deviation[rows][:, None]
        return means.masked_fill(total == 0, torch.nan)

    def _check_finite(self, layers: Layers, rows: Tensor) -> None:
        """Name the utterances that the encoder makes NaN or infinity of, if it does not of all: then it has diverged.

        Errors: UserError, before they spoil the encoder's weights.
        """
        finite = self._side_by_side(layers.hidden).isfinite().flatten(1).all(1)
        if finite.any() and not finite.all():
            names = ", ".join(self.names(rows[~finite])[:5])
            raise UserError(f"{names}: encoder {self.encoder.name} gives numbers that are not finite; leave it out")

    def refresh(self) -> None:
        """The moments of each domain and speaker under the encoder as it now is."""
        if not self.utterances:
            return
        if self.front.normalise == "none":  # an encoder that is trained finds its own scale
            unchanged = self._by_layer(torch.zeros(self.width)), self._by_layer(torch.ones(self.width))
            self.domains = tuple(Domain(*names, *unchanged) for names in self.corpora)
            return
        if self.learner is None and not self.domains:
            self._warm()
        x = self.pooled(range(len(self.utterances)))
        if self.learner is None:
            self.domains = domains_of(x, self.domain_of, self.corpora, self.front.normalise, self.target)
        else:
            if self.leads:
                self.learner.refresh()
            self.domains = self.learner.domains
        for index, domain in enumerate(self.domains):
            rows = torch.from_numpy(np.flatnonzero(self.domain_of == index))
            speakers = (
                [person(self.utterances[int(row)]) for row in rows] if self.front.normalise == "speaker" else None
            )
            mean, deviation = moments(x[rows], domain, speakers)
            self.mean[rows], self.deviation[rows] = mean.flatten(1), deviation.flatten(1)

    def _warm(self) -> None:
        """Show speech to batch norms that have seen none: their first moments would be of no speech at all."""
        norms = self.norms
        if not norms or any(norm.num_batches_tracked for norm in norms):
            return
        generator, was_training = torch.Generator().manual_seed(0), self.encoder.training
        self.encoder.train()
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = None  # the plain mean over these batches
        with torch.no_grad():
            for rows in torch.randperm(len(self.utterances), generator=generator).split(WARM):
                self._layers([self._wave(int(row), int(self.draws(1, generator))) for row in rows])
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        self.encoder.train(was_training)

    def pooled(self, rows: Iterable[int]) -> Tensor:
        """(N, D), or (N, V, D) of several layers, of whole utterances, not normalised, without gradients.

        The encoder is in evaluation mode.
        """
        was_training = self.encoder.training
        self.encoder.eval()
        with torch.no_grad():
            statistics = ("mean",) if self.frames else self.front.statistics
            parts = [pool(self._layers([self._wave(row, None)]), statistics) for row in rows]
            x = torch.cat([self._side_by_side(part) for part in parts])
        self.encoder.train(was_training)
        return self._by_layer(x)

    def _by_layer(self, x: Tensor) -> Tensor:
        """(..., V * D) -> (..., V, D): each layer is normalised by itself; of one layer as it is."""
        return x if len(self.front.layers) == 1 else x.unflatten(-1, (len(self.front.layers), -1))

    def _side_by_side(self, values: Tensor) -> Tensor:
        """(L, B, ..., D) of all layers -> (B, ..., V * D) of the V layers in front, in their order.

        An encoder whose layers are summed to one has no other.
        """
        if len(self.front.layers) == 1:
            return values[0 if self.encoder.layers == 1 else self.front.layers[0]]
        return torch.cat([values[layer] for layer in self.front.layers], -1)

    def _layers(self, waves: list[np.ndarray]) -> Layers:
        wave, mask = (part.to(self.front.hardware.device) for part in pad(waves))
        last = None if self.encoder.layers == 1 else max(self.front.layers)  # what lies behind it is of no use
        with self.front.hardware.autocast(), stopped_after(self.encoder, last):
            layers = self.encoder(wave, mask)
        speech = None if layers.speech is None else layers.speech.cpu()
        return Layers(layers.hidden.float().cpu(), layers.mask.cpu(), layers.frame_rate, speech, layers.over_speech)

    def _wave(self, row: int, seed: int | None) -> np.ndarray:
        return self._crop(row, seed)[0]

    def _crop(self, row: int, seed: int | None) -> tuple[np.ndarray, float]:
        """A random crop, or without a seed the whole, and where in the utterance it begins, in seconds."""
        wave = read_utterance(self.utterances[row])
        if seed is None:
            return wave, 0.0
        stretch = random_crop(len(wave), self.front.crop, np.random.default_rng(seed))
        wave = wave[stretch]
        repeated = np.resize(wave, round(self.front.crop * SAMPLE_RATE)) if self.norms else wave
        return repeated, stretch.start / SAMPLE_RATE


def without_label(utterance: Utterance) -> Utterance:
    """The utterance without its labels: inputs must not know them."""
    return replace(utterance, emotion=None, arousal=None, valence=None, dominance=None)


def take_rows(x: Tensor, rows: Sequence[int] | np.ndarray) -> Tensor:
    """Rows of x (N, ...); those that follow one another as a view, since a copy may be all features once more."""
    indices = np.asarray(rows, dtype=np.int64)
    if len(indices) and (np.diff(indices) == 1).all():
        return x[int(indices[0]) : int(indices[-1]) + 1]
    return x[torch.from_numpy(indices)]


def domains_of(
    x: Tensor,
    domain_of: Sequence[int] | np.ndarray,
    corpora: Sequence[tuple[str, str]],
    normalise: str,
    target: int,
    *,
    prosody: int = 0,
) -> tuple[Domain, ...]:
    """The domain of each of `corpora` (name and language), in their order; `target` is the index of the target.

    x: (N, ..., D), domain_of: (N,), -1 of rows that take no part. prosody: how many of the D, the last ones, are
    prosody. With normalise "none" all domains have the moments of the source corpora together, and so has a corpus
    without any utterance here, as in a fold that scores its only speaker.
    """
    domain_of = np.asarray(domain_of)
    domains = []
    for index, (corpus, language) in enumerate(corpora):
        rows = np.flatnonzero(domain_of == index)
        if normalise == "none" or not len(rows):
            rows = np.flatnonzero((domain_of != target) & (domain_of >= 0))
        domains.append(fit_domain(corpus, language, take_rows(x, rows), prosody=prosody))
    return tuple(domains)
