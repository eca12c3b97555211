"""`emobridge adapt` from RAVDESS and EMOVO to EmoDB once the features are stored, whole, and its training alone.

The opponent is scikit-learn: logistic regression for the baseline and a SelfTrainingClassifier over it, with their
defaults, fitted and asked on the same folds, seeds and normalised features, without CORAL's copies. It reads no audio,
and makes no intervals, report and bundle.
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
from measuring import Amount, Resources, Row, child, median_used, medians
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
SOURCES, TARGET = ("ravdess", "emovo"), "emodb"


def measure(resources: Resources) -> list[Row]:
    """The whole command: three seeds, five folds, two systems, the audit, the report and the bundle."""
    assert resources.weights is not None and resources.corpora is not None  # NEEDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labelled = []
        for corpus in (*SOURCES, TARGET):
            rows = [row for row in scan(corpus, resources.corpora / corpus) if row.emotion in LABELS]
            write_manifest(folder / f"{corpus}.jsonl", rows)
            labelled += rows
        FeatureStore(folder / "features", load_encoder(resources.weights)).extract(labelled, strict=True)
        runs, phases = [], []
        for number in range(resources.repeats):
            runs.append(child(_command(folder, resources.weights, number)))
            phases.append(json.loads((folder / f"{number}.json").read_text()))
        training, opponent = _training(folder, resources)
    used = median_used(runs)
    start = median_used([child([sys.executable, "-c", IMPORTS]) for _ in range(resources.repeats)])
    job = "adapt RAVDESS + EMOVO to EmoDB, features stored: 5 folds, 3 seeds, 2 systems, report, bundle"
    limit = Amount(start.cpu, "Python that imports torch and scikit-learn")
    parts = [
        Row(f"... of which {phase}", statistics.median(seconds.get(phase, 0.0) for seconds in phases), "s")
        for phase in phases[0]
    ]
    return [Row(job, used.cpu, "s", most=8, opponent=opponent, limit=limit), *parts, training]


IMPORTS = "import torch, sklearn.linear_model"


def _training(folder: Path, resources: Resources) -> tuple[Row, Amount]:
    """The training of both systems, and what scikit-learn takes for the same cells."""
    torch.set_num_threads(1)
    request = resolve(
        Adapt.of(
            source=[str(folder / f"{corpus}.jsonl") for corpus in SOURCES],
            target=str(folder / f"{TARGET}.jsonl"),
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
        theirs=lambda: [_fit(*cell) for cell in cells],
    )
    opponent = Amount(took["theirs"], "scikit-learn's LogisticRegression and SelfTrainingClassifier, training alone")
    job = f"training of {' and '.join(case.method.name for case in cases)}, {len(cells)} folds and seeds"
    return Row(job, took["ours"], "s", most=2, opponent=opponent), opponent


def _fit(x: np.ndarray, label: np.ndarray, tested: np.ndarray) -> list[np.ndarray]:
    """Both systems on one cell, and what they answer to its test utterances."""
    known = label >= 0
    baseline = LogisticRegression(max_iter=1000).fit(x[known], label[known])
    adapted = SelfTrainingClassifier(LogisticRegression(max_iter=1000)).fit(x, label)
    return [model.predict_proba(tested) for model in (baseline, adapted)]


def _cells(runner: Runner, case: Case) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Normalised features and labels, -1 where there is none, of what each fit sees; and features of what it tests."""
    case = replace(case, align="none")
    speech = runner.speech.at(case.layer, case.views)
    for seed in range(runner.split.seeds):
        for fold in runner.folds(seed, case.validation):
            built = build(speech, fold, case, case.make_method(), ())
            x = built.task.inputs.batch(torch.arange(len(fold.source) + len(fold.target))).numpy()
            tested = built.test.batch(torch.arange(len(fold.source_test) + len(fold.target_test))).numpy()
            yield x, np.concatenate([speech.label[list(fold.source)], np.full(len(fold.target), -1)]), tested


def _command(folder: Path, weights: Path, number: int) -> list[str | Path]:
    """`emobridge adapt`, each time into another folder; _phases.py runs it and notes what its parts take."""
    here = Path(__file__).with_name("_phases.py")
    command: list[str | Path] = [sys.executable, here, folder / f"{number}.json", "adapt"]
    for corpus in SOURCES:
        command += ["--source", folder / f"{corpus}.jsonl"]
    command += ["--target", folder / f"{TARGET}.jsonl", "--encoder", weights]
    return [*command, "--labels", ",".join(LABELS), "--store", folder / "features", "--out", folder / f"run{number}"]
