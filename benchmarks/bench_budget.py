"""What a grid of label budgets takes on features that are stored, and how its cost grows.

Simulated features (seeded): one Gaussian an emotion, the target's shifted, as wide as Whisper base. Each size runs in a
process of its own, whose CPU time and peak memory are those of the grid and of what it is built from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import Resources, Row, Used, child

from emobridge.data.speech import Speech
from emobridge.settings import Settings
from emobridge.study.workers import Bench, Unit, run_units
from emobridge.types import Utterance

NEEDS = ()
LABELS = ("anger", "happiness", "neutral", "sadness")
WIDTH, UTTERANCES, FOLDS, PAIRS, SEEDS = 512, 1000, 5, 4, 3
BUDGETS = ("0", "25", "50", "100")
MINUTES = 5  # on the clock of two cores that do nothing else


def measure(resources: Resources) -> list[Row]:
    """The whole study, with two processes; then sizes and epochs against each other."""
    whole = _run("--jobs", "2", "--pairs", str(PAIRS))
    small, middle, large = (_run("--utterances", str(n), *ONE, "--epochs", "2") for n in (1_000, 10_000, 100_000))
    start = _run("--utterances", "1000", *ONE, "--epochs", "2", "--nothing")
    short, long = (_run(*ONE, "--epochs", str(epochs)) for epochs in (10, 300))
    what = f"{len(BUDGETS)} budgets x {SEEDS} seeds x {FOLDS} folds of pseudo-labels, {UTTERANCES} utterances"
    return [
        Row(f"{PAIRS} pairs x {what}, two processes: CPU", whole.cpu / 60, "min", most=2 * MINUTES),
        Row("the same on the clock", whole.wall / 60, "min", most=MINUTES),
        Row("10,000 utterances / 1,000, a budget, a seed, 2 epochs: CPU", _above(middle, start, small), "x", most=12),
        Row("100,000 utterances / 10,000: CPU", _above(large, start, middle), "x", most=12),
        Row("100,000 utterances: CPU", large.cpu, "s"),
        Row("100,000 utterances: peak memory", large.peak / 1e9, "GB"),
        Row("peak memory, 300 epochs / 10 epochs", long.peak / short.peak, "x", most=1.05),
    ]


ONE = ("--budgets", "25", "--seeds", "1")


def _above(used: Used, start: Used, other: Used) -> float:
    """The ratio of what two grids took beyond the start of Python and torch."""
    return (used.cpu - start.cpu) / (other.cpu - start.cpu)


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
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--nothing", action="store_true", help="only start")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.nothing:
        return
    for pair in range(options.pairs):
        grid(options, pair)


def grid(options: argparse.Namespace, pair: int) -> None:
    """Every cell of one pair, `pair` the seed of its features."""
    with tempfile.TemporaryDirectory() as folder:
        base = Settings(
            source=("a",), target="b", labels=LABELS, out=folder, method="pseudo-labels", layer="0",
            statistics=("mean",), head="single", head_options=("input_dropout=0.8",),
            seeds=options.seeds, folds=FOLDS, epochs=options.epochs,
        )  # fmt: skip
        cells = [replace(base, target_labels=budget) for budget in options.budgets.split(",")]
        units = [Unit(cell, seed) for seed in range(options.seeds) for cell in cells]
        began = time.perf_counter()
        run_units(
            Bench(simulated(options.utterances, pair), "simulated", ""), units, options.jobs, lambda done, total: None
        )
        fits = len(list((Path(folder) / "work").glob("*.safetensors")))
        print(f"{fits} fits in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
