"""One fit: the stages of a method, one after the other, on the same encoder and head."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from emobridge import __version__, registry
from emobridge.adapters import Adapters
from emobridge.adapters.base import parse_indices, trunk_of
from emobridge.bundle import made_head
from emobridge.data.speech import Fold, Speech, budget
from emobridge.data.splits import Part
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.features.normalisation import Domain
from emobridge.heads.base import Head, Regressor
from emobridge.methods.base import Inputs, Labelled, Method, Stage
from emobridge.options import read_options
from emobridge.settings import Settings
from emobridge.training.checkpoints import LogPoint, load_learnt, save_learnt
from emobridge.training.cost import Meter
from emobridge.training.hardware import ALONE, Accelerated, Hardware
from emobridge.training.loop import Model, Plan, fit
from emobridge.training.tasks import Built, Matrices, build

BOTH = ("source", "target")
# What a stage's result does not depend on, but for the utterances that it learns from.
ELSEWHERE = frozenset({"source", "target", "out", "store", "seeds", "folds", "method", "train"})
ELSEWHERE |= {"candidates", "validator", "target_labels", "labelled"}


Left = tuple[Head, Regressor | None, tuple[Domain, ...]]  # what is of one language when a stage ends


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit ended with."""

    built: Built
    head: Head
    regressor: Regressor | None  # of attributes, where they are learnt
    encoder: Encoder | None  # that was trained, or whose frames the head saw
    stages: tuple[Stage, ...]
    before: tuple[Left, ...]  # by each stage but the last
    log: tuple[LogPoint, ...]

    @property
    def trained(self) -> str:
        """Of the encoder, as a bundle's `Spec` has it: "frozen", "end-to-end", "adapters", "end-to-end+adapters"."""
        kinds = dict.fromkeys(stage.train for stage in self.stages if stage.train not in ("frozen", "head"))
        return "+".join(kinds) or "frozen"


def stages_of(method: Method, settings: Settings) -> tuple[Stage, ...]:
    """The method's own, or the one of the settings."""
    return method.stages or (Stage(BOTH, settings.train),)


def staged(settings: Settings) -> bool:
    """Whether the method has stages of its own."""
    return settings.method != "auto" and bool(registry.load("methods", settings.method).stages)


def sees_frames(settings: Settings) -> bool:
    """Whether the head sees single frames: where it asks for them, and an encoder is at hand to yield them."""
    at_hand = settings.train != "frozen" or staged(settings)
    return at_hand and bool(registry.load("heads", settings.head).needs_frames)


def hardware_of(settings: Settings) -> Hardware:
    """Where the run's encoders are trained; a run that trains none stays on the CPU."""
    return Accelerated(settings.precision) if staged(settings) or settings.train != "frozen" else ALONE


def readied(encoder: Encoder, train: str, settings: Settings) -> None:
    """Let of the encoder be trained what a stage says. Errors: UserError for adapters or blocks that it has not."""
    if train == "adapters":
        if encoder.active_adapters is None:
            Adapters(encoder, settings.adapters, settings.adapter_options)
    elif train == "end-to-end" and settings.blocks:
        trunk = trunk_of("blocks", encoder)
        places = parse_indices("block to train", settings.blocks, len(trunk.blocks))
        encoder.requires_grad_(False)
        for place in places:
            trunk.module.get_submodule(trunk.blocks[place]).requires_grad_(True)
    elif train in ("frozen", "head"):
        encoder.requires_grad_(False)
    encoder.set_checkpointing(settings.checkpointing and train in ("adapters", "end-to-end"))


def run_stages(
    settings: Settings,
    speech: Speech,
    fold: Fold,
    method: Method,
    seed: int,
    *,
    matrices: Matrices | None = None,
    hardware: Hardware = ALONE,
    path: Path | None = None,
    kept: Path | None = None,
) -> Fitted:
    """Train `method` on a fold.

    path: where to note how far it came. kept: a folder of what stages ended with, which other methods and pairs of
    corpora that begin with the same stage read instead of training it again; without it that goes when the fit is done.
    Errors: UserError for adapters or blocks that do not fit, and as `training.fit` has them.
    """
    stages = stages_of(method, settings)
    few = budget(speech, fold, settings.target_labels, seed)
    built, head, regressor, encoder = _begun(settings, speech, fold, method, few, seed, matrices, hardware)
    model = Model(built.task.inputs, head, regressor)
    before: list[Left] = []
    log: tuple[LogPoint, ...] = ()
    key, notes = "", []
    for place, stage in enumerate(stages):
        if place and encoder is not None:
            built.task.inputs.refresh()
            before.append((copy.deepcopy(head).eval(), copy.deepcopy(regressor), built.learner.domains))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                readied(encoder, stage.train, settings)
                encoder.to(hardware.device)
            model = Model(built.task.inputs, head, regressor)  # with what the stage trains
        if kept and encoder is not None:  # a head on stored features is trained as quickly as it is read
            key = _key(settings, speech, fold, few, stage, seed, key, encoder)
            note: Path | None = kept / f"{key}.safetensors"
        else:
            note = _beside(path, f"stage{place}.safetensors") if place + 1 < len(stages) else None
            notes.append(note)
        known = load_learnt(model, note)
        if hardware.told(known is None):
            at = _beside(path, f"stage{place}.checkpoint" if len(stages) > 1 else "checkpoint")
            known = _trained(settings, built, method, stage, model, encoder, seed, hardware, at)
            if note is not None and not hardware.rank:
                save_learnt(model, known, note)
            hardware.wait()
        log += _named(known or (), stage, settings, place, len(stages))
    built.task.inputs.refresh()
    for one in notes:
        if one is not None and not hardware.rank:
            one.unlink(missing_ok=True)
    return Fitted(built, head, regressor, encoder, stages, tuple(before), log)


