"""One encoder with the features of all corpora at hand: its probes are trained and tested here, unit by unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge import __version__, registry
from emobridge.bundle import columns, made_head
from emobridge.features.normalisation import FLOOR, learnt, moments
from emobridge.features.store import FeatureStore
from emobridge.probe import sources
from emobridge.probe.batched import ProbeTraining, Stack, fit, logits_of
from emobridge.probe.encoders import ProbedEncoder, heads_for, layer_names, options_for_head
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, Split, corpora_to_test, rows_to_test, split_corpus, training_sets
from emobridge.probe.units import Outcome, Predictions, Unit, UnitCache
from emobridge.progress import progress
from emobridge.types import person

TOGETHER = 250_000_000  # floats of pooled features in memory: layers beyond that wait for their turn
STACKED = 4_000_000  # weights in a stack: steps over more wait for the memory
# Settings that do not change what a unit says, or that stand in its name; those of models from scratch alone.
_FREE = frozenset(
    [
        "out",
        "store",
        "corpora",
        "encoders",
        "heads",
        "normalise",
        "layers",
        "floors",
        "disk",
        "frames",
        "scratch",
        "scratch_options",
        "crop",
    ]
)


def training_plan(settings: ProbeSettings) -> ProbeTraining:
    """How the probes of a study are trained."""
    first, second = settings.betas
    return ProbeTraining(
        settings.epochs,
        settings.batch_size,
        settings.learning_rates,
        settings.weight_decay,
        (first, second),
        settings.eps,
        settings.patience,
    )


def units_of(settings: ProbeSettings, listener: ProbedEncoder, corpus: str, utterances: int) -> list[Unit]:
    """What trains on one corpus, in an order: as many layers at a time as keep the weights near the processor.

    A head that sums layers takes all that the encoder has, whichever ones the others are asked to look at.
    """
    asked = layer_names(settings, listener.encoder, listener.name)
    every = tuple(map(str, range(listener.encoder.layers)))
    chunk = max(1, TOGETHER // max(1, listener.encoder.width * utterances))
    found = []
    for normalise in settings.normalise:
        for head in heads_for(settings, listener):
            kind = registry.load("heads", head)
            names = every if kind.all_layers else asked
            weights = sum(value.numel() for value in made_head(head, (), listener.encoder.width, 2).parameters())
            size = max(1, min(chunk, STACKED // (weights * settings.folds * settings.seeds)))
            size = len(names) if kind.all_layers else size
            for first in range(0, len(names), size):
                some = names[first : first + size]
                found.append(Unit(listener.name, listener.weights, corpus, normalise, head, some))
    return found


class Trainer:
    """One encoder with the features of all corpora at hand."""

    def __init__(
        self, settings: ProbeSettings, corpora: Sequence[Corpus], listener: ProbedEncoder, store: FeatureStore
    ) -> None:
        self.settings, self.listener, self.store = settings, listener, store
        self.corpora = {corpus.name: corpus for corpus in corpora}
        self.cuts = {corpus.name: split_corpus(corpus, settings) for corpus in corpora}
        self.clips: dict[str, sources.Clips] = {}
        self.clip_moments: dict[str, tuple[Tensor, Tensor]] = {}
        depends = {key: value for key, value in asdict(settings).items() if key not in _FREE}
        said = [
            [corpus.name, [(u.id, u.speaker, u.emotion, u.start, u.end) for u in corpus.utterances]]
            for corpus in corpora
        ]
        self.shelf = UnitCache(Path(settings.out) / "work", [depends, said, __version__])

    def run(self) -> list[Outcome]:
        """Every unit of the encoder, those of an interrupted run from the shelf."""
        total = sum(len(corpus.utterances) for corpus in self.corpora.values())
        units = [unit for name in self.corpora for unit in units_of(self.settings, self.listener, name, total)]
        known = {unit: self.shelf.read(unit, self.listener.digest) for unit in units}
        groups = list(self._groups([unit for unit in units if known[unit] is None]))
        with progress(f"probes on {self.listener.title}") as report:
            done, epochs = len(units) - sum(map(len, groups)), self.settings.epochs
            for group in groups:

                def on_epoch(epoch: int, _: int, before: int = done, size: int = len(group)) -> None:
                    report(before * epochs + epoch * size, len(units) * epochs)

                for outcome in self._train(group, on_epoch):
                    self.shelf.write(outcome, self.listener.digest)
                    known[outcome.unit] = outcome
                done += len(group)
                report(done * epochs, len(units) * epochs)
        return [outcome for outcome in known.values() if outcome is not None]

    def _groups(self, units: list[Unit]) -> Iterator[list[Unit]]:
        """Units that train together: streamed ones of a corpus, which share the encoder's passes; others alone."""
        for corpus in self.corpora:
            mine = [unit for unit in units if unit.corpus == corpus]
            together = [unit for unit in mine if self._framed(unit) and not self.store.with_frames]
            if together:
                yield together
            yield from ([unit] for unit in mine if unit not in together)

    def _framed(self, unit: Unit) -> bool:
        return bool(registry.load("heads", unit.head).needs_frames)

    def _train(self, units: Sequence[Unit], on_epoch: Callable[[int, int], None]) -> list[Outcome]:
        corpus = self.corpora[units[0].corpus]
        cuts = self.cuts[corpus.name]
        sets, plan = training_sets(corpus, cuts, self.settings), training_plan(self.settings)
        stacks = {unit: [self._stack(unit, rate) for rate in plan.learning_rates] for unit in units}
        everything = [stack for some in stacks.values() for stack in some]
        checkpoint = self.shelf.path(units[0], f"{self.listener.digest} {len(units)}").with_suffix(".checkpoint")
        fit(everything, sets, plan, on_epoch=on_epoch, checkpoint=checkpoint)
        tested: dict[Unit, list[Predictions]] = {unit: [] for unit in units}
        for name in corpora_to_test(self.settings, corpus.name, tuple(self.corpora)):
            sourced = [self._source(unit, name) for unit, some in stacks.items() for _ in some]
            rows = rows_to_test(self.corpora[name], corpus, self.cuts[name], len(cuts[0]))
            needed = torch.tensor(sorted({row for folds in rows for part in folds for row in part}))
            if not len(needed):
                continue
            logits = iter(logits_of(everything, needed, sourced))
            for unit, some in stacks.items():
                chosen = _chosen(some, [next(logits) for _ in some])
                tested[unit] += _tested(name, chosen.softmax(-1), needed, rows)
        return [_outcome(unit, some, tested[unit]) for unit, some in stacks.items()]

    def _stack(self, unit: Unit, rate: float) -> Stack:
        """The untrained heads of a unit; those of one seed begin alike."""
        corpus, cuts = self.corpora[unit.corpus], self.cuts[unit.corpus]
        kind, words = registry.load("heads", unit.head), options_for_head(self.settings, unit.head)
        if kind.all_layers:
            words = (*words, f"layers={len(unit.layers)}")
        rows = []
        width = self.listener.encoder.width * len(self._statistics(kind.needs_frames))
        for _ in range(1 if kind.all_layers else len(unit.layers)):
            heads = []
            for seed, folds in enumerate(cuts):
                for _ in folds:
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(seed)
                        heads.append(made_head(unit.head, words, width, len(corpus.emotions)))
            rows.append(heads)
        source = self._source(unit, unit.corpus)
        folded = None
        if unit.normalise == "none":
            values, within = self._vectors(unit, unit.corpus)
            folded = training_moments(values, within, [cut for folds in cuts for cut in folds])
        return Stack(rows, source, rate=rate, moments=folded)

    def _statistics(self, framed: bool) -> tuple[str, ...]:
        """What pooled heads see: the mean, which trains a linear head exactly; of log-mel bands the deviation too."""
        if framed:
            return ("frames",)
        return (
            self.listener.encoder.statistics if self.listener.name == "logmel" else self.listener.encoder.statistics[:1]
        )

    def _source(self, unit: Unit, name: str) -> sources.Pooled | sources.Frames:
        """The features of one corpus as a unit sees them."""
        values, within = self._vectors(unit, name)
        standard = None
        if unit.normalise != "none":
            standard = _standard(values, within, self.corpora[name], unit.normalise)
        if not self._framed(unit):
            return sources.Pooled(values if standard is None else (values - standard[0]) / standard[1])
        place = [int(layer) for layer in unit.layers]
        clips = self._clips(name)
        return sources.Frames(lambda rows: [clip[place] for clip in clips(rows)], standard)

    def _vectors(self, unit: Unit, name: str) -> tuple[Tensor, Tensor | None]:
        """(L', N, D) of the unit's layers: pooled features, or means of frames and the variance within each clip."""
        place = [int(layer) for layer in unit.layers]
        if self._framed(unit):
            if name not in self.clip_moments:
                self.clip_moments[name] = sources.clip_moments(self._clips(name), len(self.corpora[name].utterances))
            mean, variance = self.clip_moments[name]
            return mean[place], variance[place]
        wanted = columns(self.listener.encoder, self._statistics(False))
        utterances = self.corpora[name].utterances
        layers = [self.store.extract(utterances, layer=layer, strict=True).values[:, wanted] for layer in unit.layers]
        return torch.from_numpy(np.stack(layers)), None

    def _clips(self, name: str) -> sources.Clips:
        """Frames of all layers of one corpus."""
        if name not in self.clips:
            utterances = self.corpora[name].utterances
            self.clips[name] = (
                sources.kept(self.store, utterances)
                if self.store.with_frames
                else sources.streamed(self.listener.encoder, utterances, self.settings.segment)
            )
        return self.clips[name]


