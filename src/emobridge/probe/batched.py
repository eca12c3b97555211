"""Hundreds of probes trained together: all layers x folds x seeds x learning rates of a head are one batched model.

A probe is a head on one layer (or on all) with its own training rows. Probes of a layer differ in their rows and first
weights, not in features, so they share each step: the features of a window of utterances are read once and multiplied
by the weights of all probes side by side (training/stack.py), and each probe's loss counts its own training rows only.
A window is so large that a probe has `batch_size` training rows in it on average. Adam works element by element, so
every probe takes the steps that it would take alone on its rows of the same windows; a test compares the two.

Each probe stops early by itself: the weights of its best epoch are kept, and what it learns later is not used. Its
learning rate is its own too: a step at a lower rate is that share of the step at the first rate, since Adam's moments
do not depend on the rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from emobridge.errors import UserError
from emobridge.probe.checkpoint import resume, save
from emobridge.training.adam import Adam
from emobridge.training.stack import Moments, stacked

CHECKPOINT = 60.0  # s between two checkpoints
PLATEAU_SHARE, PLATEAU_STEP = 1e-4, 1e-8  # torch's: the least fall of a loss as a share of it, the least of a rate
BATCH = 1024  # utterances whose logits are computed at once


@dataclass(frozen=True, slots=True)
class ProbeTraining:
    """How probes are trained. The defaults are those of D'Asaro et al. 2024 (methods B); the batch is ours."""

    epochs: int = 30
    batch_size: int = 32  # training rows of a probe in a step, on average
    learning_rates: tuple[float, ...] = (5e-4,)
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    patience: int = 0  # epochs without a lower validation loss; 0 trains all epochs and keeps the last one
    validate_by: str = "loss"  # or "ua": what is compared, with 1 - UA in place of the loss
    plateau: int = 0  # more epochs than this without a lower validation loss lower the rate; 0 keeps it
    plateau_factor: float = 0.5
    least_rate: float = 0.0

    @property
    def looks_at_validation(self) -> bool:
        """Whether training needs a validation part."""
        return bool(self.patience or self.plateau)


@dataclass(frozen=True, slots=True)
class TrainingSets:
    """What each of P probes trains on and is validated on: rows of N utterances."""

    label: Tensor  # (N,) int64 in [0, C)
    weight: Tensor  # (P, N) float32: the weight of each training row's loss, 0 where a row is not trained on
    validation: Tensor  # (P, N) bool

    @property
    def validates(self) -> bool:
        """Whether every probe has a validation row."""
        return bool(self.validation.any(1).all())


