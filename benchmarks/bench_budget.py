"""A grid of label budgets on stored features beside scikit-learn's self-training, cell by cell.

Simulated features (seeded): one Gaussian an emotion, the target's shifted, as wide as Whisper base. Each size runs in a
process of its own, whose CPU time and peak memory are those of the grid and of what it is built from.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import Amount, Resources, Row, Used, child, cpu_seconds
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier

from emobridge.cache import Cache
from emobridge.data.speech import Speech
from emobridge.options import Plugin
from emobridge.settings import Split, Training
from emobridge.study.run import Runner, run
from emobridge.training.case import Case
from emobridge.types import Utterance

NEEDS = ()
LABELS = ("anger", "happiness", "neutral", "sadness")
WIDTH, UTTERANCES, FOLDS, SEEDS = 512, 1000, 5, 3
BUDGETS = ("0", "25", "50", "100")


def measure(resources: Resources) -> list[Row]:
    """The whole grid; then epochs against each other."""
    torch.set_num_threads(1)
    whole = _run()
    theirs = cpu_seconds(lambda: by_scikit_learn(simulated(UTTERANCES)))
    short, long = (_run("--budgets", "25", "--seeds", "1", "--epochs", str(epochs)) for epochs in (10, 300))
    job = f"budget: {len(BUDGETS)} budgets x {SEEDS} seeds x {FOLDS} folds of pseudo-labels, {UTTERANCES:,} utterances"
    opponent = Amount(theirs, "scikit-learn's SelfTrainingClassifier, one by one")
    return [
        Row(job, whole.cpu, "s", most=8, opponent=opponent),
        Row("budget: peak memory, 300 epochs / 10 epochs", long.peak / short.peak, "x", most=1.05),
    ]


def by_scikit_learn(speech: Speech) -> None:
    """Self-training over logistic regression in every cell, with the budget's share of the target's labels."""
    assert speech.features is not None
    x, corpus = speech.features.numpy(), speech.domain_of
    for seed in range(SEEDS):
        fold = np.random.default_rng(seed).permutation(len(x)) % FOLDS
        for budget, tested in itertools.product(map(int, BUDGETS), range(FOLDS)):
            trained = (corpus == 0) | (fold != tested)
            label = np.where(corpus == 0, speech.label, -1)
            target = np.flatnonzero(trained & (corpus == 1))[:budget]
            label[target] = speech.label[target]
            model = SelfTrainingClassifier(LogisticRegression(max_iter=1000)).fit(x[trained], label[trained])
            model.predict_proba(x[~trained])


def _run(*arguments: str) -> Used:
    return child([sys.executable, __file__, *arguments])


def simulated(utterances: int, seed: int = 0) -> Speech:
    """Two corpora, three fifths of it the source, a hundred utterances a speaker at most."""
    rng = np.random.default_rng(seed)
    centres = 0.3 * rng.standard_normal((len(LABELS), WIDTH), dtype=np.float32)
    rows, speakers = np.arange(utterances), max(10, utterances // 100)
    domain = (rows >= utterances * 3 // 5).astype(np.int64)
    label = rng.integers(len(LABELS), size=utterances)
    values = centres[label] + rng.standard_normal((utterances, WIDTH), dtype=np.float32)
    values += 0.5 * domain[:, None].astype(np.float32)
    spoken = tuple(
        Utterance(
            f"{row}",
            "ab"[domain[row]],
            f"{row}.wav",
            language="ab"[domain[row]],
            speaker=str(row % speakers),
            emotion=LABELS[label[row]],
        )
        for row in rows
    )
    return Speech(spoken, label, domain, 1, torch.from_numpy(values))


def main() -> None:
    """One grid, in this process or in several."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--budgets", default=",".join(BUDGETS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    grid(options)


def grid(options: argparse.Namespace) -> None:
    """Every cell."""
    with tempfile.TemporaryDirectory() as folder:
        head = Plugin.parse("single", ["input_dropout=0.8"]).check("heads")
        training = Training(epochs=options.epochs)
        case = Case(labels=LABELS, method=Plugin("pseudo-labels"), head=head, training=training)
        cases = [replace(case, target_labels=budget) for budget in options.budgets.split(",")]
        split = Split(seeds=options.seeds, folds=FOLDS)
        began = time.perf_counter()
        runner = Runner(simulated(options.utterances), split, Cache(Path(folder) / "work"))
        run(runner, cases, jobs=options.jobs)
        fits = len(list((Path(folder) / "work").glob("*.safetensors")))
        print(f"{fits} fits in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