def _begun(
    settings: Settings,
    speech: Speech,
    fold: Fold,
    method: Method,
    few: Part,
    seed: int,
    matrices: Matrices | None,
    hardware: Hardware,
) -> tuple[Built, Head, Regressor | None, Encoder | None]:
    """What a fit begins with: the task, a fresh head, and the encoder that takes part, ready for the first stage."""
    stages = stages_of(method, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = None
        if any(stage.train != "frozen" for stage in stages):
            encoder = load_encoder(settings.encoder, **read_options(settings.encoder_options)).to(hardware.device)
            readied(encoder, stages[0].train, settings)
        frames = encoder is not None and sees_frames(settings)
        asked = (speech, fold, method, settings.classes, settings, encoder, few, matrices)
        built = build(*asked, frames=frames, hardware=hardware)
        head = made_head(settings.head, settings.head_options, built.task.inputs.width, settings.classes)
        regressor = Regressor(head.output.in_features, settings.attributes) if settings.attributes else None
    return built, head, regressor, encoder


def _trained(
    settings: Settings,
    built: Built,
    method: Method,
    stage: Stage,
    model: Model,
    encoder: Encoder | None,
    seed: int,
    hardware: Hardware,
    checkpoint: Path | None,
) -> tuple[LogPoint, ...]:
    """One stage; its log, and where an encoder takes part what it cost."""
    meter = None if encoder is None else Meter(model, encoder, hardware)
    log = fit(
        stage.of(built.task),
        method,
        model.head,
        _plan(settings, stage),
        seed=seed,
        regressor=model.regressor,
        validation=_of(built.validation, stage),
        checkpoint=checkpoint,
        hardware=hardware,
    )
    return log + (meter.points() if meter else ())


def _plan(settings: Settings, stage: Stage) -> Plan:
    return Plan(
        settings.epochs,
        settings.batch_size,
        settings.learning_rate,
        settings.decay,
        settings.patience,
        settings.validate_by,
        encoder_rate=settings.encoder_rate if stage.train == "end-to-end" else 0.0,
        accumulate=settings.accumulate,
    )


def _of(validation: tuple[Inputs, Labelled] | None, stage: Stage) -> tuple[Inputs, Labelled] | None:
    """Of what validates, the sides that the stage learns from; None where they have none."""
    if validation is None:
        return None
    inputs, labelled = validation
    assert labelled.corpus is not None  # `build` says which side each is of
    mine = torch.isin(labelled.corpus, torch.tensor([BOTH.index(side) for side in stage.sides]))
    if not mine.any():
        return None
    attributes = None if labelled.attributes is None else labelled.attributes[mine]
    return inputs, Labelled(labelled.rows[mine], labelled.label[mine], labelled.corpus[mine], attributes)


def _named(log: Sequence[LogPoint], stage: Stage, settings: Settings, place: int, count: int) -> tuple[LogPoint, ...]:
    """The epochs of later stages count on from those before."""
    if count == 1:
        return tuple(log)
    first = place * settings.epochs
    return tuple(replace(point, epoch=first + point.epoch, term=f"{point.term}, stage {place + 1}") for point in log)


def _beside(path: Path | None, suffix: str) -> Path | None:
    return None if path is None else path.with_name(f"{path.name}.{suffix}")


def _key(
    settings: Settings,
    speech: Speech,
    fold: Fold,
    few: Part,
    stage: Stage,
    seed: int,
    before: str,
    encoder: Encoder,
) -> str:
    """Names what a stage ends with: its settings, what it learns from, and the stages before it."""
    rows = [*(fold.source if "source" in stage.sides else ()), *(few if "target" in stage.sides else ())]
    rows += fold.validation
    if settings.normalise != "none":
        rows += [*fold.source, *fold.target]
    elsewhere = ELSEWHERE if stage.train == "adapters" else ELSEWHERE | {"adapters", "adapter_options"}
    asked = {key: getattr(settings, key) for key in Settings.__slots__ if key not in elsewhere}
    named = [__version__, before, seed, stage.sides, stage.train, encoder.digest, asked]
    said = hashlib.sha256(json.dumps(named).encode())
    for row in rows:
        one = speech.utterances[row]
        stat = Path(one.path).stat()  # other audio under the same name is other speech
        told = (one.id, one.corpus, one.start, one.end, speech.label[row], stat.st_size, stat.st_mtime_ns)
        said.update("\0".join(map(str, told)).encode() + b"\n")
    if speech.attributes is not None:
        said.update(speech.attributes[rows].tobytes())
    return said.hexdigest()[:16]
