"""A layer-wise study: which encoder, which layer, which head, for which language.

Each clip goes through a frozen encoder once; the store keeps its features, and all probes are trained on them. Where
the frames of a corpus do not fit on the disk, they are streamed: one pass of the encoder an epoch feeds every head,
layer, fold, seed and normalisation at once. Encoders trained from scratch, a baseline, are in `scratch`.

Normalisation, as in `adapt`: "none" standardises by the training utterances of each probe; "corpus" and "speaker" by
the unlabelled audio of the corpus or speaker, that of the scored speakers too, which the report says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from emobridge.data.devices import choose_device, is_accelerator
from emobridge.data.threads import one_thread
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.parallel import Work, Workers, run_parallel
from emobridge.features.work import fill_stores
from emobridge.files import cache_folder
from emobridge.probe import scratch
from emobridge.probe.encoders import encoder_languages
from emobridge.probe.plan import EncoderPlan, StudyPlan, plan_study
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus
from emobridge.probe.trainer import Trainer, open_store
from emobridge.probe.units import Outcome, ProbeUnit
from emobridge.progress import in_passes, progress
from emobridge.scale import encoding, fitting

Skipped = tuple[tuple[str, str], ...]  # id and reason of each utterance that could not be read


@dataclass(frozen=True, slots=True)
class Study:
    """A finished study; `scoring` scores it and `report` shows it."""

    settings: ProbeSettings
    corpora: tuple[Corpus, ...]  # without the utterances that could not be read
    outcomes: tuple[Outcome, ...]
    languages: tuple[tuple[str, tuple[str, ...]], ...]  # of each encoder: those of its pre-training
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class UnitGroup:
    """Units that train together, and the number of their encoder's plan."""

    encoder: int
    units: tuple[ProbeUnit, ...]


@one_thread()
def probe(settings: ProbeSettings, *, strict: bool = False) -> Study:
    """Run a study. What an interrupted run of the same settings finished is read, not done again.

    Errors: UserError for whatever is wrong with settings or manifests; with `strict`, for a file that cannot be read.
    """
    workers = encoding(settings.cluster, device=settings.device)
    if is_accelerator(choose_device(settings.device)) and settings.scratch and settings.device != "auto":
        raise UserError(f"device {settings.device}: --scratch trains on the CPU; give --device auto or cpu")
    plan = plan_study(settings)
    corpora = plan.corpora
    skipped: Skipped = ()
    outcomes: dict[tuple[int, ProbeUnit], Outcome | None] = {}
    waiting: list[UnitGroup] = []  # for processes
    encoder: Encoder | None = None
    for part in plan.encoders:  # all of them before any probe: a clip that one makes nothing of trains none
        encoder = part.encoder.open(settings.device)
        corpora, bad = _extract(part, encoder, corpora, workers, strict=strict)
        skipped += bad
    for number, part in enumerate(plan.encoders):
        if encoder is None or len(plan.encoders) > 1:  # only one is in memory at a time
            encoder = part.encoder.open(settings.device)
        trainer = Trainer(part, corpora, encoder)
        finished = trainer.finished()
        outcomes |= {(number, unit): outcome for unit, outcome in finished.items()}
        groups = [
            UnitGroup(number, units) for units in trainer.groups([unit for unit in finished if not finished[unit]])
        ]
        if plan.settings.jobs > 1 or plan.settings.cluster:
            waiting += groups
            continue
        trained = _train(trainer, groups, len(finished))
        outcomes |= {(number, outcome.unit): outcome for outcome in trained}
    for group, from_process in zip(waiting, _train_in_processes(plan, corpora, waiting)):
        outcomes |= {(group.encoder, outcome.unit): outcome for outcome in from_process}
    done = (*filter(None, outcomes.values()), *scratch.outcomes(plan.settings, corpora))
    return Study(plan.settings, corpora, done, tuple(encoder_languages(settings).items()), skipped)


def _extract(
    plan: EncoderPlan, encoder: Encoder, corpora: Sequence[Corpus], workers: Workers | None, *, strict: bool
) -> tuple[tuple[Corpus, ...], Skipped]:
    """Bring the features of all corpora into the store; the corpora without what cannot be read, and what that is."""
    store, readable = open_store(plan, encoder), []
    skipped: Skipped = ()
    for corpus in corpora:
        with progress(f"features of {plan.encoder.title} on {corpus.name}") as bar:
            (report,) = in_passes(bar, [len(corpus.utterances)])
            fill_stores(
                store,
                plan.encoder.open,
                corpus.utterances,
                jobs=plan.settings.jobs,
                workers=workers and workers.sharing(store.folder.parent),
                strict=strict,
                on_progress=report,
            )
            bad = store.extract(corpus.utterances, layer="0", on_progress=report, strict=strict).skipped
        skipped += bad
        ids = {name for name, _ in bad}
        good = tuple(utterance for utterance in corpus.utterances if utterance.id not in ids)
        readable.append(replace(corpus, utterances=good))
    return tuple(readable), skipped


def _train(trainer: Trainer, groups: Sequence[UnitGroup], units: int) -> list[Outcome]:
    """Train the groups, one after the other; `units` is how many units there are with those already finished."""
    outcomes: list[Outcome] = []
    with progress(f"probes on {trainer.plan.encoder.title}") as report:
        done, epochs = units - sum(len(group.units) for group in groups), trainer.settings.epochs
        for group in groups:

            def on_epoch(epoch: int, _: int, before: int = done, size: int = len(group.units)) -> None:
                report(before * epochs + epoch * size, units * epochs)

            outcomes += trainer.run(group.units, on_epoch)
            done += len(group.units)
            report(done * epochs, units * epochs)
    return outcomes


def _train_in_processes(plan: StudyPlan, corpora: Sequence[Corpus], groups: Sequence[UnitGroup]) -> list[list[Outcome]]:
    """Train each group in one of several processes; the outcomes are in the order of the groups."""
    if not groups:
        return []
    settings = plan.settings
    encodes = any(part.frames == "streamed" for part in plan.encoders)  # else all that probes see is stored
    device = settings.device if encodes else "cpu"
    workers = fitting(settings.cluster, settings.out, settings.store or cache_folder(), device=device)
    work = Work(train_group, start_worker, (plan.encoders, tuple(corpora), device))
    with progress("probes") as report:
        return run_parallel(work, groups, jobs=settings.jobs, workers=workers, on_progress=report)


_worker: Callable[[UnitGroup], list[Outcome]]  # of a process that works for another


def start_worker(plans: Sequence[EncoderPlan], corpora: Sequence[Corpus], device: str) -> None:
    """Prepare a process for `train_group`: it opens an encoder when a group needs it, and keeps the last one open."""
    global _worker
    current: dict[int, Trainer] = {}

    def train(group: UnitGroup) -> list[Outcome]:
        if group.encoder not in current:
            current.clear()
            plan = plans[group.encoder]
            current[group.encoder] = Trainer(plan, corpora, plan.encoder.open(device))
        return current[group.encoder].run(group.units)

    _worker = train


def train_group(group: UnitGroup) -> list[Outcome]:
    """The outcomes of a group of units, in a process that `start_worker` has prepared."""
    return _worker(group)
