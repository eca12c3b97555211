"""The probes on one encoder, with the features of all corpora at hand: trained and tested unit by unit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge.bundle import columns, made_head
from emobridge.data.threads import one_thread
from emobridge.encoders.base import Encoder
from emobridge.features.normalisation import fit_domain, least_deviation, moments
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder
from emobridge.probe import sources
from emobridge.probe.batched import ProbeTraining, Stack, TrainingSets, fit_probes, logits_of, validation_losses
from emobridge.probe.encoders import options_for_head, statistics_of
from emobridge.probe.plan import EncoderPlan, is_solved, needs_frames
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.solved import solve_probes
from emobridge.probe.splits import Corpus, Rows, RowSplit, rows_to_test, split_corpus, training_sets
from emobridge.probe.units import Outcome, ProbeUnit, UnitCache, UnitPredictions, digest_of
from emobridge.training.stack import layer_weights
from emobridge.types import person


def training_of(settings: ProbeSettings) -> ProbeTraining:
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
        settings.validate_by,
        settings.plateau,
        settings.plateau_factor,
        settings.least_rate,
    )


def open_store(plan: EncoderPlan, encoder: Encoder) -> FeatureStore:
    """The store of an encoder's features, with frames where heads get stored ones."""
    frames = plan.frames == "stored"
    segment = plan.settings.segment if frames else 0.0
    return FeatureStore(plan.settings.store or cache_folder(), encoder, frames=frames, segment=segment)


