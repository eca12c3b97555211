"""Synthetic speech of any size, and what is done to it outside training: jobs of the growth table."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from emobridge.audit.rows import check_rows, count_values
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.speech import Speech, budget, everything, folds_of
from emobridge.data.splits import unlabelled_parts
from emobridge.features.familiarity import fit_familiarity
from emobridge.features.shards import Shards
from emobridge.formats import export, import_
from emobridge.inference.output import write_predictions
from emobridge.options import Plugin
from emobridge.scores.base import Condition
from emobridge.scores.measures.ua import Ua
from emobridge.scores.variety import variety
from emobridge.settings import Split, Training
from emobridge.study.calibration import calibrations_of
from emobridge.study.evaluations import attribute_evaluation, class_evaluation
from emobridge.study.protocol import speech_warnings, split_text
from emobridge.study.record import corpora_of
from emobridge.study.run import Answers, Predicted
from emobridge.study.suggest import ranked
from emobridge.training.case import Case
from emobridge.training.keys import fit_key, row_digests
from emobridge.training.tasks import build
from emobridge.types import Prediction, Utterance, person

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
WIDTH = 8  # of the features: what grows is the bookkeeping
CONDITION = Condition(*(10 * ["x"]))
CASE = Case(
    labels=EMOTIONS,
    method=Plugin("blend"),
    head=Plugin("discriminant"),
    layer="0+1+2",
    normalise="speaker",
    align="coral",
    training=Training(),
)


def made_utterances(count: int, people: int, corpus: str) -> Iterator[Utterance]:
    """Utterances of as many speakers, in turn."""
    rng = random.Random(corpus)
    for number in range(count):
        start = float(number // people)
        yield Utterance(
            f"{corpus}-{number}",
            corpus,
            f"/audio/{corpus}/{number % people}.wav",
            start=start,
            end=start + 1,
            language=corpus,
            speaker=f"s{number % people}",
            emotion=rng.choice(EMOTIONS),
            arousal=rng.uniform(1, 5),
            text=f"sentence {number % max(50, count // 20)}",
            split=("train", "validation", "test")[number % people % 3],
        )


class World:
    """A source and a target of `count` utterances together, and answers to them by three seeds."""

    def __init__(self, count: int, per_speaker: int, folder: Path) -> None:
        people = max(6, count // 2 // per_speaker)
        rows = tuple(row for corpus in ("en", "de") for row in made_utterances(count // 2, people, corpus))
        label = np.array([EMOTIONS.index(str(row.emotion)) for row in rows])
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(len(rows), 3, WIDTH, generator=generator)
        x += torch.randn(4, 3, WIDTH, generator=generator)[torch.from_numpy(label)]
        domain = np.repeat([0, 1], count // 2)
        self.speech = Speech(rows, label, domain, 1, features=x, layers=("0", "1", "2"))
        self.rated = dataclasses.replace(self.speech, attributes=np.array([[(row.arousal - 3) / 2] for row in rows]))
        self.split, self.folder, self.rng = Split(), folder, np.random.default_rng(0)
        self.folds = folds_of(self.speech, self.split, 0)
        parts = [self._answers(seed, side) for seed in range(3) for side in ("source", "target")]
        self.answers = Answers(CASE, tuple(parts), ())
        self.target = [part for part in parts if part.side == "target"]

    def _answers(self, seed: int, side: str) -> Predicted:
        tests = [getattr(fold, f"{side}_test") for fold in self.folds]
        rows = np.concatenate(tests).astype(np.int64)
        order = np.argsort(rows)
        folds = np.repeat(np.arange(len(tests)), [len(test) for test in tests])
        p = self.rng.dirichlet(np.full(4, 0.5), len(rows))
        return Predicted("blend", seed, side, rows[order], p, folds[order], self.rng.normal(size=(len(rows), 1)))

    def predictions(self) -> Iterator[Prediction]:
        """A prediction for each utterance of the target, each of a recording of the same name in another folder."""
        part = self.target[0]
        for number, p in zip(part.rows.tolist(), part.probabilities.tolist()):
            row = self.speech.utterances[number]
            path = f"/audio/{number}/recording.wav"
            yield Prediction(row.id, row.start, row.start + 1, EMOTIONS, tuple(p), path=path, language=row.language)


def _evaluation(world: World) -> object:
    evaluation = class_evaluation(world.speech, EMOTIONS, world.target)
    assert evaluation is not None
    return evaluation.scores(CONDITION), evaluation.difference(evaluation), evaluation.collapsed


def _without_speakers(world: World) -> object:
    evaluation = class_evaluation(world.speech, EMOTIONS, world.target)
    assert evaluation is not None
    return dataclasses.replace(evaluation, speakers=(None,) * len(evaluation.truth)).scores(CONDITION)


def _attributes(world: World) -> object:
    evaluation = attribute_evaluation(world.rated, ("arousal",), world.target)
    assert evaluation is not None
    return evaluation.scores(CONDITION)


def _one_measure(world: World) -> object:
    truth = [EMOTIONS[label] for label in world.speech.label]
    return Ua()(truth, truth[::-1], labels=EMOTIONS)


def _splits(world: World) -> object:
    for validation in ("none", "both"):
        folds = folds_of(world.speech, world.split, 0, validation)
        everything(world.speech, world.split, 0, validation)
    predefined = dataclasses.replace(world.split, folds=0, predefined=True)
    folds_of(world.speech, predefined, 0)
    budget(world.speech, folds[0], "100", 0)
    return unlabelled_parts(world.speech.utterances, 2, seed=0)


def _keys(world: World) -> object:
    digests = row_digests(world.speech)
    return [fit_key(CASE, world.speech, digests, fold, (), 0) for fold in world.folds]


def _tasks(world: World) -> object:
    cases = CASE, dataclasses.replace(CASE, align="none", normalise="speaker+text")
    return [build(world.speech, world.folds[0], case, case.make_method(), ()) for case in cases]


def _record(world: World) -> object:
    speech = world.speech
    warnings = speech_warnings([CASE], speech, world.split, [])
    return corpora_of(speech, None), warnings, split_text(speech, world.split, "open")


def _guard(world: World) -> object:
    x = world.speech.features
    assert x is not None
    return variety(
        world.speech.label[:, None] == np.arange(4), list(map(person, world.speech.utterances)), x[:, 0].numpy()
    )


def _calibration(world: World) -> object:
    return calibrations_of(world.speech, world.split, [world.answers])


def _suggested(world: World) -> object:
    x = world.speech.features
    assert x is not None
    p, z = world.target[0].probabilities, x[world.target[0].rows, 0].double().numpy()
    return [ranked(by, p, z, labelled=z[:50], count=50, seed=0) for by in ("representative", "core-set", "mixed")]


def _familiarity(world: World) -> object:
    x = world.speech.features
    assert x is not None
    people = [person(row) or row.id for row in world.speech.utterances]
    return fit_familiarity(x[:, 0], people, world.speech.domain_of)


def _manifests(world: World) -> object:
    path = world.folder / "m.jsonl"
    write_manifest(path, world.speech.utterances)
    return list(read_manifest(path))


def _audited(world: World) -> object:
    rows = world.speech.utterances
    half = len(rows) // 2
    return check_rows({"en": rows[:half], "de": rows[half:]}), list(count_values("all", rows))


def _exported(world: World) -> object:
    rows = [dataclasses.replace(row, path=f"/audio/{row.id}/recording.wav") for row in world.speech.utterances]
    with tempfile.TemporaryDirectory(dir=world.folder) as folder:
        for name in ("kaldi", "nkululeko", "plain_csv"):
            export(name, Path(folder) / f"{name}{SUFFIXES.get(name, '')}", rows)
        return list(import_("kaldi", Path(folder) / "kaldi"))


def _written(world: World) -> object:
    return [write_predictions(world.predictions(), world.folder / f"p.{suffix}") for suffix in WRITTEN]


def _store(world: World) -> object:
    x = world.speech.features
    assert x is not None
    with tempfile.TemporaryDirectory(dir=world.folder) as folder:
        shards = Shards(Path(folder) / "store")
        keys = [f"{number:032x}" for number in range(1, len(x) + 1)]
        for first in range(0, len(x), 1000):
            part = x[first : first + 1000].transpose(0, 1).contiguous().numpy()
            shards.write(keys[first : first + 1000], {str(layer): values for layer, values in enumerate(part)})
        other = Shards(Path(folder) / "store")
        other.refresh()
        return other.read_rows(other.find(keys), ("0", "2"), WIDTH)


SUFFIXES = {"plain_csv": ".csv", "nkululeko": ".csv"}
WRITTEN = ("jsonl", "csv", "rttm")
JOBS: dict[str, Callable[[World], object]] = {
    "scores of one system by three seeds, with intervals, and by speaker": _evaluation,
    "the same without speakers": _without_speakers,
    "scores of an attribute": _attributes,
    "one measure": _one_measure,
    "folds, budget and halves": _splits,
    "keys of fits": _keys,
    "tasks: normalisation by speaker and text, CORAL": _tasks,
    "facts of the record": _record,
    "the guard's variety": _guard,
    "calibration": _calibration,
    "what to label next": _suggested,
    "familiarity": _familiarity,
    "a manifest written and read": _manifests,
    "rows audited": _audited,
    "formats written and read": _exported,
    "predictions written": _written,
    "the store written and read": _store,
}
