"""What batched probes cost beside the same probes trained one by one, and beside logistic regression.

Layers, folds and seeds of the head `single` on what Whisper base says of RAVDESS. One by one means: the same heads,
weighted loss, batches of 32, Adam with the same values (fused, as ours), on features that were standardised before.
Both are run for the epochs of a study; logistic regression until it is done. The head `discriminant` is solved once,
and held against scikit-learn's LinearDiscriminantAnalysis with the same shrinkage, one cell after the other.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace

import limits
import numpy as np
import torch
from measuring import Amount, Resources, Row, medians
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from emobridge.bundle import made_head
from emobridge.corpora import scan
from emobridge.encoders import load_encoder
from emobridge.features.store import FeatureStore
from emobridge.probe.batched import ProbeTraining, Stack, TrainingSets, fit_probes
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.solved import solve_probes
from emobridge.probe.sources import PooledSource
from emobridge.probe.splits import Corpus, RowSplit, split_corpus, training_sets
from emobridge.probe.trainer import training_moments

NEEDS = ("weights", "corpora")
LABELS = ("anger", "happiness", "neutral", "sadness")
FOLDS, SEEDS = 5, 3
EPOCHS = ProbeTraining().epochs  # of a study
SAMPLE = 7  # probes that are trained one by one, or by regression: the others take as long


def measure(resources: Resources) -> list[Row]:
    """One thread: with two, the waiting of the second would count as work."""
    torch.set_num_threads(1)
    x, label, sets = speech(resources)
    layers = len(x)
    rows = [set_.nonzero()[:, 0] for set_ in sets.weight > 0]
    sample = list(
        itertools.islice(itertools.product(range(layers), range(len(rows))), 0, None, layers * len(rows) // SAMPLE)
    )
    calls: dict[str, Callable[[], object]] = {
        "batched": lambda: batched(x, sets, ProbeTraining(epochs=EPOCHS)),
        "regression": lambda: [regression(x[layer], label, rows[probe]) for layer, probe in sample],
        "solved": lambda: solved(x, sets),
        "discriminant": lambda: [discriminant(x[layer], label, rows[probe]) for layer, probe in sample],
    }
    calls["batched"]()  # all is warm
    took = medians(resources.repeats, **calls)
    probes = layers * len(rows)
    scale = probes / len(sample)
    products = 4 * EPOCHS * sum(map(len, rows)) * layers * x.shape[2] * len(LABELS)  # the maps, and their gradients
    logistic = Amount(took["regression"] * scale, "scikit-learn's logistic regression, one by one")
    lda = Amount(took["discriminant"] * scale, "scikit-learn's discriminant, one by one")
    what = f"{probes} probes ({layers} layers x {FOLDS} folds x {SEEDS} seeds)"
    limit = limits.fp32_limit(products)
    return [
        Row(f"{what}, {EPOCHS} epochs", took["batched"], "s", most=0.33, opponent=logistic, limit=limit),
        Row(f"{what} of head discriminant", took["solved"], "s", most=1.0, opponent=lda),
    ]


def speech(resources: Resources) -> tuple[Tensor, Tensor, TrainingSets]:
    """Features (L, N, D) of RAVDESS, its classes, and who trains and validates in folds by speaker."""
    assert resources.weights is not None and resources.corpora is not None  # NEEDS
    spoken = tuple(row for row in scan("ravdess", resources.corpora / "ravdess") if row.emotion in LABELS)
    settings = ProbeSettings(corpora=("ravdess",), folds=FOLDS, seeds=SEEDS, patience=1)
    corpus = Corpus("ravdess", "en", spoken)
    plain = replace(settings, patience=0)
    encoder = load_encoder(resources.weights)
    with tempfile.TemporaryDirectory() as folder:
        values = FeatureStore(folder, encoder).extract(spoken).values[..., : encoder.width]
    sets = training_sets(corpus, split_corpus(corpus, plain), plain)
    validation = training_sets(corpus, split_corpus(corpus, settings), settings).validation
    return torch.from_numpy(values).transpose(0, 1).contiguous(), sets.label, replace(sets, validation=validation)


def batched(x: Tensor, sets: TrainingSets, plan: ProbeTraining) -> None:
    """All probes as `emobridge probe` trains them: each standardised by its own training rows."""
    fit_probes([stack_of("single", x, sets)], sets, plan)


def solved(x: Tensor, sets: TrainingSets) -> None:
    """The same probes with a head of a closed form."""
    solve_probes(stack_of("discriminant", x, sets, "shrinkage=0.5"), sets)


def stack_of(head: str, x: Tensor, sets: TrainingSets, *options: str) -> Stack:
    """Fresh heads of all layers, folds and seeds."""
    cuts = [RowSplit(tuple(weight.nonzero()[:, 0].tolist()), (), ()) for weight in sets.weight]
    heads = [[made_head(head, options, x.shape[2], len(LABELS)) for _ in cuts] for _ in x]
    return Stack(heads, PooledSource(x), moments=training_moments(x, None, cuts))


def regression(x: Tensor, label: Tensor, rows: Tensor) -> np.ndarray:
    """One cell of a study by scikit-learn: trained on one fold's rows, to its end (C = 1)."""
    x = (x - x[rows].mean(0)) / x[rows].std(0)
    model = LogisticRegression(max_iter=1000)
    return model.fit(x[rows].numpy(), label[rows].numpy()).predict(x.numpy())


def discriminant(x: Tensor, label: Tensor, rows: Tensor) -> np.ndarray:
    """One cell by scikit-learn's linear discriminant."""
    x = (x - x[rows].mean(0)) / x[rows].std(0)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    return model.fit(x[rows].numpy(), label[rows].numpy()).predict(x.numpy())
