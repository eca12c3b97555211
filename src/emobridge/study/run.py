"""One runner of cases x seeds x folds, for every study that adapts: adapt, auto, budget, guard and choice of a layer.

A finished fit is kept in a cache under a key of all that it depends on, so that an interrupted study goes on, and two
studies that ask the same share it. Fits of a case that stack train together, those of all folds and seeds as one model;
see training/steps.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch

from emobridge.cache import Cache
from emobridge.data.speech import Fold, Speech, budget, folds_of
from emobridge.features.parallel import Work, Workers, run_parallel
from emobridge.heads.base import LinearMap
from emobridge.settings import Split
from emobridge.study.guard import guard_map
from emobridge.study.origin import SourceBundle
from emobridge.training.case import Case
from emobridge.training.checkpoints import LogPoint, cost_from
from emobridge.training.cost import StageCost
from emobridge.training.keys import fit_key, row_digests
from emobridge.training.loop import Model, outputs
from emobridge.training.stages import (
    FitContext,
    Fitted,
    ReadyFit,
    can_train_together,
    hardware_of,
    run_stages,
    start_fit,
    train_together,
)
from emobridge.training.tasks import Computed
from emobridge.training.trace import represented
from emobridge.types import short_repr

Progress = Callable[[int, int], None]  # fits done, fits in all
OnWork = Callable[[float], None]  # the amount of work that was done, in fits
LARGEST_STACK = 64  # fits that train together
STACK_MEMORY = 2**28  # bytes of features of fits that wait: each fold has its own normalisation


@dataclass(frozen=True, slots=True)
class Fit:
    """What one fit says of its test utterances, source then target, then of the items, and how its training went."""

    probabilities: np.ndarray  # (N, C)
    attributes: np.ndarray | None  # (N, K) in about [-1, 1], where they are learnt
    log: tuple[LogPoint, ...]
    costs: tuple[StageCost, ...]
    represented: np.ndarray | None = None  # (N, H) that the output layer sees, where the training was traced


@short_repr
@dataclass(frozen=True, slots=True)
class Predicted:
    """What one system says of the utterances of one side, over all folds of one seed."""

    method: str
    seed: int
    side: str  # "source" or "target"
    rows: np.ndarray  # (N,) of the Speech
    probabilities: np.ndarray  # (N, C)
    folds: np.ndarray  # (N,) int64: the fold that each was tested in
    attributes: np.ndarray | None = None  # (N, K) in about [-1, 1], where they were learnt
    represented: np.ndarray | None = None  # (N, H) that the output layer sees, where the training was traced


@short_repr
@dataclass(frozen=True, slots=True)
class FitLog:
    """How the training of one fit went."""

    method: str
    seed: int
    fold: int
    points: tuple[LogPoint, ...]
    costs: tuple[StageCost, ...]


@short_repr
@dataclass(frozen=True, slots=True)
class Answers:
    """All that came of one case: its predictions on each side and seed, and its logs."""

    case: Case
    predicted: tuple[Predicted, ...]
    logs: tuple[FitLog, ...]
    items: tuple[Predicted, ...] = ()  # of each seed: what is kept apart, once by the model of each fold

    @property
    def method(self) -> str:
        """The name of the case's method."""
        return method_name(self.case)


@dataclass(frozen=True, slots=True)
class Unit:
    """A case and a seed: what one process is given at a time."""

    case: Case
    seed: int


@dataclass(frozen=True, slots=True)
class WaitingFit:
    """A fit that waits for others to train with."""

    ready: ReadyFit
    fold: Fold
    key: str
    keep: Callable[[Fit], None]


def method_name(case: Case) -> str:
    """The name by which scores call the case's method."""
    name = case.method.name
    return name if isinstance(name, str) else str(getattr(name, "name", name))


