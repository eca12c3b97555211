"""Similarity of layers against NumPy by hand, and the rule by which layers are chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emobridge.features.similarity import (
    COMPARED_UNITS,
    LEVELS,
    LayerSimilarity,
    Totals,
    layer_sets,
    ranking,
    set_name,
    similarities,
)


def totals_of(x, emotion=None, group=None, emotions=1):
    """Totals of vectors (n, D), or of (n, U, D)."""
    x = np.asarray(x, np.float32)
    x = x[:, None] if x.ndim == 2 else x
    emotion = np.zeros(len(x), np.int64) if emotion is None else np.asarray(emotion)
    group = np.arange(len(x)) % 5 if group is None else np.asarray(group)
    totals = Totals(emotions, x.shape[1], 5, x.shape[2])
    for first in range(0, len(x), 3):  # in blocks
        part = slice(first, first + 3)
        totals.add(x[part], emotion[part], group[part])
    return totals


def of(x, y, **more):
    return similarities(1, ["anger"], ["utterance"], totals_of(x, **more), totals_of(y, **more))[0]


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return random.standard_normal((9, 4)) + 1, random.standard_normal((11, 4)) + np.array([1, 0, 2, 0])


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_cosines_are_numpys(vectors):
    x, y = vectors
    row = of(x, y)
    assert row.cosine_of_means == pytest.approx(cosine(x.mean(0), y.mean(0)), abs=1e-6)
    assert row.mean_of_cosines == pytest.approx(np.mean([[cosine(a, b) for b in y] for a in x]), abs=1e-6)
    assert (row.source, row.target) == (9, 11)
    assert [row.value(name) for name in ("cosine of means", "mean of cosines", "CKA")] == [
        row.cosine_of_means,
        row.mean_of_cosines,
        row.cka,
    ]


def test_cka_is_that_of_features_as_units(vectors):
    """Kornblith's formula of two matrices of D rows, the utterances less their mean as columns."""
    x, y = vectors
    a, b = ((values - values.mean(0)).T for values in vectors)
    a, b = a - a.mean(0), b - b.mean(0)
    expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert of(x, y).cka == pytest.approx(expected, rel=1e-5)
    assert of(x, 3 * x + 5).cka == pytest.approx(1, abs=1e-5), "neither the mean nor the size of features counts"


def test_the_interval_is_the_jackknifes_over_speakers(vectors):
    x, y = vectors
    row = of(x, y)
    whole, variance = np.arctanh(cosine(x.mean(0), y.mean(0))), []
    for values, change in ((x, lambda kept: (kept, y)), (y, lambda kept: (x, kept))):
        moved = []
        for group in range(5):
            a, b = change(values[np.arange(len(values)) % 5 != group])
            moved.append(np.arctanh(cosine(a.mean(0), b.mean(0))) - whole)
        variance.append(4 / 5 * np.sum(np.square(moved)))
    low, high = np.arctanh(row.cosine_of_means_low), np.arctanh(row.cosine_of_means_high)
    assert (low + high) / 2 == pytest.approx(whole, abs=1e-5)
    assert 2.3 < (high - low) / 2 / math.sqrt(sum(variance)) < 2.8, "a t quantile of 4 to 8 degrees"


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    random, centre, held = np.random.default_rng(0), np.array([2.0, 1.0, 0.0]), 0
    truth = cosine(centre, centre[::-1])
    for _ in range(200):
        sides = []
        for middle in (centre, centre[::-1]):
            speakers = middle + 0.5 * random.standard_normal((5, 3))
            sides.append(speakers[np.arange(40) % 5] + 0.5 * random.standard_normal((40, 3)))
        row = of(*sides)
        held += row.cosine_of_means_low <= truth <= row.cosine_of_means_high
    assert 0.88 <= held / 200 <= 0.99, held / 200


def test_emotions_units_and_what_is_missing_are_kept_apart():
    random = np.random.default_rng(0)
    x = random.standard_normal((8, 2, 3))
    x[::2, 1] = np.nan  # no such phone
    emotion = [0, 0, 1, 1, 0, 1, -1, 2]
    totals = totals_of(x, emotion, emotions=3)
    rows = similarities(4, ["a", "b", "c"], ["utterance", "i"], totals, totals)
    assert [(row.unit, row.emotion, row.source) for row in rows] == [
        *[("utterance", "a", 3), ("utterance", "b", 3), ("utterance", "c", 1)],
        *[("i", "a", 1), ("i", "b", 2), ("i", "c", 1)],
    ]
    assert rows[0].layer == 4 and rows[0].cosine_of_means == pytest.approx(1)
    assert math.isnan(rows[2].cka) and math.isnan(rows[2].cosine_of_means_low), "of a single vector, of one speaker"


def test_an_empty_side_has_no_similarity(vectors):
    row = of(vectors[0], np.zeros((0, 4)))
    assert math.isnan(row.cosine_of_means) and math.isnan(row.mean_of_cosines) and math.isnan(row.cka)
    assert (row.source, row.target) == (9, 0)
    assert math.isnan(of(np.zeros((2, 3)), np.ones((2, 3))).cosine_of_means)


