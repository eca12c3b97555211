"""What to label next: each strategy by hand, and orders without repeats."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st

from emobridge.bundle import Recognizer
from emobridge.data.manifest import read_manifest
from emobridge.errors import UserError
from emobridge.scores.entropy import entropy
from emobridge.study import suggest as module
from emobridge.study.suggest import STRATEGIES, core_set, margins, ranked, representative, spread_gradients, suggest

P = np.array([[0.5, 0.5, 0.0], [0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])


def test_margins_and_entropies_by_hand():
    np.testing.assert_allclose(margins(P), [0.0, 0.85, 0.1, 1.0])
    third = -(0.4 * math.log(0.4) + 0.6 * math.log(0.3))
    second = -(0.9 * math.log(0.9) + 0.1 * math.log(0.05))
    np.testing.assert_allclose(entropy(P), [math.log(2), second, third, 0.0], atol=1e-9)


def test_the_surest_come_last_and_the_two_measures_may_disagree():
    x = np.zeros((4, 2))
    assert ranked("margin", P, x, seed=0).tolist() == [0, 2, 1, 3]
    assert ranked("entropy", P, x, seed=0).tolist() == [2, 0, 1, 3]


def test_core_set_goes_to_what_is_farthest():
    x = np.array([[0.0], [1.0], [4.0], [10.0]])
    assert core_set(x, np.empty((0, 1)), 4).tolist() == [2, 3, 0, 1], "the first is nearest the mean, 3.75"
    assert core_set(x, np.array([[9.0]]), 3).tolist() == [0, 2, 1], "what is labelled is a centre"
    assert ranked("core-set", np.ones((4, 1)), x, labelled=np.array([[9.0]]), count=1, seed=0).tolist() == [0]


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(0, 4))
@quick(max_examples=30, deadline=None)
def test_each_choice_of_core_set_is_the_farthest_from_its_nearest_centre(seed, size, known):
    rng = np.random.default_rng(seed)
    x, centres = rng.standard_normal((size, 3)), rng.standard_normal((known, 3))
    order = core_set(x, centres, size).tolist()
    for place in range(0 if known else 1, size):
        chosen = np.concatenate([centres, x[order[:place]]])
        far = np.linalg.norm(x[:, None] - chosen, axis=2).min(1)
        assert far[order[place]] == pytest.approx(far.max())


def test_gradients_begin_with_the_longest_and_spread():
    """Two unsure groups and a sure one, whose gradients are nothing, be their features as long as they may."""
    p = np.array([[0.5, 0.5]] * 6 + [[1.0, 0.0]] * 6)
    x = np.array([[10.0, 0.0]] * 3 + [[0.0, 9.0]] * 3 + [[50.0, 50.0]] * 6)
    for seed in range(20):
        order = spread_gradients(p, x, 12, seed).tolist()
        assert order[0] in (0, 1, 2), "a = (1/2, 1/2) and |x| = 10"
        groups = [one // 3 if one < 6 else 2 for one in order]
        assert sorted(groups[:3]) == [0, 1, 2], "each group once before any twin"


def test_gradients_draw_by_squared_distance():
    p = np.full((3, 2), 0.5)  # of such p, squared distances of gradients are half those of features
    x = np.array([[10.0], [9.0], [8.0]])
    second = [int(spread_gradients(p, x, 2, seed)[1]) for seed in range(400)]
    assert second.count(0) == 0
    assert second.count(2) / 400 == pytest.approx(4 / 5, abs=0.06)


def test_the_representative_stands_for_most_doubts():
    """Three kinds of unsure utterances, five, three and one; and as many sure ones, whatever their features."""
    p = np.array([[0.5, 0.5]] * 3 + [[0.51, 0.49]] * 5 + [[0.49, 0.51]] + [[1, 0]] * 9, dtype=float)
    x = np.array([[0.0, 9.0]] * 3 + [[9.0, 0.0]] * 5 + [[-9.0, -9.0]] + [[9.0, 0.0]] * 9)
    order = representative(p, x, 18).tolist()
    assert [3 <= order[0] < 8, order[1] < 3, order[2] == 8] == [True] * 3, "the commonest kind first, each kind once"
    assert sorted(order[:9]) == list(range(9)) and order[9:] == list(range(9, 18)), "the sure ones follow by margin"


def test_of_equal_ones_the_least_sure_comes_first():
    assert representative(P, np.eye(4), 4).tolist() == [0, 2, 1, 3], "two of the half represent each other alike"
    assert representative(np.full((5, 3), 1 / 3), np.ones((5, 2)), 5).tolist() == [0, 1, 2, 3, 4], "twins"
    assert representative(np.eye(3)[[1, 1, 1, 1]], np.zeros((4, 1)), 4).tolist() == [0, 1, 2, 3], "one class, certain"
    sure = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
    assert representative(sure, np.empty((3, 0)), 3).tolist() == [1, 2, 0], "one predicted class, no features"
    for count in (1, 9):
        assert representative(sure[:1], np.ones((1, 1)), count).tolist() == [0]
    assert representative(sure, np.ones((3, 1)), 1).tolist() == [1]


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 5))
@quick(max_examples=30, deadline=None)
def test_each_representative_adds_most_to_what_is_represented(seed, size, width):
    rng = np.random.default_rng(seed)
    p, x = rng.dirichlet(np.ones(3), size), rng.standard_normal((size, width)) + 5
    order, half = representative(p, x, size).tolist(), np.argsort(margins(p), kind="stable")[: (size + 1) // 2]
    distance = np.square(x[half, None] - x[half]).sum(2)
    similarity = np.exp(-2 * distance / (np.median(distance) or 1))
    places = {row: place for place, row in enumerate(half.tolist())}
    assert set(order[: len(half)]) == set(half.tolist())
    for count in range(len(half)):
        before = [places[row] for row in order[:count]]
        values = [similarity[:, [*before, place]].max(1).sum() for place in range(len(half)) if place not in before]
        chosen = similarity[:, [*before, places[order[count]]]].max(1).sum()
        assert chosen == pytest.approx(max(values))


def test_a_large_half_is_thinned_evenly(monkeypatch):
    rng = np.random.default_rng(0)
    p, x = rng.dirichlet(np.ones(4), 300), rng.standard_normal((300, 3))
    whole = representative(p, x, 300)
    monkeypatch.setattr(module, "COMPARED", 20)
    order = representative(p, x, 300)
    assert sorted(order.tolist()) == list(range(300)) and order.tolist() != whole.tolist()
    rank = np.argsort(np.argsort(margins(p), kind="stable"))
    assert sorted(rank[order[:20]].tolist()) == np.linspace(0, 149, 20).round().astype(int).tolist()
    assert (np.diff(rank[order[20:]]) > 0).all(), "all others by margin"
    assert representative(p, x, 7).tolist() == order[:7].tolist()


@st.composite
def pools(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, c, d = draw(st.integers(1, 25)), draw(st.integers(2, 4)), draw(st.integers(1, 4))
    p, x = rng.dirichlet(np.ones(c), n), rng.standard_normal((n, d))
    if draw(st.booleans()):  # twins, and utterances of which it is certain
        p[: n // 2], x[: n // 2] = np.eye(c)[0], x[0]
    return p, x, rng.standard_normal((draw(st.integers(0, 3)), d))


@pytest.mark.parametrize("by", STRATEGIES)
@given(pools(), st.integers(0, 30), st.integers(0, 5))
@quick(max_examples=30, deadline=None)
def test_an_order_is_a_permutation_and_a_shorter_one_its_beginning(by, pool, count, seed):
    p, x, known = pool
    whole = ranked(by, p, x, labelled=known, seed=seed)
    assert sorted(whole.tolist()) == list(range(len(p))) and whole.dtype == np.int64
    assert ranked(by, p, x, labelled=known, count=count, seed=seed).tolist() == whole[:count].tolist()


def test_the_seed_decides_where_there_is_chance():
    rng = np.random.default_rng(0)
    p, x = rng.dirichlet(np.ones(3), 40), rng.standard_normal((40, 5))
    orders = {by: {tuple(ranked(by, p, x, seed=seed).tolist()) for seed in range(5)} for by in STRATEGIES}
    assert {by: len(some) for by, some in orders.items()} == {
        "core-set": 1,
        "entropy": 1,
        "margin": 1,
        "mixed": 5,
        "random": 5,
        "representative": 1,
    }


def test_an_unknown_strategy():
    with pytest.raises(UserError, match=r"unknown strategy 'margins': did you mean 'margin'\?"):
        ranked("margins", P, P, seed=0)


# With a recogniser


@pytest.fixture
def heard(finished, recorded):
    """A recogniser and the target's utterances, of which only speaker a's are labelled."""
    rows = list(read_manifest(recorded / "xx.jsonl"))
    rows = [one if one.speaker == "a" else replace(one, emotion=None) for one in rows]
    return Recognizer.load(finished / "bundle"), rows


@pytest.mark.parametrize("by", STRATEGIES)
def test_labelled_utterances_are_not_suggested(heard, by, tmp_path):
    recognizer, utterances = heard
    rows = suggest(recognizer, utterances, by=by, count=100, store=tmp_path)
    assert {row.utterance.id for row in rows} == {one.id for one in utterances if one.emotion is None}
    assert len(rows) == 12 and all(0.5 <= row.probability <= 1 for row in rows)
    assert {row.guess for row in rows} <= set(recognizer.labels)
    assert suggest(recognizer, utterances, by=by, count=3, store=tmp_path) == rows[:3]


def test_what_the_recogniser_was_trained_on_with_a_label_is_not_suggested(heard, recorded, tmp_path):
    recognizer, utterances = heard
    source = [replace(row, emotion=None, corpus="xx") for row in read_manifest(recorded / "en.jsonl")]
    rows = suggest(recognizer, [*source, *utterances], count=100, store=tmp_path)
    assert {row.utterance.id for row in rows} == {row.id for row in utterances if row.emotion is None}
    old = Recognizer(recognizer.spec, recognizer.encoder, recognizer.domains, recognizer.head)
    assert len(suggest(old, [*source, *utterances], count=100, store=tmp_path)) == 28, "it does not know its speech"


@pytest.mark.parametrize("by", STRATEGIES)
def test_silence_is_not_suggested(finished, recorded, tmp_path, by, monkeypatch):
    """Nobody can label it; and it is no centre of core-set, as labelled speech is."""
    from emobridge.inference import segments

    rows = [replace(row, emotion=None) for row in read_manifest(recorded / "xx.jsonl")]
    for row in rows[:5]:
        soundfile.write(row.path, np.zeros(4800), 16000)

    def what_sounds(pieces, **_):
        return [(0.0, 0.3)] if any([piece.any() for piece in pieces]) else []

    monkeypatch.setattr(segments, "speech_segments", what_sounds)
    recognizer = Recognizer.load(finished / "bundle")
    listed = suggest(recognizer, rows, by=by, count=len(rows), store=tmp_path)
    assert sorted(row.utterance.id for row in listed) == sorted(row.id for row in rows[5:])
    with pytest.raises(UserError, match="holds speech that can be found"):
        suggest(recognizer, rows[:5], by=by, store=tmp_path)


def test_the_least_sure_come_first(heard, tmp_path):
    rows = suggest(*heard, by="margin", count=100, store=tmp_path)
    sure = [row.probability for row in rows]
    assert sure == sorted(sure), "of two emotions the probability is the margin"


def test_what_is_labelled_is_a_centre_of_core_set(heard, tmp_path):
    recognizer, utterances = heard
    free = [one for one in utterances if one.emotion is None]
    first = {
        suggest(recognizer, some, by="core-set", count=1, store=tmp_path)[0].utterance.id
        for some in (free, [replace(one, emotion=None if one in free[:4] else "anger") for one in free])
    }
    assert len(first) == 2


def test_an_utterance_that_cannot_be_read_is_told_or_raises(heard, tmp_path):
    recognizer, utterances = heard
    utterances[-1] = replace(utterances[-1], path=str(tmp_path / "none.wav"))
    told = []
    rows = suggest(recognizer, utterances, store=tmp_path, on_skip=lambda name, reason: told.append(name))
    assert told == [utterances[-1].id] and utterances[-1].id not in {row.utterance.id for row in rows}
    with pytest.raises(Exception, match=r"none\.wav"):
        suggest(recognizer, utterances, store=tmp_path)


@pytest.mark.parametrize("by", STRATEGIES)
def test_a_pool_of_one_and_a_list_of_one(heard, by, tmp_path):
    recognizer, utterances = heard
    free = [row for row in utterances if row.emotion is None]
    for pool in (free[:1], [*free[:1], utterances[0]]):
        (row,) = suggest(recognizer, pool, by=by, count=1, store=tmp_path)
        assert row.utterance == free[0] and 0.5 <= row.probability <= 1
    assert len(suggest(recognizer, free, by=by, count=1, store=tmp_path)) == 1


@pytest.mark.parametrize("by", STRATEGIES)
def test_a_pool_of_one_speaker(heard, by, tmp_path):
    recognizer, utterances = heard
    speaker = next(row.speaker for row in utterances if row.emotion is None)
    pool = [row for row in utterances if row.speaker == speaker]
    rows = suggest(recognizer, pool, by=by, count=100, store=tmp_path)
    assert sorted(row.utterance.id for row in rows) == sorted(row.id for row in pool)


def test_mistakes(heard, tmp_path):
    recognizer, utterances = heard
    with pytest.raises(UserError, match="unknown strategy"):
        suggest(recognizer, utterances, by="best", store=tmp_path)
    with pytest.raises(UserError, match="count: expected 1 or more, got 0"):
        suggest(recognizer, utterances, count=0, store=tmp_path)
    with pytest.raises(UserError, match="nothing to suggest: no utterance that can be read lacks a label"):
        suggest(recognizer, [one for one in utterances if one.emotion], store=tmp_path)
