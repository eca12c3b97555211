"""What `emobridge adapt` and its parts take from English to German once the features are stored.

Its training, of the baseline and of the default method, is held against self-training by scikit-learn: a
SelfTrainingClassifier over logistic regression, with its defaults, on the same folds, seeds and normalised features,
without CORAL's copies. That is one system where `adapt` trains two.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import Resources, Row, child, median_used, medians
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from emobridge.cache import Cache
from emobridge.corpora import scan
from emobridge.data.manifest import write_manifest
from emobridge.encoders import load_encoder
from emobridge.features.store import FeatureStore
from emobridge.settings import Adapt
from emobridge.study.prepare import resolve, start
from emobridge.study.run import Runner, run
from emobridge.training.case import Case
from emobridge.training.tasks import build

NEEDS = ("weights", "corpora")
LABELS = ("anger", "happiness", "neutral", "sadness")
SECONDS = 60.0


def measure(resources: Resources) -> list[Row]:
    """The whole command: three seeds, five folds, two systems, the audit, the report and the bundle."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = {"en": list(scan("ravdess", resources.corpora / "ravdess"))}
        speech["de"] = list(scan("emodb", resources.corpora / "emodb"))
        for language, rows in speech.items():
            write_manifest(folder / f"{language}.jsonl", rows)
        labelled = [utterance for rows in speech.values() for utterance in rows if utterance.emotion in LABELS]
        FeatureStore(folder / "features", load_encoder(resources.weights)).extract(labelled, strict=True)
        runs, phases = [], []
        for number in range(resources.repeats):
            runs.append(child(_command(folder, resources.weights, number)))
            phases.append(json.loads((folder / f"{number}.json").read_text()))
        training = _against_scikit_learn(folder, resources)
    used = median_used(runs)
    what = "RAVDESS to EmoDB, features stored"
    parts = [
        Row(f"... of which {phase}, CPU", statistics.median(seconds.get(phase, 0.0) for seconds in phases), "s")
        for phase in phases[0]
    ]
    return [
        Row(f"{what}: CPU", used.cpu, "s", most=SECONDS),
        Row(f"{what}: on the clock", used.wall, "s", most=SECONDS),
        *parts,
        *training,
    ]


def _against_scikit_learn(folder: Path, resources: Resources) -> list[Row]:
    """The training of both systems beside self-training by scikit-learn on the same cells."""
    torch.set_num_threads(1)
    request = resolve(
        Adapt.of(
            source=[str(folder / "en.jsonl")],
            target=str(folder / "de.jsonl"),
            encoder=str(resources.weights),
            labels=LABELS,
            store=str(folder / "features"),
        )
    )
    started = start(request, lambda speech: None, cache=Cache(None))
    cases = started.decision.cases
    cells = list(_cells(started.runner, cases[-1]))
    took = medians(
        resources.repeats,
        ours=lambda: run(Runner(started.prepared.speech, request.split, Cache(None)), cases),
        theirs=lambda: [SelfTrainingClassifier(LogisticRegression(max_iter=1000)).fit(*cell) for cell in cells],
    )
    what = f"training of {' and '.join(case.method.name for case in cases)}, {len(cells)} folds and seeds"
    return [
        Row(f"{what}: CPU", took["ours"], "s"),
        Row(
            "the same / scikit-learn's self-training over logistic regression",
            took["ours"] / took["theirs"],
            "x",
            most=2,
        ),
    ]


def _cells(runner: Runner, case: Case) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Normalised features and labels, -1 where there is none, of what each fit of the case sees."""
    case = replace(case, align="none")
    speech = runner.speech.at(case.layer)
    for seed in range(runner.split.seeds):
        for fold in runner.folds(seed, case.validation):
            task = build(speech, fold, case, case.make_method(), ()).task
            x = task.inputs.batch(torch.arange(len(fold.source) + len(fold.target))).numpy()
            yield x, np.concatenate([speech.label[list(fold.source)], np.full(len(fold.target), -1)])


def _command(folder: Path, weights: Path, number: int) -> list[str | Path]:
    """`emobridge adapt`, each time into another folder; _phases.py runs it and notes what its parts take."""
    here = Path(__file__).with_name("_phases.py")
    command: list[str | Path] = [sys.executable, here, folder / f"{number}.json", "adapt"]
    command += ["--source", folder / "en.jsonl", "--target", folder / "de.jsonl", "--encoder", weights]
    return [*command, "--labels", ",".join(LABELS), "--store", folder / "features", "--out", folder / f"run{number}"]