class Runner:
    """Fits on one speech. Folds, features of a layer and what CORAL computes are kept from one fit to the next.

    shared: a cache of what training stages ended with, which may serve several studies. origin: a bundle whose
    moments take the place of source speech; `Case.source` names it.
    """

    def __init__(
        self,
        speech: Speech,
        split: Split,
        cache: Cache,
        shared: Cache | None = None,
        origin: SourceBundle | None = None,
        *,
        device: str = "auto",
    ) -> None:
        """device: where encoders are trained."""
        self.device = device
        self.speech, self.split, self.cache, self.shared = speech, split, cache, shared
        self.origin = origin
        self._views: dict[tuple[str, int, bool], tuple[Speech, list[bytes]]] = {}
        self._folds: dict[tuple[int, str], tuple[Fold, ...]] = {}
        self._guard_maps: dict[tuple[object, ...], LinearMap] = {}
        self._computed = Computed()

    def guard_map(self, case: Case) -> LinearMap:
        """What the guard of speaker normalisation goes by, see `study.guard`: of a case's layer, on all its source."""
        key = case.layer, case.prosody, case.labels
        if key not in self._guard_maps:
            self._guard_maps[key] = guard_map(self.speech, case)
        return self._guard_maps[key]

    def folds(self, seed: int, validation: str) -> tuple[Fold, ...]:
        """The folds of one seed, see `data.speech.folds_of`."""
        if (seed, validation) not in self._folds:
            self._folds[seed, validation] = folds_of(self.speech, self.split, seed, validation)
        return self._folds[seed, validation]

    def unit(self, unit: Unit, on_work: OnWork = lambda amount: None) -> Answers:
        """One case on all folds of one seed. `on_work` is called now and then with what was done since."""
        return self.units([unit], on_work)[0]

    def units(self, units: Sequence[Unit], on_work: OnWork = lambda amount: None) -> list[Answers]:
        """Several, seed by seed and fold by fold, so that the systems of a fold share what is computed of its rows.

        Fits that train together wait until they are enough.
        """
        folds = [self.folds(unit.seed, unit.case.validation) for unit in units]
        fits: list[dict[int, Fit]] = [{} for _ in units]
        stacks: dict[Case, list[WaitingFit]] = {}
        places = _by_fold(units, folds)
        # Before any training, while memory holds the speech alone.
        keys = [self.key(units[number].case, units[number].seed, folds[number][index]) for number, index in places]
        for (number, index), key in zip(places, keys):
            case, seed, fold = units[number].case, units[number].seed, folds[number][index]
            fit = self._read(key) if (together := can_train_together(case)) else self.fit(case, seed, fold, key)
            if fit is not None:
                fits[number][index] = fit
                on_work(1)
            elif together:
                context = FitContext(path=self.cache.path(key, ""), computed=self._computed)
                keep = partial(fits[number].__setitem__, index)
                ready = start_fit(case, self._at(case)[0], fold, seed, context)
                stacks.setdefault(case, []).append(WaitingFit(ready, fold, key, keep))
                if len(stacks[case]) == LARGEST_STACK or _size(stacks) > STACK_MEMORY:
                    largest = max(stacks, key=lambda other: len(stacks[other]))
                    self._train_stack(stacks.pop(largest), on_work)
        for stack in stacks.values():
            self._train_stack(stack, on_work)
        return [
            _answers(unit, parts, [fitted[index] for index in range(len(parts))])
            for unit, parts, fitted in zip(units, folds, fits)
        ]

    def _train_stack(self, stack: Sequence[WaitingFit], on_work: OnWork) -> None:
        """Train fits of one case together, and write each as soon as it ends."""
        self.cache.mark()

        def write(index: int, fitted: Fitted) -> None:
            fit = _fit_of(fitted, stack[index].fold, stack[index].ready.case.training.trace)
            self._write(stack[index].key, fit)
            stack[index].keep(fit)

        train_together([waiting.ready for waiting in stack], write, on_work)

    def fit(self, case: Case, seed: int, fold: Fold, key: str = "") -> Fit:
        """One fit, from the cache where it is there. key: what `key` gives of it, if that is known."""
        key = key or self.key(case, seed, fold)
        hardware = hardware_of(case, self.device)
        fit = self._read(key)
        if hardware.broadcast(fit is None):
            fitted = self.train(case, seed, fold, key)
            fit = _fit_of(fitted, fold, case.training.trace)
            if not hardware.rank:
                self._write(key, fit)
            hardware.wait()
        elif fit is None:  # the first process has read it
            fit = self._read(key)
        assert fit is not None
        return fit

    def key(self, case: Case, seed: int, fold: Fold) -> str:
        """The name of all that a fit depends on."""
        speech, digests = self._at(case)
        return fit_key(case, speech, digests, fold, budget(speech, fold, case.target_labels, seed), seed)

    def train(self, case: Case, seed: int, fold: Fold, key: str) -> Fitted:
        """One fit with its weights, always trained. Its checkpoints lie in the cache; their names begin with `key`."""
        self.cache.mark()
        speech, _ = self._at(case)
        shared = self.shared if case.is_staged else None  # elsewhere a method has more to it than its stage
        context = FitContext(hardware_of(case, self.device), self.cache.path(key, ""), shared, self._computed)
        return run_stages(case, speech, fold, seed, context)

    def forget(self) -> None:
        """Drop what fits on the same rows share: the next one computes it again."""
        self._computed = Computed()

    def _at(self, case: Case) -> tuple[Speech, list[bytes]]:
        key = case.layer, case.views, bool(case.phone_classes)
        if key not in self._views:
            speech = self.speech if case.phone_classes else replace(self.speech, phones=None)
            speech = speech.at(case.layer, case.views)
            self._views[key] = speech, row_digests(speech)
        return self._views[key]

    def _read(self, key: str) -> Fit | None:
        stored = self.cache.read(key)
        if stored is None:
            return None
        tensors, facts = stored
        log = tuple(LogPoint(*point) for point in json.loads(facts["log"]))
        costs = tuple(cost for values in json.loads(facts["costs"]) if (cost := cost_from(values)) is not None)
        return Fit(tensors["probabilities"], tensors.get("attributes"), log, costs, tensors.get("represented"))

    def _write(self, key: str, fit: Fit) -> None:
        tensors = {"probabilities": fit.probabilities}
        if fit.attributes is not None:
            tensors["attributes"] = fit.attributes
        if fit.represented is not None:
            tensors["represented"] = fit.represented
        log = json.dumps([(point.epoch, point.term, point.value) for point in fit.log])
        self.cache.write(key, tensors, {"log": log, "costs": json.dumps([asdict(cost) for cost in fit.costs])})


