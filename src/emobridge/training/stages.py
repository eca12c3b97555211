"""One fit: the stages of a method, one after the other, on the same encoder and head."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.adapters.base import parse_indices, trunk_of
from emobridge.cache import Cache
from emobridge.data.allocation import keep_freed_memory
from emobridge.data.speech import Fold, Speech, budget
from emobridge.data.splits import Part
from emobridge.data.threads import count_weights, encoder_threads
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.features.normalisation import Domain
from emobridge.heads.base import Head, Regressor
from emobridge.methods.base import Inputs, Labelled, Method, Stage
from emobridge.options import read_options
from emobridge.training.case import BOTH, Case
from emobridge.training.checkpoints import LogPoint, load_stage, save_stage
from emobridge.training.cost import Meter, StageCost
from emobridge.training.hardware import ALONE, Accelerated, Hardware
from emobridge.training.inputs import Frozen
from emobridge.training.keys import stage_key
from emobridge.training.loop import Model, Plan, Workspace, fit_alone, fit_together
from emobridge.training.state import Problem
from emobridge.training.tasks import Built, Computed, build
from emobridge.types import short_repr

LanguagePart = tuple[Head, Regressor | None, tuple[Domain, ...]]  # what belongs to one language when a stage ends


@short_repr
@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit ended with."""

    built: Built
    head: Head
    regressor: Regressor | None  # of attributes, where they are learnt
    encoder: Encoder | None  # that was trained, or whose frames the head saw
    stages: tuple[Stage, ...]
    before: tuple[LanguagePart, ...]  # after each stage but the last
    log: tuple[LogPoint, ...]
    costs: tuple[StageCost, ...]  # of each stage in which an encoder takes part

    @property
    def trained(self) -> str:
        """What of the encoder was trained: "frozen", "end-to-end", "adapters" or "end-to-end+adapters"."""
        kinds = dict.fromkeys(stage.train for stage in self.stages if stage.train not in ("frozen", "head"))
        return "+".join(kinds) or "frozen"

    def without_inputs(self) -> Fitted:
        """The same without the stored features that it was trained on and scores, which may be all of a corpus."""
        nothing = Frozen(torch.empty(0, self.built.task.inputs.width))
        task = replace(self.built.task, inputs=nothing)
        built = replace(self.built, task=task, test=nothing, validation=None, inputs_of=None)
        return replace(self, built=built)


@dataclass(frozen=True, slots=True)
class FitContext:
    """Where a fit works, and what it may share with others."""

    hardware: Hardware = ALONE
    path: Path | None = None  # notes how far the fit came; without it nothing is noted
    shared: Cache | None = None  # what stages ended with, for other methods and pairs that begin with the same stage
    computed: Computed | None = None  # by fits on the same rows, see `tasks.build`


def hardware_of(case: Case, device: str = "auto") -> Hardware:
    """Where the case's encoder is trained; a case that trains none stays on the CPU. device: see `choose_device`."""
    return Accelerated(case.training.precision, device) if case.uses_recordings else ALONE


def make_trainable(encoder: Encoder, train: str, case: Case) -> None:
    """Make the parts of the encoder trainable that a stage trains, and no others.

    Errors: UserError for adapters or blocks that the encoder does not have.
    """
    if train == "adapters":
        if encoder.active_adapters is None:
            Adapters(encoder, case.adapters, case.adapter_options)
    elif train == "end-to-end" and case.blocks:
        trunk = trunk_of("blocks", encoder)
        indices = parse_indices("block to train", case.blocks, len(trunk.blocks))
        encoder.requires_grad_(False)
        for index in indices:
            trunk.module.get_submodule(trunk.blocks[index]).requires_grad_(True)
    elif train in ("frozen", "head"):
        encoder.requires_grad_(False)
    encoder.set_checkpointing(case.training.checkpointing and train in ("adapters", "end-to-end"))