def training_moments(values: Tensor, within: Tensor | None, cuts: Sequence[Split]) -> tuple[Tensor, Tensor]:
    """Mean and deviation (L', P, D) over the training rows of each probe, as `normalisation.moments` gives them.

    values (L', N, D); within: the variance inside each row. All probes at once, as sums over rows by a product.
    """
    share = torch.zeros(len(cuts), values.shape[1])
    for row, cut in zip(share, cuts):
        row[list(cut.train)] = 1 / len(cut.train)
    centre = values.mean(1, keepdim=True)  # about which squares lose no digits
    apart = values - centre
    mean = share @ apart
    square = share @ (apart.square() if within is None else apart.square() + within)
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    least = (FLOOR * deviation.mean(-1, keepdim=True)).clamp(min=torch.finfo(values.dtype).tiny)
    return mean + centre, torch.maximum(deviation, least)


def _standard(values: Tensor, within: Tensor | None, corpus: Corpus, normalise: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation (L', N, D) of each utterance's corpus or speaker."""
    speakers = [person(one) for one in corpus.utterances] if normalise == "speaker" else None
    means, deviations = [], []
    for layer, x in enumerate(values):
        inside = None if within is None else within[layer]
        mean, deviation = moments(x, learnt("", "", x, inside), speakers, within=inside)
        means.append(mean)
        deviations.append(deviation)
    return torch.stack(means), torch.stack(deviations)


def _best(stacks: Sequence[Stack]) -> Tensor:
    """(L', P): which of the stacks, one a learning rate, has the lowest validation loss."""
    return torch.stack([stack.best_loss for stack in stacks]).argmin(0)


def _chosen(stacks: Sequence[Stack], logits: list[Tensor]) -> Tensor:
    """(L', P, N, C) of each probe at its learning rate."""
    best = _best(stacks)[None, ..., None, None].expand(-1, -1, -1, *logits[0].shape[2:])
    return torch.stack(logits).gather(0, best)[0]


def _tested(name: str, said: Tensor, rows: Tensor, tests: Sequence[Sequence[Sequence[int]]]) -> list[Predictions]:
    """What the probes (L', P, N, C), seeds by folds, say of their own test parts, among the rows (N,)."""
    place = {int(row): number for number, row in enumerate(rows)}
    found, probe = [], 0
    for seed, folds in enumerate(tests):
        parts = []
        for test in folds:
            parts.append(said[:, probe, [place[row] for row in test]])
            probe += 1
        wanted = np.array([row for test in folds for row in test], dtype=np.int64)
        found.append(Predictions(name, seed, wanted, torch.cat(parts, 1).numpy()))
    return found


def _outcome(unit: Unit, stacks: Sequence[Stack], tested: list[Predictions]) -> Outcome:
    best = _best(stacks)
    epochs = torch.stack([stack.best_epoch for stack in stacks]).gather(0, best[None])[0]
    rates = torch.tensor([stack.rate for stack in stacks])[best]
    weights = None
    if registry.load("heads", unit.head).all_layers:
        every = torch.stack([stack.module.get_parameter("layer_sum.weight").detach().softmax(1) for stack in stacks])
        weights = every.gather(0, best[0][None, :, None].expand(-1, -1, every.shape[2]))[0].numpy()
    return Outcome(unit, tuple(tested), epochs.numpy(), rates.numpy(), weights)