def run(
    runner: Runner,
    cases: Sequence[Case],
    *,
    jobs: int = 1,
    workers: Workers | None = None,
    progress: Progress = lambda done, count: None,
) -> tuple[Answers, ...]:
    """Every case on every seed and fold, in the order of the cases.

    jobs: processes that train, each with one thread; the answers are the same but for rounding. workers: train in their
    place.
    Errors: UserError of a fit, and where a process was killed.
    """
    speech, split = runner.speech, runner.split
    units = [Unit(case, seed) for seed in range(split.seeds) for case in cases]
    if workers is not None or (jobs > 1 and len(units) > 1):
        values = None if speech.features is None else speech.features.numpy()  # a tensor would go by shared memory
        share = (runner.cache, runner.shared, runner.origin, runner.device)
        work = Work(_work, _start, (replace(speech, features=None), values, split, *share))
        parts = run_parallel(work, units, jobs=jobs, workers=workers, on_progress=progress)
    else:
        parts = _in_turn(runner, units, progress)
    return tuple(_joined(case, [part for unit, part in zip(units, parts) if unit.case == case]) for case in cases)


def _in_turn(runner: Runner, units: Sequence[Unit], progress: Progress) -> list[Answers]:
    done = 0.0
    count = sum(len(runner.folds(unit.seed, unit.case.validation)) for unit in units)

    def add(amount: float) -> None:
        nonlocal done
        before, done = done, done + amount
        if round(done, 6) // 1 > round(before, 6) // 1:
            progress(int(round(done, 6)), count)

    answers = runner.units(units, add)
    runner.forget()  # the features of the last fold
    return answers


def _size(stacks: Mapping[Case, Sequence[WaitingFit]]) -> int:
    """The features of all fits that wait, in bytes."""
    return sum(waiting.ready.features.nbytes for stack in stacks.values() for waiting in stack)