def run_stages(
    case: Case,
    speech: Speech,
    fold: Fold,
    seed: int,
    context: FitContext | None = None,
    *,
    method: Method | None = None,
) -> Fitted:
    """Train a case on a fold. `method` is the case's own where none is given.

    What a stage ended with is kept in `place.shared`, where there is one, and else until the fit is done.
    Errors: UserError for adapters or blocks that do not fit, and as `loop.fit` has them.
    """
    context = context or FitContext()
    method = method or case.make_method()
    labelled_target = budget(speech, fold, case.target_labels, seed)
    built, head, regressor, encoder = _start(case, speech, fold, method, labelled_target, seed, context)
    model = Model(built.task.inputs, head, regressor)
    before: list[LanguagePart] = []
    log: tuple[LogPoint, ...] = ()
    costs: list[StageCost] = []
    key, temporary = "", []
    for index, stage in enumerate(case.stages):
        if index and encoder is not None:
            built.task.inputs.refresh()
            before.append((copy.deepcopy(head).eval(), copy.deepcopy(regressor), built.learner.domains))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                make_trainable(encoder, stage.train, case)
                encoder.to(context.hardware.device)
            model = Model(built.task.inputs, head, regressor)  # with what the stage trains
        if context.shared is not None and encoder is not None:  # a head on features trains as fast as it is read
            key = stage_key(case, speech, fold, labelled_target, stage, seed, key)
            note = context.shared.path(key)
        else:
            note = _beside(context.path, f"stage{index}.safetensors") if index + 1 < len(case.stages) else None
            temporary.append(note)
        stored = load_stage(model, note)
        if context.hardware.broadcast(stored is None):
            stored = _train(case, built, method, model, encoder, seed, index, context)
            if note is not None and not context.hardware.rank:
                if context.shared is not None and encoder is not None:
                    context.shared.mark()
                save_stage(model, *stored, note)
            context.hardware.wait()
        stage_log, cost = stored or ((), None)
        log += _numbered(stage_log, case, index)
        costs += [cost] if cost is not None else []
    built.task.inputs.refresh()
    for note in temporary:
        if note is not None and not context.hardware.rank:
            note.unlink(missing_ok=True)
    return Fitted(built, head, regressor, encoder, case.stages, tuple(before), log, tuple(costs))


def can_train_together(case: Case) -> bool:
    """Whether fits of a case, of any fold and seed, train side by side."""
    if case.uses_recordings or case.attributes:
        return False
    method, head = registry.load("methods", case.method.name), registry.load("heads", case.head.name)
    return bool(method.stacks and head.stacks)


@dataclass(frozen=True, slots=True)
class ReadyFit:
    """A fit on stored features that is ready to be trained."""

    case: Case
    problem: Problem
    built: Built

    @property
    def features(self) -> Tensor:
        """All rows that it trains on or answers, (N, D)."""
        inputs = self.problem.task.inputs
        assert isinstance(inputs, Frozen)  # `can_train_together`
        return inputs.x

    def fitted(self, log: Sequence[LogPoint]) -> Fitted:
        """What it ends with."""
        return Fitted(self.built, self.problem.head, None, None, self.case.stages, (), tuple(log), ())


def start_fit(case: Case, speech: Speech, fold: Fold, seed: int, context: FitContext) -> ReadyFit:
    """Make a fit of a case that trains beside others ready."""
    method = case.make_method()
    labelled_target = budget(speech, fold, case.target_labels, seed)
    built, head, _, _ = _start(case, speech, fold, method, labelled_target, seed, context)
    validation = _validation_of(built.validation, case.stages[0])
    task = case.stages[0].of(built.task)
    return ReadyFit(
        case, Problem(task, method, head, seed, None, validation, _beside(context.path, "checkpoint")), built
    )