class FeatureSource(Protocol):
    """Features of N utterances by the batch."""

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) rows -> x (L, 1, ..., D) and the mask that heads take: (B, F) bool, or (B, T) shares."""


class Stack:
    """L' x P heads in training; `rows` are the heads of each layer, P each.

    layers: which of the source's layers they see.
    moments: (L', P, D) mean and deviation by which each probe standardises its input; None where the source did.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[nn.Module]],
        source: FeatureSource,
        *,
        layers: slice = slice(None),
        rate: float = 5e-4,
        moments: Moments | None = None,
    ) -> None:
        self.module = stacked(rows, moments)
        self.source, self.layers, self.rate = source, layers, rate
        self.draws = any(isinstance(part, nn.Dropout) and part.p > 0 for part in self.module.modules())
        self.random = torch.Generator().manual_seed(0).get_state()  # dropout depends on no other stack
        self.best = {name: value.detach().clone() for name, value in self.module.named_parameters()}
        self.lowest = torch.full((len(rows), len(rows[0])), math.inf)  # validation loss, or 1 - UA
        self.best_epoch = torch.zeros(self.lowest.shape, dtype=torch.int64)
        self.rates = torch.full(self.lowest.shape, rate)  # of each probe, as --plateau lowers them
        self.plateau_loss = torch.full(self.lowest.shape, math.inf)
        self.waited = torch.zeros(self.lowest.shape, dtype=torch.int64)  # epochs on the plateau

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        """(L', P, B, C) of a batch of the source."""
        if not (self.draws and self.module.training):
            return self.module(x[self.layers], mask)
        torch.set_rng_state(self.random)
        logits = self.module(x[self.layers], mask)
        self.random = torch.get_rng_state()
        return logits

    def keep_best(self, loss: Tensor, epoch: int, patience: int) -> bool:
        """Keep the weights of the probes whose validation (L', P) is their lowest yet; whether any still trains.

        A probe that has waited `patience` epochs is done: a lower loss later does not count.
        """
        waiting = epoch - self.best_epoch <= patience
        better = (loss < self.lowest) & waiting
        self.lowest[better], self.best_epoch[better] = loss[better], epoch
        parameters = dict(self.module.named_parameters())
        for name, part in self.best.items():
            mask = _spread(better, parameters[name])
            part.copy_(torch.where(mask, parameters[name].detach(), part))
        return bool((epoch - self.best_epoch < patience).any())

    def lower_rates(self, loss: Tensor, plan: ProbeTraining) -> None:
        """Lower the rate of the probes whose validation loss (L', P) has not fallen for more than `plateau` epochs.

        As torch's ReduceLROnPlateau does: a fall is one by a share of PLATEAU_SHARE at least.
        """
        falls = loss < self.plateau_loss * (1 - PLATEAU_SHARE)
        self.plateau_loss = torch.where(falls, loss, self.plateau_loss)
        self.waited = torch.where(falls, 0, self.waited + 1)
        lower = (self.rates * plan.plateau_factor).clamp(min=plan.least_rate)
        due = self.waited > plan.plateau
        self.rates = torch.where(due & (self.rates - lower > PLATEAU_STEP), lower, self.rates)
        self.waited = torch.where(due, 0, self.waited)

    def shorten(self, before: Sequence[Tensor]) -> None:
        """Make of the step that led from the weights `before` to the present ones that of each probe's own rate."""
        with torch.no_grad():
            for value, old in zip(self.module.parameters(), before):
                value.copy_(torch.lerp(old, value, _spread(self.rates / self.rate, value).expand_as(value)))

    def take_best(self) -> None:
        """Go back to each probe's best epoch."""
        with torch.no_grad():
            for name, value in self.module.named_parameters():
                value.copy_(self.best[name])