class Trainer:
    """Trains and tests units of one encoder; finished ones are kept in the folder `work` of the study."""

    def __init__(self, plan: EncoderPlan, corpora: Sequence[Corpus], encoder: Encoder) -> None:
        self.plan, self.settings, self.encoder = plan, plan.settings, encoder
        self.store = open_store(plan, encoder)
        self.cache = UnitCache(Path(plan.settings.out) / "work")
        self.corpora = {corpus.name: corpus for corpus in corpora}
        self.splits = {corpus.name: split_corpus(corpus, plan.settings) for corpus in corpora}
        self.digests: dict[tuple[str, bool], str] = {}
        self.clips: dict[str, sources.Clips] = {}
        self.clip_moments: dict[str, tuple[Tensor, Tensor]] = {}

    def key(self, unit: ProbeUnit) -> str:
        """What a unit depends on, and nothing else, as the name of its file."""
        settings = self.settings
        return digest_of(
            [self.encoder.name, self.encoder.digest, sorted(self.encoder.options.items())],
            [self.plan.frames, settings.segment] if needs_frames(unit) else [],
            [unit.head, sorted(options_for_head(settings, unit.head)), unit.layers, unit.normalise],
            [{} if is_solved(unit) else asdict(training_of(settings)), settings.class_weights],
            self._data_digest(unit.corpus, unit.normalise == "speaker"),
        )

    def _data_digest(self, trained: str, speakers: bool) -> str:
        """The recordings and rows that what is trained on a corpus depends on."""
        if (trained, speakers) not in self.digests:
            splits = [[asdict(split) for split in folds] for folds in self.splits[trained]]
            tests = [[self.corpora[name].digest(speakers=speakers), rows] for name, rows in self._tests(trained)]
            digest = digest_of(self.corpora[trained].digest(speakers=speakers), splits, tests)
            self.digests[trained, speakers] = digest
        return self.digests[trained, speakers]

    def finished(self) -> dict[ProbeUnit, Outcome | None]:
        """Each unit of the plan, with its outcome where an earlier run of the same settings finished it."""
        return {unit: self.cache.read(unit, self.key(unit)) for unit in self.plan.units}

    def groups(self, units: Sequence[ProbeUnit]) -> Iterator[tuple[ProbeUnit, ...]]:
        """Units that train together: streamed ones of a corpus, which share the encoder's passes; others alone."""
        streamed = [unit for unit in units if needs_frames(unit) and self.plan.frames == "streamed"]
        for corpus in dict.fromkeys(unit.corpus for unit in units):
            together = tuple(unit for unit in streamed if unit.corpus == corpus)
            if together:
                yield together
            yield from ((unit,) for unit in units if unit.corpus == corpus and unit not in together)

    def run(self, units: Sequence[ProbeUnit], on_epoch: Callable[[int, int], None] | None = None) -> list[Outcome]:
        """Train units of one corpus together, test them, and keep what comes of them."""
        small = not any(map(needs_frames, units))
        with one_thread() if small else contextlib.nullcontext():  # small problems are no faster on more
            outcomes = self._run(units, on_epoch)
        for outcome in outcomes:
            self.cache.write(outcome, self.key(outcome.unit))
        return outcomes

    def _run(self, units: Sequence[ProbeUnit], on_epoch: Callable[[int, int], None] | None) -> list[Outcome]:
        corpus = self.corpora[units[0].corpus]
        splits = self.splits[corpus.name]
        sets, training = training_sets(corpus, splits, self.settings), training_of(self.settings)
        solved = is_solved(units[0])  # such a unit is alone
        rates = (math.nan,) if solved else training.learning_rates
        stacks = {unit: [self._stack(unit, rate) for rate in rates] for unit in units}
        flat = [stack for by_rate in stacks.values() for stack in by_rate]
        if solved:
            solve_probes(flat[0], sets)
        else:
            checkpoint = self.cache.checkpoint(*map(self.key, units))
            fit_probes(flat, sets, training, on_epoch=on_epoch, checkpoint=checkpoint)
        is_best = not solved and training.patience and training.validate_by == "loss"
        losses = iter([stack.lowest for stack in flat] if is_best else _losses(flat, sets))
        validation = {unit: torch.stack([next(losses) for _ in by_rate]) for unit, by_rate in stacks.items()}
        best = {unit: by_rate.argmin(0) for unit, by_rate in validation.items()}  # of one rate: the first
        tests: dict[ProbeUnit, list[UnitPredictions]] = {unit: [] for unit in units}
        for name, rows in self._tests(corpus.name):
            needed = torch.tensor(sorted({row for folds in rows for part in folds for row in part}))
            if not len(needed):
                continue
            seen = [self._source(unit, name) for unit, by_rate in stacks.items() for _ in by_rate]
            logits = iter(logits_of(flat, needed, seen))
            for unit, by_rate in stacks.items():
                chosen = _choose(torch.stack([next(logits) for _ in by_rate]), best[unit])
                tests[unit] += _predictions(name, chosen.softmax(-1), needed, rows)
        return [_outcome(unit, by_rate, best[unit], validation[unit], tests[unit]) for unit, by_rate in stacks.items()]

    def _tests(self, trained: str) -> list[tuple[str, Rows]]:
        """The corpora that what is trained on one is tested on, and the rows that each seed and fold is scored on."""
        corpus, folds = self.corpora[trained], len(self.splits[trained][0])
        return [
            (name, rows_to_test(self.corpora[name], corpus, self.splits[name], folds))
            for name in self.plan.tested_on(trained)
        ]

    def _stack(self, unit: ProbeUnit, rate: float) -> Stack:
        """The untrained heads of a unit; those of one seed begin alike."""
        corpus, splits = self.corpora[unit.corpus], self.splits[unit.corpus]
        options = options_for_head(self.settings, unit.head)
        if unit.all_layers:
            options = (*options, f"layers={len(unit.layers)}")
        width = self.encoder.width * len(self._statistics(unit))
        rows = []
        for _ in range(1 if unit.all_layers else len(unit.layers)):
            heads = []
            for seed, folds in enumerate(splits):
                for _ in folds:
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(seed)
                        heads.append(made_head(unit.head, options, width, len(corpus.emotions)))
            rows.append(heads)
        by_probe = None
        if unit.normalise == "none":
            values, within = self._vectors(unit, unit.corpus)
            by_probe = training_moments(values, within, [split for folds in splits for split in folds])
        return Stack(rows, self._source(unit, unit.corpus), rate=rate, moments=by_probe)

    def _statistics(self, unit: ProbeUnit) -> tuple[str, ...]:
        return ("frames",) if needs_frames(unit) else statistics_of(self.encoder)

    def _source(self, unit: ProbeUnit, name: str) -> sources.PooledSource | sources.FrameSource:
        """The features of one corpus as a unit sees them."""
        values, within = self._vectors(unit, name)
        standard = None
        if unit.normalise not in ("none", "raw"):
            standard = _standard(values, within, self.corpora[name], unit.normalise)
        if not needs_frames(unit):
            return sources.PooledSource(values if standard is None else (values - standard[0]) / standard[1])
        layers = [int(layer) for layer in unit.layers]
        clips = self._clips(name)
        return sources.FrameSource(lambda rows: [clip[layers] for clip in clips(rows)], standard)

    def _vectors(self, unit: ProbeUnit, name: str) -> tuple[Tensor, Tensor | None]:
        """(L', N, D) of the unit's layers: pooled features, or means of frames and the variance within each clip."""
        if needs_frames(unit):
            layers = [int(layer) for layer in unit.layers]
            if name not in self.clip_moments:
                self.clip_moments[name] = sources.clip_moments(self._clips(name), len(self.corpora[name].utterances))
            mean, variance = self.clip_moments[name]
            return mean[layers], variance[layers]
        (chosen,) = columns(self.encoder, self._statistics(unit))  # probes see one view
        utterances = self.corpora[name].utterances
        values = [self.store.extract(utterances, layer=layer, strict=True).values[:, chosen] for layer in unit.layers]
        return torch.from_numpy(np.stack(values)), None

    def _clips(self, name: str) -> sources.Clips:
        """Frames of all layers of one corpus."""
        if name not in self.clips:
            utterances = self.corpora[name].utterances
            self.clips[name] = (
                sources.stored(self.store, utterances)
                if self.store.with_frames
                else sources.streamed(self.encoder, utterances, self.settings.segment)
            )
        return self.clips[name]


