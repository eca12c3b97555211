"""How alike two corpora are in each layer of an encoder, by emotion: for whole utterances and inside phones.

Upadhyay et al., Interspeech 2024 (methods D), Figure 1, choose by it which layers to anchor. The paper says "cosine
similarity" and not of what; both readings are computed, of source vectors x_i and target vectors y_j of one emotion:

    cosine of means    cos(mean x, mean y)
    mean of cosines    mean over i, j of cos(x_i, y_j)      = mean x/|x| . mean y/|y|, so that time is linear

Linear CKA (Kornblith et al., ICML 2019) stands beside. It compares two sets of numbers of the SAME units. Two corpora
have no utterance in common, but the D features of one encoder are the same in both: they are the units here, so that
the Gram matrices of CKA are X^T X and Y^T Y, of utterances less their mean, centred over the features:

    CKA = <X^T X, Y^T Y> / (|X^T X| |Y^T Y|)

It compares the covariances, which layer anchoring draws together, where cosines compare the means. Of few utterances it
is the lower, since their covariance is rough.

Intervals are 95 % jackknife intervals of the cosines over the speakers of both corpora, on the scale atanh.
In shapes E is emotions, U units ("utterance" and the classes of phones), G groups of speakers and D the width.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from emobridge.phones.base import PHONE_CLASSES, VOWELS

FloatArray = NDArray[np.float64]
VectorFormula = Callable[[FloatArray, FloatArray], FloatArray]  # of vectors (..., D) of both sides
UTTERANCE = "utterance"
COMPARED_UNITS = (UTTERANCE, *PHONE_CLASSES)
# The levels at which layers are chosen, and the units whose similarities are averaged for it.
LEVELS = {UTTERANCE: (UTTERANCE,), "vowel": VOWELS, "consonant": ("consonant",)}
SIMILARITY_MEASURES = ("cosine of means", "mean of cosines", "CKA")
SET_SIZE = 3  # layers in a set of the paper
# The random sets of the paper's Table 1, of encoders of twelve layers; those of others are drawn.
PRINTED_RANDOM = ((2, 6, 9), (1, 5, 12), (3, 7, 11))
GROUPS = 50  # of speakers at most: each is left out once


@dataclass(frozen=True, slots=True)
class LayerSimilarity:
    """How alike two corpora are in one layer, unit and emotion."""

    layer: int
    unit: str  # of COMPARED_UNITS
    emotion: str
    cosine_of_means: float  # in [-1, 1]; NaN where a side has no such vector, as all below
    cosine_of_means_low: float
    cosine_of_means_high: float
    mean_of_cosines: float  # in [-1, 1]
    mean_of_cosines_low: float
    mean_of_cosines_high: float
    cka: float  # in [0, 1]; NaN of a single vector too
    source: int  # vectors
    target: int

    def value(self, measure: str) -> float:
        """Its value of one of SIMILARITY_MEASURES."""
        return dict(zip(SIMILARITY_MEASURES, (self.cosine_of_means, self.mean_of_cosines, self.cka)))[measure]


class Totals:
    """Sums over the vectors of one corpus and one layer, by emotion, unit and group of speakers.

    What it holds does not grow with the utterances: E U (G D + D^2) numbers.
    """

    def __init__(self, emotions: int, units: int, groups: int, width: int) -> None:
        self.count = np.zeros((emotions, units, groups))
        self.total = np.zeros((emotions, units, groups, width))
        self.unit = np.zeros((emotions, units, groups, width))  # of vectors of length 1
        self.gram = np.zeros((emotions, units, width, width))

    def add(self, x: NDArray[np.float32], emotion: NDArray[np.int64], group: NDArray[np.int64]) -> None:
        """x: (n, U, D), NaN where there is nothing; emotion: (n,) in [0, E), others are passed over; group: (n,)."""
        for e, u in itertools.product(*map(range, self.count.shape[:2])):
            rows = np.flatnonzero((emotion == e) & np.isfinite(x[:, u]).all(1))
            if not len(rows):
                continue
            values, groups = x[rows, u].astype(np.float64), group[rows]
            length = np.linalg.norm(values, axis=1, keepdims=True)
            np.add.at(self.count[e, u], groups, 1)
            np.add.at(self.total[e, u], groups, values)
            np.add.at(self.unit[e, u], groups, values / np.maximum(length, 1e-12))
            self.gram[e, u] += values.T @ values


def similarities(
    layer: int, emotions: Sequence[str], units: Sequence[str], source: Totals, target: Totals
) -> list[LayerSimilarity]:
    """The similarities of one layer, a row for each unit and emotion."""
    rows = []
    for (u, unit), (e, emotion) in itertools.product(enumerate(units), enumerate(emotions)):
        counts = source.count[e, u], target.count[e, u]
        means = _with_interval(_cosine, counts, (source.total[e, u], target.total[e, u]))
        cosines = _with_interval(_product, counts, (source.unit[e, u], target.unit[e, u]))
        sides = [(side.gram[e, u], side.total[e, u].sum(0), int(side.count[e, u].sum())) for side in (source, target)]
        rows.append(LayerSimilarity(layer, unit, emotion, *means, *cosines, _cka(*sides), sides[0][2], sides[1][2]))
    return rows


def ranking(rows: Iterable[LayerSimilarity], level: str, measure: str = SIMILARITY_MEASURES[0]) -> dict[int, float]:
    """The mean similarity of each layer at one of LEVELS, over emotions and, of vowels, over the six of them.

    Of what is defined in every layer; {} where nothing is.
    """
    chosen = [row for row in rows if row.unit in LEVELS[level]]
    values: dict[tuple[str, str], dict[int, float]] = {}
    for row in chosen:
        values.setdefault((row.unit, row.emotion), {})[row.layer] = row.value(measure)
    defined = [by_layer for by_layer in values.values() if all(math.isfinite(value) for value in by_layer.values())]
    layers = sorted({row.layer for row in chosen})
    return {layer: float(np.mean([by_layer[layer] for by_layer in defined])) for layer in layers} if defined else {}


def layer_sets(values: Mapping[int, float], seed: int = 0) -> dict[str, tuple[int, ...]]:
    """The sets of layers of Table 1 of the paper, from the similarity of each layer, by their names there.

    GL are the three most similar layers, BL the most similar one, WL the three least similar ones, AL all of them, and
    RL1 to RL3 three random sets of three, none of them GL or WL: of layers 1 to 12 those that the paper prints, of
    others drawn by `seed`. Few layers have fewer random sets, and smaller sets. Of equally similar layers the lower one
    counts as the more similar.

    >>> values = {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    >>> {name: layers for name, layers in layer_sets(values).items() if name[0] != "R"}
    {'GL': (2, 3, 4), 'BL': (2,), 'WL': (1, 3, 4), 'AL': (1, 2, 3, 4)}
    """
    layers = tuple(sorted(values))
    order = sorted(layers, key=lambda layer: (-values[layer], layer))
    size = min(SET_SIZE, len(layers))
    most, least = tuple(sorted(order[:size])), tuple(sorted(order[len(order) - size :]))
    sets = {"GL": most, "BL": tuple(order[:1]), "WL": least, "AL": layers}
    for number, chosen in enumerate(_random_sets(layers, size, {most, least}, seed), 1):
        sets[f"RL{number}"] = chosen
    return sets


def set_name(layers: Sequence[int]) -> str:
    """Layers as an option of `layer-anchoring` has them.

    >>> set_name((8, 9, 11))
    '8+9+11'
    """
    return "+".join(map(str, layers))


def _random_sets(layers: tuple[int, ...], size: int, others: set[tuple[int, ...]], seed: int) -> list[tuple[int, ...]]:
    """Up to three different sets of `size` layers that are none of the others."""
    if layers == tuple(range(1, 13)) and not others & set(PRINTED_RANDOM):
        return list(PRINTED_RANDOM)
    drawing, chosen = random.Random(seed), list[tuple[int, ...]]()
    available = math.comb(len(layers), size) - len(others)
    while len(chosen) < min(SET_SIZE, available):
        drawn = tuple(sorted(drawing.sample(layers, size)))
        if drawn not in others and drawn not in chosen:
            chosen.append(drawn)
    return chosen


def _cosine(x: FloatArray, y: FloatArray) -> FloatArray:
    """cos of vectors (..., D); NaN of a vector of length 0."""
    length = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    value: FloatArray = np.where(length > 0, (x * y).sum(-1) / np.where(length > 0, length, 1), np.nan)
    return value


def _product(x: FloatArray, y: FloatArray) -> FloatArray:
    value: FloatArray = (x * y).sum(-1)
    return value


def _with_interval(
    formula: Callable[[FloatArray, FloatArray], FloatArray],
    counts: tuple[FloatArray, FloatArray],
    totals: tuple[FloatArray, FloatArray],
) -> tuple[float, float, float]:
    """The formula of the means of both sides, and the ends of its interval.

    counts: (G,) each, totals: (G, D) each. NaN, NaN, NaN where a side is empty; no interval of a single group.
    """
    if not all(count.sum() for count in counts):
        return math.nan, math.nan, math.nan
    means = [total.sum(0) / count.sum() for count, total in zip(counts, totals)]
    value = float(formula(*means))
    variances, freedoms = [], []
    for index, (count, total) in enumerate(zip(counts, totals)):
        present = count > 0
        groups = int(present.sum())
        if groups < 2:
            return value, math.nan, math.nan
        without = (total.sum(0) - total[present]) / (count.sum() - count[present])[:, None]
        both = (without, means[1]) if index == 0 else (means[0], without)
        moved = _unbounded(formula(*both)) - _unbounded(np.array(value))
        variances.append(float((groups - 1) / groups * (moved**2).sum()))
        freedoms.append(groups - 1)
    variance = sum(variances)
    if not variance:
        return value, value, value
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in zip(variances, freedoms))
    margin = stdtrit(degrees, 0.975) * math.sqrt(variance)
    middle = float(_unbounded(np.array(value)))
    return value, math.tanh(middle - margin), math.tanh(middle + margin)


def _unbounded(value: FloatArray) -> FloatArray:
    scaled: FloatArray = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    return scaled


def _cka(source: tuple[FloatArray, FloatArray, int], target: tuple[FloatArray, FloatArray, int]) -> float:
    """Of the sums of x x^T (D, D) and of x (D,) of so many vectors, of both sides."""
    if min(source[2], target[2]) < 2:
        return math.nan
    first, second = (_centred(gram - np.outer(total, total) / count) for gram, total, count in (source, target))
    length = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / length) if length > 0 else math.nan


def _centred(gram: FloatArray) -> FloatArray:
    centred: FloatArray = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    return centred