def train_together(
    fits: Sequence[ReadyFit], on_end: Callable[[int, Fitted], None], on_work: Callable[[float], None]
) -> None:
    """Train fits of one case side by side.

    on_end: is called with the index of each as soon as it ends. on_work: after each epoch, with the share of the work
    that is done since, in fits.
    """
    done = 0.0

    def count(epoch: int, epochs: int) -> None:
        nonlocal done
        before, done = done, len(fits) * epoch / epochs
        on_work(done - before)

    def ending(index: int, fit: ReadyFit) -> Problem:
        return replace(fit.problem, on_end=lambda log: on_end(index, fit.fitted(log)))

    case = fits[0].case
    problems = [ending(index, fit) for index, fit in enumerate(fits)]
    with encoder_threads(0):
        fit_together(problems, _plan(case, case.stages[0]), Workspace(on_epoch=count))
    on_work(len(fits) - done)


def _start(
    case: Case, speech: Speech, fold: Fold, method: Method, labelled_target: Part, seed: int, context: FitContext
) -> tuple[Built, Head, Regressor | None, Encoder | None]:
    """What a fit begins with: the task, a fresh head, and the encoder that takes part, ready for the first stage."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = None
        if case.uses_recordings:
            encoder = load_encoder(case.encoder, **read_options(case.encoder_options)).to(context.hardware.device)
            make_trainable(encoder, case.stages[0].train, case)
        built = build(
            speech,
            fold,
            case,
            method,
            labelled_target,
            encoder=encoder,
            computed=context.computed,
            hardware=context.hardware,
        )
        head = case.head.make("heads", width=built.task.inputs.width, classes=case.classes)
        regressor = Regressor(head.output.in_features, case.attributes) if case.attributes else None
    return built, head, regressor, encoder


def _train(
    case: Case,
    built: Built,
    method: Method,
    model: Model,
    encoder: Encoder | None,
    seed: int,
    index: int,
    context: FitContext,
) -> tuple[tuple[LogPoint, ...], StageCost | None]:
    """Train one stage: its log, and where an encoder takes part its cost."""
    stages = case.stages
    meter = None if encoder is None else Meter(model, encoder, context.hardware, index + 1)
    suffix = f"stage{index}.checkpoint" if len(stages) > 1 else "checkpoint"
    weights = 0 if encoder is None else count_weights(encoder)
    if encoder is not None and context.hardware.device.type == "cpu":
        keep_freed_memory(weights)
    with encoder_threads(weights):
        problem = Problem(
            stages[index].of(built.task),
            method,
            model.head,
            seed,
            model.regressor,
            _validation_of(built.validation, stages[index]),
            _beside(context.path, suffix),
        )
        log = fit_alone(problem, _plan(case, stages[index]), Workspace(hardware=context.hardware))
    return log, meter.cost() if meter else None


def _plan(case: Case, stage: Stage) -> Plan:
    training = case.training
    return Plan(
        training.epochs,
        training.batch_size,
        training.learning_rate,
        training.decay,
        training.patience,
        training.validate_by,
        weight_decay=training.weight_decay,
        encoder_rate=training.encoder_rate if stage.train == "end-to-end" else 0.0,
        accumulate=training.accumulate,
        trace=training.trace,
    )


def _validation_of(validation: tuple[Inputs, Labelled] | None, stage: Stage) -> tuple[Inputs, Labelled] | None:
    """The validation utterances of the sides that the stage learns from; None where there are none."""
    if validation is None:
        return None
    inputs, labelled = validation
    assert labelled.corpus is not None  # `build` says which side each is of
    chosen = torch.isin(labelled.corpus, torch.tensor([BOTH.index(side) for side in stage.sides]))
    if not chosen.any():
        return None
    attributes = None if labelled.attributes is None else labelled.attributes[chosen]
    return inputs, Labelled(labelled.rows[chosen], labelled.label[chosen], labelled.corpus[chosen], attributes)


def _numbered(log: Sequence[LogPoint], case: Case, index: int) -> tuple[LogPoint, ...]:
    """The log of a stage with epochs that count on from those of the stages before, and terms that name the stage."""
    if len(case.stages) == 1:
        return tuple(log)
    first = index * case.training.epochs
    return tuple(replace(point, epoch=first + point.epoch, term=f"{point.term}, stage {index + 1}") for point in log)


def _beside(path: Path | None, suffix: str) -> Path | None:
    return None if path is None else path.with_name(f"{path.name}.{suffix}")
