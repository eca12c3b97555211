"""The baseline of a layer-wise study: encoders trained end to end on the corpus alone, from random weights.

It shows what pre-training is worth (methods B: the AST from scratch). For each seed and fold an encoder and one linear
map of the pooled frames of its last layer train together through the loop of `adapt`, on the splits of the probes and
by their plan, or by one of its own (see `scratch_training`). The loop gets no utterance of the test part, and labels
only apart from the utterances.

Nothing is normalised: an encoder that is trained finds its own scale. An AST's frames are pooled, as where it is
frozen, or with its option `tokens` its class and distillation tokens take their place, as its authors have it. Training
steps see whole clips, or a random stretch as long as the encoder's window; with batch norms, random crops of 2 s
(methods E).

An AST of the published size holds about 1 GB for each clip of a batch while it trains, and takes minutes for 32 clips
on two CPU cores: `scratch_options` make it smaller, max_length in proportion, and accumulate cuts a batch.

The predictions of each finished model are kept, and a model in training has checkpoints: a stopped study goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emobridge import registry
from emobridge.bundle import made_head
from emobridge.encoders import load_encoder
from emobridge.encoders.base import WEIGHT_OPTIONS, Encoder, Option
from emobridge.errors import UserError
from emobridge.heads.base import Head
from emobridge.methods.base import Labelled, Task
from emobridge.options import read_options, unknown_option
from emobridge.probe.pairs import pairs_of
from emobridge.probe.scratch_training import rates_of, training_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, RowSplit, classes_of, rows_to_test, split_corpus
from emobridge.probe.units import Outcome, ProbeUnit, UnitCache, UnitPredictions, digest_of
from emobridge.progress import progress
from emobridge.training.inputs import FrontEnd, without_label
from emobridge.training.loop import Model, Workspace, fit, probabilities
from emobridge.training.mixed import MixedRecordings

CROP = 2.0  # s


@dataclass(frozen=True, slots=True)
class ScratchModel:
    """A trained model."""

    encoder: Encoder
    head: Head
    rate: float
    epoch: int  # whose weights were kept
    loss: float  # the lowest one, or 1 - UA, on the validation part; NaN where training does not look at it


@dataclass(frozen=True, slots=True)
class ScratchJob:
    """A model to be trained, and the rows of each corpus that it is scored on."""

    encoder: str
    corpus: Corpus
    seed: int
    probe: int  # its number, seeds by folds
    split: RowSplit
    tests: tuple[tuple[Corpus, tuple[int, ...]], ...]
    key: str  # all that its predictions depend on

    @property
    def unit(self) -> ProbeUnit:
        """The model as a probe of a layer "end"."""
        return ProbeUnit(self.encoder, "scratch", self.corpus.name, "none", "none", ("end",))


def outcomes(settings: ProbeSettings, corpora: Sequence[Corpus]) -> Iterator[Outcome]:
    """The predictions of the models of each encoder and corpus, as if they were probes of a layer "end".

    Models that an interrupted run finished are read, not trained again. Errors: UserError where a loss is not finite.
    """
    cache = UnitCache(Path(settings.out) / "work")
    for name in settings.scratch:
        for corpus in corpora:
            jobs = _jobs(settings, name, corpus, corpora)
            if not any(job.tests for job in jobs):
                continue
            parts = []
            with progress(f"{name} from scratch on {corpus.name}") as report:
                for number, job in enumerate(jobs):

                    def on_epoch(epoch: int, total: int, before: int = number, count: int = len(jobs)) -> None:
                        report(before * total + epoch, count * total)

                    finished = cache.read(job.unit, job.key)
                    parts.append(finished or _train(settings, job, cache, on_epoch))
                report(len(jobs), len(jobs))
            yield _joined(parts)


def check(settings: ProbeSettings) -> None:
    """Errors: UserError for an encoder that cannot be trained from scratch, and an option that none of them has."""
    if not settings.scratch:
        return
    training_of(settings)
    options = {option for name in settings.scratch for option in _options_of(name)}
    for option in read_options(settings.scratch_options):
        if option not in options:
            raise unknown_option(f"scratch {' or '.join(settings.scratch)}", option, options)
    for name in settings.scratch:
        untrained(settings, name, seed=0)


def untrained(settings: ProbeSettings, name: str, *, seed: int) -> Encoder:
    """An encoder before its training. Errors: UserError for one that needs weights from a folder, or has none."""
    try:
        encoder = load_encoder(registry.load("encoders", name), **_options(settings, name, seed))
    except UserError as error:
        raise UserError(f"scratch: {error}") from error
    if not any(weight.requires_grad for weight in encoder.parameters()):
        raise UserError(f"scratch: encoder {name} has no weights that could be trained")
    return encoder


def learn(
    settings: ProbeSettings,
    name: str,
    corpus: Corpus,
    split: RowSplit,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, total: None,
) -> ScratchModel:
    """The encoder `name` trained on the training part of a split; of several rates, by the lowest validation loss.

    checkpoint: a file to go on from; each rate has its own beside it. on_epoch: as of `fit`, all rates in a row.
    """
    training = training_of(settings)
    rates = rates_of(settings, training)
    total = training.epochs * len(rates)
    best: ScratchModel | None = None
    for number, rate in enumerate(rates):

        def on_rate(epoch: int, _: int, before: int = number * training.epochs) -> None:
            on_epoch(before + epoch, total)

        path = None if checkpoint is None else checkpoint.with_suffix(f".{number}.checkpoint")
        model = _learn(settings, name, corpus, split, seed, rate, path, on_rate)
        if best is None or model.loss < best.loss:
            best = model
    assert best is not None  # ProbeSettings has a rate
    return best


def _learn(
    settings: ProbeSettings,
    name: str,
    corpus: Corpus,
    split: RowSplit,
    seed: int,
    rate: float,
    checkpoint: Path | None,
    on_epoch: Callable[[int, int], None],
) -> ScratchModel:
    """A model trained at one rate. Those of one seed begin alike, whatever their fold."""
    encoder = untrained(settings, name, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = made_head("single", (), encoder.width * len(_statistics(encoder)), len(corpus.emotions))
    training = training_of(settings)
    source = _labelled(corpus, split.train)
    inputs = _recordings(settings, encoder, corpus, split.train)
    inputs.mixup = training.mixup
    validation = None
    if training.patience:
        validation = _recordings(settings, encoder, corpus, split.validation), _labelled(corpus, split.validation)
    log = fit(
        Task(
            inputs,
            len(corpus.emotions),
            source,
            labelled_target=None,
            target=None,
            class_weights=training.class_weights,
        ),
        training.method(),
        head,
        training.plan(rate),
        seed=seed,
        validation=validation,
        workspace=Workspace(checkpoint, on_epoch),
    )
    losses = [point.value for point in log if point.term in ("validation loss", "validation error")]
    if not losses:
        return ScratchModel(encoder, head, rate, training.epochs, float("nan"))
    return ScratchModel(encoder, head, rate, 1 + int(np.argmin(losses)), min(losses))


def _options_of(name: str) -> set[str]:
    """The options of an encoder but those of its weights, which are what a baseline from scratch is about."""
    return set(registry.load("encoders", name).defaults) - set(WEIGHT_OPTIONS)


def _options(settings: ProbeSettings, name: str, seed: int) -> dict[str, Option]:
    options = {key: value for key, value in read_options(settings.scratch_options).items() if key in _options_of(name)}
    fresh: dict[str, Option] = {"weights": "random", "seed": seed}
    return options | {key: value for key, value in fresh.items() if key in registry.load("encoders", name).defaults}


def _statistics(encoder: Encoder) -> tuple[str, ...]:
    return encoder.statistics[:1]


def _recordings(settings: ProbeSettings, encoder: Encoder, corpus: Corpus, rows: Sequence[int]) -> MixedRecordings:
    """Utterances without their labels."""
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in encoder.modules())
    crop = settings.crop or (CROP if normed else encoder.window or CROP)
    return MixedRecordings(
        FrontEnd(encoder, (encoder.layers - 1,), _statistics(encoder), crop=crop),
        [without_label(corpus.utterances[row]) for row in rows],
        domain_of=[0] * len(rows),
        corpora=((corpus.name, corpus.language),),
        target=1,  # no utterance is of the target
    )


def _labelled(corpus: Corpus, rows: Sequence[int]) -> Labelled:
    return Labelled(torch.arange(len(rows)), classes_of(corpus, corpus.emotions)[list(rows)])


def _jobs(settings: ProbeSettings, name: str, corpus: Corpus, corpora: Sequence[Corpus]) -> list[ScratchJob]:
    """The models of one encoder and corpus: seeds by folds."""
    splits = split_corpus(corpus, settings)
    names = [tested for trained, tested in pairs_of(settings, corpora, ()) if trained == corpus.name]
    tested = [other for other in corpora if other.name in names]
    rows_of = [rows_to_test(other, corpus, split_corpus(other, settings), len(splits[0])) for other in tested]
    plan = training_of(settings)
    training = [asdict(plan), rates_of(settings, plan), settings.crop, corpus.digest(speakers=False)]
    digests = [other.digest(speakers=False) for other in tested]
    jobs: list[ScratchJob] = []
    for seed, folds in enumerate(splits):
        for fold, split in enumerate(folds):
            rows = [by_seed[seed][fold] for by_seed in rows_of]
            tests = [[other.name, digest, part] for other, digest, part in zip(tested, digests, rows)]
            options = sorted(_options(settings, name, seed).items())
            key = digest_of("scratch", name, options, seed, asdict(split), training, tests)
            parts = tuple((other, part) for other, part in zip(tested, rows) if part)
            jobs.append(ScratchJob(name, corpus, seed, len(jobs), split, parts, key))
    return jobs


def _train(settings: ProbeSettings, job: ScratchJob, cache: UnitCache, on_epoch: Callable[[int, int], None]) -> Outcome:
    """Train one model and keep its predictions."""
    checkpoint = cache.path(job.key)
    model = learn(settings, job.encoder, job.corpus, job.split, seed=job.seed, checkpoint=checkpoint, on_epoch=on_epoch)
    predictions = tuple(
        UnitPredictions(
            corpus.name,
            job.seed,
            np.array(rows, dtype=np.int64),
            np.full(len(rows), job.probe, dtype=np.int64),
            _probabilities(settings, model, corpus, rows)[None],
        )
        for corpus, rows in job.tests
    )
    epoch, rate, loss = (np.array([[value]]) for value in (model.epoch, model.rate, model.loss))
    outcome = Outcome(job.unit, predictions, epoch, rate, loss)
    cache.write(outcome, job.key)
    return outcome


def _probabilities(settings: ProbeSettings, model: ScratchModel, corpus: Corpus, rows: Sequence[int]) -> np.ndarray:
    """(M, C) of whole utterances."""
    inputs = _recordings(settings, model.encoder, corpus, rows)
    inputs.refresh()
    return probabilities(Model(inputs, model.head), inputs, torch.arange(len(rows))).numpy()


def _joined(parts: Sequence[Outcome]) -> Outcome:
    """The models of all seeds and folds as one outcome: the predictions of a seed for a corpus, fold after fold."""
    together: dict[tuple[str, int], list[UnitPredictions]] = {}
    for part in parts:
        for predictions in part.predictions:
            together.setdefault((predictions.corpus, predictions.seed), []).append(predictions)
    joined = tuple(
        UnitPredictions(
            *key,
            np.concatenate([fold.rows for fold in folds]),
            np.concatenate([fold.probes for fold in folds]),
            np.concatenate([fold.probabilities for fold in folds], 1),
        )
        for key, folds in together.items()
    )
    names = ("epochs", "rates", "losses")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts], 1) for name in names}
    return Outcome(parts[0].unit, joined, **arrays)
