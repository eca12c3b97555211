"""Attributes on one scale, and what lies outside the scale of its corpus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.corpora import attribute_range, attribute_ranges, scale_of
from emobridge.data.attributes import (
    attributes_of,
    check_corpora,
    is_constructed,
    parse_range,
    parse_ranges,
    scaled,
    unscaled,
)
from emobridge.errors import UserError
from emobridge.options import joined_pairs
from emobridge.types import SCALE, Range, Utterance


def rated(name, corpus="msp-podcast", arousal=None, valence=None, dominance=None):
    return Utterance(name, corpus, f"{name}.wav", arousal=arousal, valence=valence, dominance=dominance)


@pytest.mark.parametrize(("text", "low", "high"), [("1..7", 1, 7), ("-1..1", -1, 1), (" 0.5 .. 5.5", 0.5, 5.5)])
def test_a_range_in_words(text, low, high):
    assert parse_range(text) == Range(low, high)
    assert parse_range(str(parse_range(text))) == Range(low, high)


@pytest.mark.parametrize("text", ["", "7", "1-7", "7..1", "1..1", "1..seven", "1..inf", "nan..1", "..", "1..5..7"])
def test_what_is_no_range(text):
    with pytest.raises(UserError, match=r"expected its ends, the lower one first, such as 1\.\.7"):
        parse_range(text)


def test_scaling_is_linear_and_keeps_what_is_not_known():
    assert scaled(np.array([1, 2, 3, 5]), Range(1, 5)).tolist() == [-1, -0.5, 0, 1]
    assert np.isnan(scaled(np.array([np.nan]), Range(1, 5))).all()


def test_corpora_of_different_scales_come_to_one():
    rows = [
        rated("a", arousal=7.0, valence=4.0, dominance=1.0),
        rated("b", "iemocap", arousal=5.0, valence=3.0),
        rated("c", "emodb"),
        rated("d", "demo-en", valence=-0.25),
    ]
    values = attributes_of(rows, attribute_ranges(rows, {}))
    expected = [[1, 0, -1], [1, 0, np.nan], [np.nan] * 3, [np.nan, -0.25, np.nan]]
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("value", [0.5, 7.01, -1])
def test_a_value_outside_is_named_with_its_utterance(value):
    rows = [rated("fine", arousal=1.0, valence=7.0), rated("odd", arousal=3.0, valence=value)]
    message = rf"utterance 'odd': valence is {value:g}; expected a value in 1\.\.7, the range of msp-podcast"
    with pytest.raises(UserError, match=message):
        attributes_of(rows, attribute_ranges(rows, {}))


def test_what_is_declared():
    assert attribute_range("msp-podcast") == attribute_range("biic-podcast") == Range(1, 7)
    assert attribute_range("iemocap") == Range(1, 5)
    assert attribute_range("demo-de") == attribute_range("emodb-constructed") == SCALE == Range(-1, 1)
    assert attribute_range("emodb") is None and attribute_range("calls") is None


def test_a_corpus_that_nobody_knows_needs_a_range():
    rows = [rated("a", "calls", arousal=80.0), rated("b", "letters")]
    with pytest.raises(UserError, match=r"calls: has attributes, .* give it, such as calls=1\.\.7"):
        attribute_ranges(rows, {})
    with pytest.raises(UserError, match="calls: has attributes"):
        attributes_of(rows, {})
    ranges = attribute_ranges(rows, {"calls": Range(0, 100)})
    assert attributes_of(rows, ranges)[0, 0] == pytest.approx(0.6)


def test_a_given_range_goes_before_the_declared_one():
    rows = [rated("a", "iemocap", valence=5.5)]
    with pytest.raises(UserError, match=r"'a': valence is 5\.5"):
        attributes_of(rows, attribute_ranges(rows, {}))
    assert attributes_of(rows, attribute_ranges(rows, {"iemocap": Range(0.5, 5.5)}))[0, 1] == 1


def test_a_name_tells_what_is_constructed():
    assert is_constructed("ravdess-constructed") and is_constructed("emodb+ravdess-constructed")
    assert not is_constructed("ravdess") and not is_constructed("constructed") and not is_constructed("")


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(-2, 2))
def test_unscaled_undoes_scaled(low, width, value):
    scale = Range(low, low + width)
    there = unscaled(np.array([value]), scale)
    assert scaled(there, scale) == pytest.approx([value], abs=1e-6)


def test_the_scale_of_a_corpus_is_its_own_then_what_is_declared_then_that_of_others():
    ranges = parse_ranges("1..5,iemocap=0.5..5.5,calls=0..100")
    expected = {"calls": "0..100", "iemocap": "0.5..5.5", "msp-podcast": "1..7", "letters": "1..5"}
    assert {corpus: str(scale_of(corpus, ranges)) for corpus in expected} == expected
    assert scale_of("calls", {}) is None and parse_ranges("") == {}
    rows = [rated("a", "calls", arousal=100), rated("b", arousal=7), rated("c", "letters", arousal=5), rated("d", "x")]
    assert attribute_ranges(rows, ranges).keys() == {"calls", "msp-podcast", "letters"}
    assert attributes_of(rows, attribute_ranges(rows, ranges))[:3, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("calls=5", r"the range '5' of attributes: expected its ends"),
        ("calls=", "attribute_range: expected pairs"),
        ("1..5,1..7", "gives a range without a corpus twice"),
        ("calls=1..5,calls=1..7", "gives calls twice"),
        ("calls 1..5", "the range 'calls 1..5' of attributes"),
    ],
)
def test_what_are_no_ranges(text, message):
    with pytest.raises(UserError, match=message):
        parse_ranges(text)


def test_a_corpus_with_a_comma_has_a_range_too():
    assert parse_ranges(joined_pairs({"calls, 2024": "1..5", "a=b": "1..7"})) == {
        "calls, 2024": Range(1, 5), "a=b": Range(1, 7),
    }  # fmt: skip


def test_all_values_outside_are_counted():
    rows = [rated(str(number), arousal=8.0, valence=4.0) for number in range(1200)]
    with pytest.raises(UserError, match=r"utterance '0': arousal is 8; .* \(1,199 more values are outside\)"):
        attributes_of(rows, attribute_ranges(rows, {}))


def test_a_range_of_a_corpus_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="attribute_range: unknown corpus of this run 'cals': did you mean 'calls'"):
        check_corpora(parse_ranges("cals=1..5"), [rated("a", "calls"), rated("b")])
    check_corpora(parse_ranges("1..5,calls=1..7"), [rated("a", "calls")])