def fit_probes(
    stacks: Sequence[Stack],
    sets: TrainingSets,
    plan: ProbeTraining,
    *,
    seed: int = 0,
    on_epoch: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Train the stacks in place, all on the same windows of utterances, so that one pass over these feeds every stack.

    checkpoint: a file to go on from, written after an epoch now and then, and removed when training ends.
    Errors: UserError for probes without training or validation rows, and where weights are not finite.
    """
    trained = sets.weight > 0
    if not bool(trained.any(1).all()):
        raise UserError("a fold has no training utterance left")
    used = trained.any(0).nonzero()[:, 0]
    steps = max(1, round(float(trained.sum(1).float().mean()) / plan.batch_size))
    optimiser = Adam(
        [{"params": list(stack.module.parameters()), "lr": stack.rate} for stack in stacks],
        betas=plan.betas,
        eps=plan.eps,
        weight_decay=plan.weight_decay,
        fused=True,
    )
    generator = torch.Generator().manual_seed(seed)
    done = resume(checkpoint, stacks, optimiser, generator) if checkpoint else 0
    saved = time.monotonic()
    with torch.random.fork_rng(devices=[]):
        for epoch in range(done + 1, plan.epochs + 1):
            for rows in used[torch.randperm(len(used), generator=generator)].tensor_split(steps):
                _step(stacks, rows, sets, optimiser)
            still_training = not plan.looks_at_validation or _validate(stacks, sets, plan, epoch)
            if on_epoch is not None:
                on_epoch(epoch, plan.epochs)
            if not still_training:
                break
            if checkpoint and time.monotonic() - saved > CHECKPOINT:
                save(checkpoint, epoch, stacks, optimiser, generator)
                saved = time.monotonic()
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    for stack in stacks:
        if plan.patience:
            stack.take_best()
        else:
            stack.best_epoch.fill_(plan.epochs)
        if not all(bool(value.isfinite().all()) for value in stack.module.parameters()):
            raise UserError(f"the weights of a probe are not finite: lower its learning rate, {stack.rate:g}")
        stack.module.eval()


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """-log softmax(logits)[label] of each probe and utterance: (L, P, B, C) and (B,) -> (L, P, B)."""
    layers, probes, size, classes = logits.shape
    classes_first = logits.permute(0, 2, 3, 1).reshape(-1, classes, probes)  # as shared maps lay them out
    truth = label.repeat(layers)[:, None].expand(-1, probes)
    loss = nn.functional.cross_entropy(classes_first, truth, reduction="none")
    return loss.view(layers, size, probes).transpose(1, 2)


def logits_of(stacks: Sequence[Stack], rows: Tensor, sources: Sequence[FeatureSource] | None = None) -> list[Tensor]:
    """Each stack's logits (L', P, N, C) of the rows (N,), dropout off; `sources`, one a stack, where not its own."""
    sources = sources or [stack.source for stack in stacks]
    parts: list[list[Tensor]] = [[] for _ in stacks]
    for stack in stacks:
        stack.module.eval()
    with torch.no_grad():
        for batch in rows.split(BATCH):
            batches = _batches(sources, batch)
            for stack, source, part in zip(stacks, sources, parts):
                part.append(stack.logits(*batches[id(source)]))
    return [torch.cat(part, 2) for part in parts]


def validation_losses(stacks: Sequence[Stack], sets: TrainingSets) -> list[Tensor]:
    """Each stack's mean cross-entropy (L', P) over the validation rows of its probes."""
    return [loss for loss, _ in validations(stacks, sets)]


def validations(stacks: Sequence[Stack], sets: TrainingSets) -> Iterator[tuple[Tensor, Tensor]]:
    """Each stack's mean cross-entropy and 1 - UA, (L', P) each, over the validation rows of its probes.

    UA is the mean recall over the classes that the validation rows of a probe have.
    """
    if not sets.validates:
        raise UserError("a fold has no validation utterance, which stopping early needs")
    rows = sets.validation.any(0).nonzero()[:, 0]
    label, inside = sets.label[rows], sets.validation[:, rows].to(sets.weight.dtype)
    counts = inside @ nn.functional.one_hot(label).to(inside.dtype)  # (P, C)
    by_class = inside / counts[:, label].clamp(min=1) / (counts > 0).sum(1, keepdim=True)
    share = inside / inside.sum(1, keepdim=True)
    for z in logits_of(stacks, rows):
        wrong = (z.argmax(-1) != label).to(by_class.dtype)
        yield (cross_entropy(z, label) * share).sum(-1), (wrong * by_class).sum(-1)


def _validate(stacks: Sequence[Stack], sets: TrainingSets, plan: ProbeTraining, epoch: int) -> bool:
    """Lower rates, keep what is best; whether any probe still trains."""
    training = []
    for stack, (loss, error) in zip(stacks, validations(stacks, sets)):
        if plan.plateau:
            stack.lower_rates(loss, plan)
        compared = loss if plan.validate_by == "loss" else error
        training.append(not plan.patience or stack.keep_best(compared, epoch, plan.patience))
    return any(training)


def _step(stacks: Sequence[Stack], rows: Tensor, sets: TrainingSets, optimiser: torch.optim.Optimizer) -> None:
    """One step of every probe on its own rows of a window; a probe's loss is the mean over them."""
    weight, label = sets.weight[:, rows], sets.label[rows]
    share = weight / (weight > 0).sum(1, keepdim=True).clamp(min=1)
    batches = _batches([stack.source for stack in stacks], rows)
    optimiser.zero_grad()
    for stack in stacks:
        stack.module.train()
        (cross_entropy(stack.logits(*batches[id(stack.source)]), label) * share).sum().backward()
    slowed = [stack for stack in stacks if bool((stack.rates < stack.rate).any())]
    before = [[value.detach().clone() for value in stack.module.parameters()] for stack in slowed]
    optimiser.step()
    for stack, weights in zip(slowed, before):
        stack.shorten(weights)


def _batches(sources: Sequence[FeatureSource], rows: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """The batch of each source by its id; a source that stands twice is read once."""
    return {key: source.batch(rows) for key, source in {id(source): source for source in sources}.items()}


def _spread(probes: Tensor, value: Tensor) -> Tensor:
    """Values (L', P) of probes in a shape that goes with a stacked parameter.

    Those are (L', O, P, D), (L', O, P), or (P, L) of a sum of layers.
    """
    if value.ndim == 2:
        return probes[0][:, None]
    return probes[:, None, :, None] if value.ndim == 4 else probes[:, None]