def _by_fold(units: Sequence[Unit], folds: Sequence[Sequence[Fold]]) -> list[tuple[int, int]]:
    """The indices of units and of their folds, in the order in which they are begun."""
    pairs = [(number, index) for number, parts in enumerate(folds) for index in range(len(parts))]
    return sorted(pairs, key=lambda pair: (units[pair[0]].seed, pair[1], pair[0]))


def _answers(unit: Unit, folds: Sequence[Fold], fits: Sequence[Fit]) -> Answers:
    method = method_name(unit.case)
    logs = tuple(FitLog(method, unit.seed, index, fit.log, fit.costs) for index, fit in enumerate(fits))
    return Answers(unit.case, _sides(method, unit.seed, folds, fits), logs, _items(method, unit.seed, folds, fits))


def _joined(case: Case, parts: Sequence[Answers]) -> Answers:
    predicted = tuple(predicted for part in parts for predicted in part.predicted)
    items = tuple(answers for part in parts for answers in part.items)
    return Answers(case, predicted, tuple(log for part in parts for log in part.logs), items)


def _fit_of(fitted: Fitted, fold: Fold, trace: bool) -> Fit:
    """What a fit says of its test utterances; with `trace` also what its output layer sees of them."""
    test = fitted.built.test
    test.refresh()
    scored = len(fold.source_test) + len(fold.target_test)
    rows = torch.arange(scored + len(fold.items))
    model = Model(test, fitted.head, fitted.regressor)
    p, attributes = outputs(model, test, rows)
    regressed = None if attributes is None else attributes.numpy()
    vectors = represented(model, test, rows[:scored]).numpy() if trace and scored else None
    return Fit(p.numpy(), regressed, fitted.log, fitted.costs, vectors)


def _sides(method: str, seed: int, folds: Sequence[Fold], fits: Sequence[Fit]) -> tuple[Predicted, ...]:
    """What the folds say, put together for each side in the order of the rows."""
    sides = []
    cuts = [len(fold.source_test) for fold in folds]
    sizes = [len(fold.target_test) for fold in folds]
    for side in ("source", "target"):
        tests = [getattr(fold, f"{side}_test") for fold in folds]
        rows = np.concatenate(tests).astype(np.int64)
        if not len(rows):
            continue
        numbers = np.repeat(np.arange(len(folds)), [len(test) for test in tests])
        parts = [slice(0, cut) if side == "source" else slice(cut, cut + size) for cut, size in zip(cuts, sizes)]
        order = np.argsort(rows)
        p = np.concatenate([fit.probabilities[part] for fit, part in zip(fits, parts)])[order]
        regressed = [fit.attributes[part] for fit, part in zip(fits, parts) if fit.attributes is not None]
        attributes = np.concatenate(regressed)[order] if regressed else None
        vectors = [fit.represented[part] for fit, part in zip(fits, parts) if fit.represented is not None]
        seen = np.concatenate(vectors)[order] if vectors else None
        sides.append(Predicted(method, seed, side, rows[order], p, numbers[order], attributes, seen))
    return tuple(sides)


def _items(method: str, seed: int, folds: Sequence[Fold], fits: Sequence[Fit]) -> tuple[Predicted, ...]:
    """What each fold says of the utterances that are kept apart, fold after fold."""
    if not folds or not folds[0].items:
        return ()
    items = np.array(folds[0].items)
    answers = np.concatenate([fit.probabilities[-len(items) :] for fit in fits])
    numbers = np.repeat(np.arange(len(folds)), len(items))
    return (Predicted(method, seed, "items", np.tile(items, len(folds)), answers, numbers),)


_runner: Runner  # of a process that works for another


def _start(
    speech: Speech,
    values: np.ndarray | None,
    split: Split,
    cache: Cache,
    shared: Cache | None,
    origin: SourceBundle | None,
    device: str,
) -> None:
    global _runner
    features = None if values is None else torch.as_tensor(values)
    _runner = Runner(replace(speech, features=features), split, cache, shared, origin, device=device)


def _work(unit: Unit) -> Answers:
    return _runner.unit(unit)