def row(layer, unit, emotion, value):
    return LayerSimilarity(layer, unit, emotion, value, 0, 0, value / 2, 0, 0, 1 - value, 5, 5)


def test_a_ranking_is_the_mean_over_emotions_and_vowels_of_what_every_layer_has():
    pairs = [(layer, emotion, add) for layer in (1, 2) for emotion, add in (("x", 0), ("y", 0.2))]
    rows = [row(layer, "utterance", emotion, layer / 10 + add) for layer, emotion, add in pairs]
    rows += [row(1, "i", "x", 0.5), row(2, "i", "x", 0.3), row(1, "u", "x", math.nan), row(2, "u", "x", 0.9)]
    assert ranking(rows, "utterance") == pytest.approx({1: 0.2, 2: 0.3})
    assert ranking(rows, "utterance", "CKA") == pytest.approx({1: 0.8, 2: 0.7})
    assert ranking(rows, "vowel") == pytest.approx({1: 0.5, 2: 0.3})
    assert ranking(rows, "consonant") == {}
    assert set(LEVELS) == {"utterance", "vowel", "consonant"} and COMPARED_UNITS[0] == "utterance"


def similarities_like(most, best, least):
    """Similarities of twelve layers whose extremes are as printed."""
    values = {layer: 0.5 + layer / 1000 for layer in range(1, 13)}
    values |= {layer: 0.8 + layer / 1000 for layer in most} | {layer: 0.1 for layer in least}
    return values | {best: 0.95}


@pytest.mark.parametrize(
    ("most", "best", "least"), [((8, 9, 11), 11, (5, 6, 7)), ((1, 2, 3), 2, (7, 10, 11))], ids=["WavLM", "Whisper"]
)
def test_on_twelve_layers_the_sets_are_those_of_table_1(most, best, least):
    sets = layer_sets(similarities_like(most, best, least))
    assert (sets["GL"], sets["BL"], sets["WL"]) == (most, (best,), least)
    assert sets["AL"] == tuple(range(1, 13))
    assert (sets["RL1"], sets["RL2"], sets["RL3"]) == ((2, 6, 9), (1, 5, 12), (3, 7, 11))
    assert set_name(sets["GL"]) == "+".join(map(str, most))


def test_where_a_printed_random_set_is_another_it_is_drawn_anew():
    sets = layer_sets(similarities_like((2, 6, 9), 6, (1, 5, 12)))
    drawn = {sets[name] for name in ("RL1", "RL2", "RL3")}
    assert len(drawn) == 3 and not drawn & {(2, 6, 9), (1, 5, 12)}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 24])
def test_every_number_of_layers_has_its_sets(count):
    values = {layer: math.sin(layer) for layer in range(1, count + 1)}
    sets = layer_sets(values, seed=1)
    assert sets == layer_sets(values, seed=1)
    size = min(3, count)
    assert {len(sets[name]) for name in ("GL", "WL")} == {size} and len(sets["BL"]) == 1
    assert set(sets["BL"]) <= set(sets["GL"]) and len(sets["AL"]) == count
    drawn = [sets[name] for name in sets if name.startswith("RL")]
    assert len(set(drawn)) == len(drawn) == {1: 0, 2: 0, 3: 0, 4: 2}.get(count, 3)
    assert all(len(chosen) == 3 and chosen not in (sets["GL"], sets["WL"]) for chosen in drawn)
    if count == 24:
        assert sets != layer_sets(values, seed=2)


def test_of_equal_layers_the_lower_is_the_more_similar():
    sets = layer_sets(dict.fromkeys(range(1, 7), 0.5))
    assert sets["GL"] == (1, 2, 3) and sets["WL"] == (4, 5, 6) and sets["BL"] == (1,)


def test_layers_shifted_by_known_maps_are_ranked_by_how_far_they_are_shifted():
    """Layer l of the target is turned by an angle of its own; the source is not."""
    random, angles = np.random.default_rng(0), {1: 0.9, 2: 0.3, 3: 1.3, 4: 0.0, 5: 0.7, 6: 0.4}
    emotions = ["anger", "sadness"]
    centres = {"anger": np.array([3.0, 0.0, 1.0]), "sadness": np.array([0.0, 3.0, -1.0])}
    emotion = np.arange(80) % 2
    rows = []
    for layer, angle in angles.items():
        turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1.0]])
        sides = []
        for matrix in (np.eye(3), turn):
            x = np.stack([centres[emotions[e]] for e in emotion]) + random.standard_normal((80, 3)) * [1.0, 0.3, 0.1]
            sides.append(totals_of(x @ matrix.T, emotion, emotions=2))
        rows += similarities(layer, emotions, ["utterance"], *sides)
    for measure in ("cosine of means", "mean of cosines", "CKA"):
        sets = layer_sets(ranking(rows, "utterance", measure))
        assert sets["GL"] == (2, 4, 6) and sets["BL"] == (4,), measure
        assert sets["WL"] == (1, 3, 5) or measure != "cosine of means"