def training_moments(values: Tensor, within: Tensor | None, splits: Sequence[RowSplit]) -> tuple[Tensor, Tensor]:
    """Mean and deviation (L', P, D) over the training rows of each probe, as `normalisation.moments` gives them.

    values (L', N, D); within: the variance inside each row. All probes at once, as sums over rows by a product.
    """
    share = torch.zeros(len(splits), values.shape[1])
    for row, split in zip(share, splits):
        row[list(split.train)] = 1 / len(split.train)
    centre = values.mean(1, keepdim=True)  # about which squares lose no digits
    apart = values - centre
    mean = share @ apart
    square = share @ (apart.square() if within is None else apart.square() + within)
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return mean + centre, torch.maximum(deviation, least_deviation(deviation))


def _standard(values: Tensor, within: Tensor | None, corpus: Corpus, normalise: str) -> tuple[Tensor, Tensor]:
    """Mean and deviation (L', N, D) of each utterance's corpus or speaker."""
    speakers = [person(utterance) for utterance in corpus.utterances] if normalise == "speaker" else None
    means, deviations = [], []
    for layer, x in enumerate(values):
        variance = None if within is None else within[layer]
        mean, deviation = moments(x, fit_domain("", "", x, variance), speakers, within=variance)
        means.append(mean)
        deviations.append(deviation)
    return torch.stack(means), torch.stack(deviations)


def _losses(stacks: Sequence[Stack], sets: TrainingSets) -> list[Tensor]:
    """The validation loss (L', P) of each stack's probes as they are, NaN where there is no validation part."""
    if sets.validates:
        return validation_losses(stacks, sets)
    return [torch.full(stack.lowest.shape, torch.nan) for stack in stacks]


def _choose(values: Tensor, best: Tensor) -> Tensor:
    """(R, L', P, N, C) of R learning rates -> (L', P, N, C) of each probe at its best rate (L', P)."""
    index = best[None, ..., None, None].expand(-1, -1, -1, *values.shape[3:])
    return values.gather(0, index)[0]


def _predictions(
    name: str, probabilities: Tensor, rows: Tensor, tests: Sequence[Sequence[Sequence[int]]]
) -> list[UnitPredictions]:
    """What the probes, seeds by folds, predict (L', P, N, C) for their own test parts, among the rows (N,)."""
    index = {int(row): number for number, row in enumerate(rows)}
    predictions, probe = [], 0
    for seed, folds in enumerate(tests):
        parts: list[Tensor] = []
        probes: list[int] = []
        tested: list[int] = []
        for test in folds:
            parts.append(probabilities[:, probe, [index[row] for row in test]])
            probes += [probe] * len(test)
            tested += test
            probe += 1
        numbers = np.array([tested, probes], dtype=np.int64)
        predictions.append(UnitPredictions(name, seed, numbers[0], numbers[1], torch.cat(parts, 1).numpy()))
    return predictions


def _outcome(
    unit: ProbeUnit, stacks: Sequence[Stack], best: Tensor, losses: Tensor, predictions: Sequence[UnitPredictions]
) -> Outcome:
    """best (L', P): which of the R stacks, one a learning rate, is each probe's; losses (R, L', P) on validation."""
    epochs = torch.stack([stack.best_epoch for stack in stacks]).gather(0, best[None])[0]
    rates = torch.tensor([stack.rate for stack in stacks])[best]
    weights = None
    if unit.all_layers:
        shares = torch.stack([layer_weights(stack.module) for stack in stacks])  # (R, P, L)
        weights = shares.gather(0, best[0][None, :, None].expand(-1, -1, shares.shape[2]))[0].numpy()
    losses = losses.gather(0, best[None])[0]
    return Outcome(unit, tuple(predictions), epochs.numpy(), rates.numpy(), losses.numpy(), weights)
