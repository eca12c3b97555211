"""Welch's test against its formula and scipy, and the subsets that it is done over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from emobridge.errors import UserError
from emobridge.scores.attributes import AttributeEvaluation
from emobridge.scores.classes import Evaluation
from emobridge.scores.measures.ccc import Ccc
from emobridge.scores.measures.ua import Ua
from emobridge.scores.measures.wa import Wa
from emobridge.scores.welch import TAILS, subsets, welch
from emobridge.types import Utterance


def test_it_is_the_formula():
    x, y = [0.60, 0.62, 0.65, 0.61, 0.66], [0.55, 0.60, 0.50, 0.61]
    parts = np.var(x, ddof=1) / 5, np.var(y, ddof=1) / 4
    test = welch(x, y)
    assert test.t == pytest.approx((np.mean(x) - np.mean(y)) / np.sqrt(sum(parts)))
    assert test.freedom == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 3))
    for tail in TAILS:
        expected = ttest_ind(x, y, equal_var=False, alternative=tail)
        test = welch(x, y, tail=tail)
        assert (test.t, test.freedom, test.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    test = welch(x, y)
    assert test.difference == pytest.approx(np.mean(x) - np.mean(y))
    assert (test.tail, test.counts, test.significant) == ("greater", (5, 4), True)


def test_the_tails():
    x, y = [0.60, 0.62, 0.65, 0.64], [0.55, 0.60, 0.50, 0.61]
    greater, less, both = (welch(x, y, tail=tail) for tail in ("greater", "less", "two-sided"))
    assert greater.p + less.p == pytest.approx(1)
    assert both.p == pytest.approx(2 * greater.p)
    assert welch(y, x).p == pytest.approx(less.p)
    assert greater.significant and not both.significant and not less.significant


def test_equal_systems_differ_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    significant = [welch(rng.normal(size=10), rng.normal(0, 3, size=15)).significant for _ in range(2000)]
    assert np.mean(significant) == pytest.approx(0.05, abs=0.015)


def test_values_that_differ_by_rounding_alone_do_not_vary():
    test = welch([0.1 + 0.2, 0.3], [0.7 + 0.1, 0.8])
    assert len({0.1 + 0.2, 0.3}) == 2 and np.isnan([test.t, test.p]).all()


def test_where_nothing_varies_nothing_is_claimed():
    test = welch([0.5, 0.5], [0.4, 0.4])
    assert np.isnan(test.p) and not test.significant
    assert test.difference == pytest.approx(0.1)
    assert welch([0.5, 0.5, 0.5], [0.4, 0.41, 0.39]).significant


@pytest.mark.parametrize(
    ("x", "y", "tail", "message"),
    [
        ([0.5], [0.4, 0.3], "greater", "1 against 2 values: expected two or more"),
        ([0.5, np.nan], [0.4, 0.3], "greater", "not all finite: choose fewer subsets"),
        ([0.5, 0.6], [0.4, 0.3], "grater", "unknown tail of a test 'grater': did you mean 'greater'"),
    ],
)
def test_mistakes_are_named(x, y, tail, message):
    with pytest.raises(UserError, match=message):
        welch(x, y, tail=tail)


def utterances(speakers=6, takes=4, corpus="c"):
    return [
        Utterance(f"{speaker}-{take}", corpus, "x.wav", speaker=f"s{speaker}", emotion=("anger", "sadness")[take % 2])
        for speaker in range(speakers)
        for take in range(takes)
    ]


def test_subsets_share_no_speaker_where_there_are_enough():
    rows = utterances()
    drawn = subsets(rows, 3, seed=1)
    assert drawn.by == "speakers"
    assert sorted(index for part in drawn.parts for index in part) == list(range(24))
    people = [{rows[index].speaker for index in part} for part in drawn.parts]
    assert [len(names) for names in people] == [2, 2, 2]
    assert len(set().union(*people)) == 6
    assert subsets(rows, 3, seed=1) == drawn


@pytest.mark.parametrize("rows", [utterances(speakers=2, takes=12), [*utterances(), Utterance("u", "c", "x.wav")]])
def test_else_they_share_speakers_and_say_so(rows):
    drawn = subsets(rows, 4)
    assert drawn.by == "utterances"
    assert sorted(index for part in drawn.parts for index in part) == list(range(len(rows)))
    emotions = [sum(rows[index].emotion == "anger" for index in part) for part in drawn.parts]
    assert emotions == [3, 3, 3, 3]


def test_subsets_that_cannot_be():
    with pytest.raises(UserError, match="1 test subsets: expected 2 or more"):
        subsets(utterances(), 1)
    with pytest.raises(UserError, match="9 parts need as many utterances; there are 4"):
        subsets(utterances(speakers=1), 9)


def test_values_of_emotions_by_seed_and_subset():
    rows = utterances()
    truth = tuple(row.emotion for row in rows)
    rng = np.random.default_rng(0)
    predictions = tuple(tuple(map(str, rng.choice(("anger", "sadness"), len(rows)))) for _ in range(2))
    data = Evaluation(("anger", "sadness"), truth, predictions, tuple(row.speaker for row in rows))
    parts = subsets(rows, 3).parts
    values = data.per_subset(parts)["UA"]
    assert len(values) == 2 * 3
    subset = [truth[index] for index in parts[2]], [predictions[1][index] for index in parts[2]]
    assert values[5] == Ua()(*subset, labels=data.labels)
    assert data.per_subset(parts, measure="WA")["WA"][5] == Wa()(*subset, labels=data.labels)
    with pytest.raises(UserError, match="unknown measure 'UAR'"):
        data.per_subset(parts, measure="UAR")
    right = Evaluation(data.labels, truth, (truth, truth), data.speakers)
    assert welch(right.per_subset(parts)["UA"], values).significant


def test_values_of_attributes_by_seed_and_subset():
    rows = utterances()
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, size=(24, 2))
    predicted = np.stack([truth + rng.normal(0, scale, size=(24, 2)) for scale in (0.1, 0.2)])
    truth[3, 1] = np.nan
    data = AttributeEvaluation(("arousal", "valence"), truth, predicted, tuple(row.speaker for row in rows))
    parts = subsets(rows, 3).parts
    values_by_attribute = data.per_subset(parts)
    assert list(values_by_attribute) == ["CCC arousal", "CCC valence"]
    values = values_by_attribute["CCC valence"]
    assert len(values) == 2 * 3
    for seed in range(2):
        for which, part in enumerate(parts):
            rated = [index for index in part if index != 3]
            expected = Ccc()(truth[rated, 1], predicted[seed, rated, 1])
            assert values[3 * seed + which] == pytest.approx(expected)
    alone = data.per_subset([[3], range(24)])["CCC valence"]
    assert np.isnan(alone[0]) and not np.isnan(alone[1]), "a single utterance has no CCC"
