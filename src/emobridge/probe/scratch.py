"""The baseline of a layer-wise study: encoders trained end to end on the corpus alone, from random weights.

It tells what pre-training is worth (methods B: the AST from scratch). For each seed and fold an encoder and one linear
map of the pooled frames of its last layer train together through the loop of `adapt`, on the cuts and by the plan of
the probes. What the loop is handed has no utterance of the test part, and labels only beside the others.

Nothing is normalised: an encoder that is trained finds its own scale. Ours: an AST's frames are pooled, as where it is
frozen, while its authors take its two tokens. Training steps see whole clips, or a random stretch as long as the
encoder's window; with batch norms, random crops of 2 s (methods E).

An AST of the published size holds about 1 GB for each clip of a batch while it trains, and takes minutes for 32 clips
on two CPU cores: `scratch_options` make it smaller, max_length in proportion.

What each finished model says is kept, and a model in the making has checkpoints: a study that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emobridge import __version__, registry
from emobridge.bundle import made_head
from emobridge.encoders import load_encoder
from emobridge.encoders.base import WEIGHTS, Encoder
from emobridge.errors import UserError
from emobridge.heads.base import Head
from emobridge.methods.base import Labelled, Task
from emobridge.methods.source_only import SourceOnly
from emobridge.options import read_options, unknown_option
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, Split, corpora_to_test, labels_of, rows_to_test, split_corpus
from emobridge.probe.units import Outcome, Predictions, Unit, UnitCache
from emobridge.progress import progress
from emobridge.training.inputs import Recordings, without_label
from emobridge.training.loop import Model, Plan, fit, probabilities

CROP = 2.0  # s

# Settings that a model depends on beside its encoder, seed, cut and recordings.
_TRAINING = ("epochs", "batch_size", "learning_rates", "weight_decay", "betas", "eps", "patience", "class_weights")


@dataclass(frozen=True, slots=True)
class Learnt:
    """A trained model."""

    encoder: Encoder
    head: Head
    rate: float
    epoch: int  # whose weights were kept
    loss: float  # the lowest one on the validation part; 0 where there is none


@dataclass(frozen=True, slots=True)
class Job:
    """A model to be trained, and the rows of each corpus that it is scored on."""

    seed: int
    cut: Split
    tests: tuple[tuple[Corpus, tuple[int, ...]], ...]
    digest: str  # of all that its words depend on, but what the shelf knows


def outcomes(settings: ProbeSettings, corpora: Sequence[Corpus]) -> Iterator[Outcome]:
    """What the models of each encoder and corpus say, as if they were probes of a layer "end".

    Models that an interrupted run finished are read, not trained again. Errors: UserError where a loss is not finite.
    """
    shelf = UnitCache(
        Path(settings.out) / "work", [[getattr(settings, key) for key in (*_TRAINING, "crop")], __version__]
    )
    for name in settings.scratch:
        for corpus in corpora:
            unit = Unit(name, "scratch", corpus.name, "none", "none", ("end",))
            jobs = _jobs(settings, name, corpus, corpora)
            parts = []
            with progress(f"{name} from scratch on {corpus.name}") as report:
                for place, job in enumerate(jobs):

                    def on_epoch(epoch: int, total: int, before: int = place, every: int = len(jobs)) -> None:
                        report(before * total + epoch, every * total)

                    known = shelf.read(unit, job.digest)
                    parts.append(known or _trained(settings, unit, corpus, job, shelf, on_epoch))
                report(len(jobs), len(jobs))
            yield _joined(unit, parts)


def check(settings: ProbeSettings) -> None:
    """Errors: UserError for an encoder that cannot be trained from scratch, and an option that none of them has."""
    if not settings.scratch:
        return
    known = {option for name in settings.scratch for option in _own(name)}
    for option in read_options(settings.scratch_options):
        if option not in known:
            raise unknown_option(f"scratch {' or '.join(settings.scratch)}", option, known)
    for name in settings.scratch:
        opened(settings, name, seed=0)


def opened(settings: ProbeSettings, name: str, *, seed: int) -> Encoder:
    """An encoder before its training. Errors: UserError for one that needs weights from a folder, or has none."""
    try:
        encoder = load_encoder(registry.load("encoders", name).name, **_options(settings, name, seed))
    except UserError as error:
        raise UserError(f"scratch: {error}") from error
    if not any(weight.requires_grad for weight in encoder.parameters()):
        raise UserError(f"scratch: encoder {name} has no weights that could be trained")
    return encoder


def learn(
    settings: ProbeSettings,
    name: str,
    corpus: Corpus,
    cut: Split,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, total: None,
) -> Learnt:
    """The encoder `name` trained on the training part of a cut; of several rates, by the lowest validation loss.

    checkpoint: a file to go on from; each rate has its own beside it. on_epoch: as of `fit`, all rates in a row.
    """
    total = settings.epochs * len(settings.learning_rates)
    found: list[Learnt] = []
    for number, rate in enumerate(settings.learning_rates):

        def on_rate(epoch: int, _: int, before: int = number * settings.epochs) -> None:
            on_epoch(before + epoch, total)

        own = None if checkpoint is None else checkpoint.with_suffix(f".{number}.checkpoint")
        one = _learn(settings, name, corpus, cut, seed, rate, own, on_rate)
        if not found or one.loss < found[0].loss:
            found = [one]
    return found[0]


def _learn(
    settings: ProbeSettings,
    name: str,
    corpus: Corpus,
    cut: Split,
    seed: int,
    rate: float,
    checkpoint: Path | None,
    on_epoch: Callable[[int, int], None],
) -> Learnt:
    """A model trained at one rate. Those of one seed begin alike, whatever their fold."""
    encoder = opened(settings, name, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = made_head("single", (), encoder.width * len(_statistics(encoder)), len(corpus.emotions))
    source = _labelled(corpus, cut.train)
    inputs = _recordings(settings, encoder, corpus, cut.train)
    validation = None
    if settings.patience:
        validation = _recordings(settings, encoder, corpus, cut.validation), _labelled(corpus, cut.validation)
    log = fit(
        Task(
            inputs,
            len(corpus.emotions),
            source,
            labelled_target=None,
            target=None,
            class_weights=settings.class_weights,
        ),
        SourceOnly(),
        head,
        _plan(settings, rate),
        seed=seed,
        validation=validation,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    losses = [point.value for point in log if point.term == "validation loss"] or [0.0] * settings.epochs
    epoch = 1 + int(np.argmin(losses)) if settings.patience else settings.epochs
    return Learnt(encoder, head, rate, epoch, min(losses))


def _plan(settings: ProbeSettings, rate: float) -> Plan:
    first, second = settings.betas
    return Plan(
        settings.epochs,
        settings.batch_size,
        rate,
        decay=1.0,
        patience=settings.patience,
        weight_decay=settings.weight_decay,
        betas=(first, second),
        eps=settings.eps,
    )


def _own(name: str) -> set[str]:
    """The options of an encoder but those of its weights, which are what a baseline from scratch is about."""
    return set(registry.load("encoders", name).defaults) - set(WEIGHTS)


def _options(settings: ProbeSettings, name: str, seed: int) -> dict[str, str | int | float | bool]:
    own = {key: value for key, value in read_options(settings.scratch_options).items() if key in _own(name)}
    fresh: dict[str, str | int | float | bool] = {"weights": "random", "seed": seed}
    return own | {key: value for key, value in fresh.items() if key in registry.load("encoders", name).defaults}


def _statistics(encoder: Encoder) -> tuple[str, ...]:
    return encoder.statistics[:1]


def _recordings(settings: ProbeSettings, encoder: Encoder, corpus: Corpus, rows: Sequence[int]) -> Recordings:
    """Utterances without their labels."""
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in encoder.modules())
    return Recordings(
        encoder,
        encoder.layers - 1,
        _statistics(encoder),
        [without_label(corpus.utterances[row]) for row in rows],
        domain_of=[0] * len(rows),
        corpora=((corpus.name, corpus.language),),
        target=1,  # none of them is one
        normalise="none",
        crop=settings.crop or (CROP if normed else encoder.window or CROP),
    )


def _labelled(corpus: Corpus, rows: Sequence[int]) -> Labelled:
    return Labelled(torch.arange(len(rows)), labels_of(corpus, corpus.emotions)[list(rows)])


def _jobs(settings: ProbeSettings, name: str, corpus: Corpus, corpora: Sequence[Corpus]) -> list[Job]:
    """The models of one encoder and corpus: seeds by folds."""
    cuts = split_corpus(corpus, settings)
    names = corpora_to_test(settings, corpus.name, [one.name for one in corpora])
    tested = [one for one in corpora if one.name in names]
    every = [rows_to_test(one, corpus, split_corpus(one, settings), len(cuts[0])) for one in tested]
    keys = [_key(one) for one in (corpus, *tested)]
    jobs = []
    for seed, folds in enumerate(cuts):
        for fold, cut in enumerate(folds):
            rows = [part[seed][fold] for part in every]
            digest = json.dumps([sorted(_options(settings, name, seed).items()), seed, repr(cut), keys, rows])
            jobs.append(Job(seed, cut, tuple((one, some) for one, some in zip(tested, rows) if some), digest))
    return jobs


def _trained(
    settings: ProbeSettings,
    unit: Unit,
    corpus: Corpus,
    job: Job,
    shelf: UnitCache,
    on_epoch: Callable[[int, int], None],
) -> Outcome:
    """What one model says once it is trained; it is on the shelf then."""
    checkpoint = shelf.path(unit, job.digest)
    learnt = learn(settings, unit.encoder, corpus, job.cut, seed=job.seed, checkpoint=checkpoint, on_epoch=on_epoch)
    tested = tuple(
        Predictions(one.name, job.seed, np.array(rows, dtype=np.int64), _said(settings, learnt, one, rows)[None])
        for one, rows in job.tests
    )
    outcome = Outcome(unit, tested, np.array([[learnt.epoch]]), np.array([[learnt.rate]]), None)
    shelf.write(outcome, job.digest)
    return outcome


def _key(corpus: Corpus) -> str:
    """What tells one state of a corpus and its recordings from the next."""
    said = hashlib.sha256(corpus.name.encode())
    for one in corpus.utterances:
        stat = Path(one.path).stat()
        said.update(f"{one.id}\0{one.emotion}\0{one.start}\0{one.end}\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return said.hexdigest()


def _said(settings: ProbeSettings, learnt: Learnt, corpus: Corpus, rows: Sequence[int]) -> np.ndarray:
    """(M, C) probabilities of whole utterances."""
    inputs = _recordings(settings, learnt.encoder, corpus, rows)
    inputs.refresh()
    return probabilities(Model(inputs, learnt.head), inputs, torch.arange(len(rows))).numpy()


def _joined(unit: Unit, parts: Sequence[Outcome]) -> Outcome:
    """The models of all seeds and folds as one outcome: what those of a seed say of a corpus, fold after fold."""
    together: dict[tuple[str, int], list[Predictions]] = {}
    for part in parts:
        for one in part.tested:
            together.setdefault((one.corpus, one.seed), []).append(one)
    tested = tuple(
        Predictions(
            *key, np.concatenate([one.rows for one in some]), np.concatenate([one.probabilities for one in some], 1)
        )
        for key, some in together.items()
    )
    epochs, rates = (np.concatenate([getattr(part, key) for part in parts], 1) for key in ("epochs", "rates"))
    return Outcome(unit, tested, epochs, rates, None)
