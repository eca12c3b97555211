"""The tidy table of a layer-wise study: one row a cell, with its interval, its floors and what it saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emobridge.audit.confound import confounds
from emobridge.audit.hearing import listen
from emobridge.data.audio import read_audio
from emobridge.errors import UserError
from emobridge.languages import primary_language
from emobridge.probe.run import Study
from emobridge.probe.splits import Corpus
from emobridge.probe.units import Outcome, Predictions, Unit
from emobridge.scores.base import Estimate
from emobridge.scores.classes import Evaluation
from emobridge.types import person

ALL_LAYERS = "all"  # the layer of a head that takes all


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of a study. Values are in [0, 1]."""

    train: str  # corpus
    train_language: str
    test: str
    test_language: str
    setting: (
        str  # "mono", "trans", "cross" or "other", see `setting_of`; "in language" where the encoder's is not known
    )
    encoder: str
    weights: str  # "pretrained", "random", "none" of an encoder that has none, or "scratch" of one trained end to end
    layer: str  # "0" ... or "all"; "end" where all was trained
    head: str  # "none" where all was trained
    normalise: str
    labels: str  # joined by ","
    seed: str  # a number, or "all" for all seeds together
    measure: str  # "UA", "WA", "F1 macro", "F1 weighted"
    value: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    resampled: str  # what the interval draws: "speakers" or "utterances"
    epochs: float  # the mean over probes of the epoch whose weights were kept
    saw: str  # in words


@dataclass(frozen=True, slots=True)
class Floor:
    """What is reached on a corpus without listening to speech: chance, or loudness and length."""

    corpus: str
    what: str  # "chance", "loudness and length" ...
    labels: str
    value: float  # UA in [0, 1]
    low: float
    high: float
    n: int


def cells_of(study: Study) -> tuple[Cell, ...]:
    """All scores of a study, for each seed and for all together.

    Where every seed tests the same utterances, "all" is the mean over seeds; where seeds drew other ones (80/10/10), it
    is the score over all that were tested, which the interval then draws from.
    """
    corpora = {corpus.name: corpus for corpus in study.corpora}
    spoken = dict(study.languages)
    found: list[Cell] = []
    for outcome in study.outcomes:
        trained = corpora[outcome.unit.corpus]
        for name in dict.fromkeys(one.corpus for one in outcome.tested):
            tested = [one for one in outcome.tested if one.corpus == name]
            learnt = () if outcome.unit.weights == "scratch" else spoken.get(outcome.unit.encoder, ())
            kind = setting_of(trained, corpora[name], learnt)
            if kind in study.settings.settings or kind == "in language":
                found += _cells(study, outcome, trained, corpora[name], kind, tested)
    return tuple(found)


def setting_of(trained: Corpus, tested: Corpus, languages: Sequence[str]) -> str:
    """The setting of Han et al. 2025 (methods C) by the languages of the encoder's pre-training.

    mono: trained and tested on a language of the encoder; trans: on another; cross: trained on a language of the
    encoder, tested on another language. A multilingual encoder ("mul") knows every language. "other" is what the paper
    has no word for: a corpus of the same language, or training on a language that the encoder does not know. Of
    encoders whose languages are not known, or that were trained on the corpus alone: "in language" where a corpus is
    tested on itself.
    """
    own, other = primary_language(trained.language), primary_language(tested.language)
    knows = "mul" in languages or own in {primary_language(one) for one in languages}
    if trained.name == tested.name:
        return ("mono" if knows else "trans") if languages else "in language"
    return "cross" if own != other and (knows or not languages) else "other"


def floors_of(study: Study) -> tuple[Floor, ...]:
    """Chance, and what level, peak and length of the clips tell (data.confound), for each corpus."""
    found = []
    for corpus in study.corpora:
        labels, n = ",".join(corpus.emotions), len(corpus.utterances)
        chance = 1 / len(corpus.emotions)
        found.append(Floor(corpus.name, "chance", labels, chance, chance, chance, n))
        if not study.settings.floors:
            continue
        heard = listen(corpus.name, corpus.utterances, read_audio, lambda: None)
        try:
            baselines = confounds(corpus.name, corpus.utterances, heard.acoustics)
        except UserError:  # a single speaker: no baseline by speaker
            continue
        found += [Floor(corpus.name, c.features, labels, c.ua, c.low, c.high, c.n) for c in baselines]
    return tuple(found)


def _cells(
    study: Study, outcome: Outcome, trained: Corpus, tested: Corpus, kind: str, said: Sequence[Predictions]
) -> Iterator[Cell]:
    unit, labels = outcome.unit, trained.emotions
    names = (ALL_LAYERS,) if said[0].probabilities.shape[0] < len(unit.layers) else unit.layers
    speakers = [person(one) for one in tested.utterances]
    truth = [str(one.emotion) for one in tested.utterances]
    for place, layer in enumerate(names):
        best = [[labels[column] for column in one.probabilities[place].argmax(1)] for one in said]
        for seed, estimates in _scored(said, best, labels, truth, speakers):
            for found in estimates:
                yield Cell(
                    trained.name, trained.language, tested.name, tested.language, kind, unit.encoder, unit.weights,
                    layer, unit.head, unit.normalise, ",".join(labels), seed, found.measure, found.value, found.low,
                    found.high, found.n, found.resampled, float(outcome.epochs[place].mean()),
                    _saw(study, trained, tested, unit),
                )  # fmt: skip


def _scored(
    said: Sequence[Predictions],
    best: Sequence[Sequence[str]],
    labels: Sequence[str],
    truth: Sequence[str],
    speakers: Sequence[str | None],
) -> Iterator[tuple[str, tuple[Estimate, ...]]]:
    """Estimates of each seed, then of all."""
    orders = [np.argsort(one.rows, kind="stable") for one in said]
    rows = [one.rows[order] for one, order in zip(said, orders)]
    found = [tuple(words[place] for place in order) for words, order in zip(best, orders)]

    def evaluation(rows: Sequence[int] | np.ndarray, predictions: tuple[tuple[str, ...], ...]) -> Evaluation:
        return Evaluation(
            tuple(labels), tuple(truth[row] for row in rows), predictions, tuple(speakers[row] for row in rows)
        )

    for one, mine, words in zip(said, rows, found):
        yield str(one.seed), evaluation(mine, (words,)).estimates(details=False)
    if all(np.array_equal(mine, rows[0]) for mine in rows):
        yield "all", evaluation(rows[0], tuple(found)).estimates(details=False)
    else:
        joined = (tuple(word for words in found for word in words),)
        yield "all", evaluation(np.concatenate(rows), joined).estimates(details=False)


def _saw(study: Study, trained: Corpus, tested: Corpus, unit: Unit) -> str:
    """What a probe, or a model from scratch, was handed."""
    words = f"labels and audio of training speakers of {trained.name}"
    if study.settings.share_speakers:
        words = f"labels and audio of {trained.name}, THE SCORED SPEAKERS' TOO"
    if unit.weights == "scratch":
        words += ", by which the encoder was trained end to end from random weights"
    if unit.normalise != "none":
        words += f"; unlabelled audio of all of {tested.name}, the scored speakers' too"
    if study.settings.patience:
        words += f"; labels of validation speakers of {trained.name}"
    return words
