"""NAME=VALUE words for keyword parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.heads.nonlinear import Nonlinear
from emobridge.heads.single import Single
from emobridge.options import made, read_options


class Thing:
    def __init__(self, width: int, *, rate: float = 0.5, steps: int = 3, loud: bool = False, kind: str = "a") -> None:
        if rate < 0:
            raise ValueError(f"rate: expected 0 or more,\ngot {rate}")
        self.all = (width, rate, steps, loud, kind)


def test_values_become_what_they_look_like():
    words = ["a=1", "b=-0.5", "c=1e-3", "d=Yes", "e=off", "f=one", "g=", "h=x=y", "long-name=2"]
    expected = {"a": 1, "b": -0.5, "c": 1e-3, "d": True, "e": False, "f": "one", "g": "", "h": "x=y", "long_name": 2}
    assert read_options(words) == expected
    assert type(read_options(["a=1"])["a"]) is int and type(read_options(["a=1.0"])["a"]) is float


@pytest.mark.parametrize("word", ["", "=1", "threshold", "threshold:1"])
def test_a_word_without_name_or_value(word):
    with pytest.raises(UserError, match="expected NAME=VALUE"):
        read_options([word])


@given(st.floats(allow_nan=False))
def test_numbers_survive(value):
    assert read_options([f"x={value!r}"])["x"] == value


def test_made_passes_options_beside_what_is_given():
    assert made("thing", Thing, ["rate=1", "loud=on", "kind=b"], width=7).all == (7, 1, 3, True, "b")


def test_an_unknown_option_names_the_nearest_and_what_is_given_is_no_option():
    with pytest.raises(UserError, match=r"unknown option of thing 'rat': did you mean 'rate'\? \(one of kind, loud"):
        made("thing", Thing, ["rat=1"], width=7)
    with pytest.raises(UserError, match="unknown option of thing 'width'"):
        made("thing", Thing, ["width=1"], width=7)
    with pytest.raises(UserError, match="thing has no options"):
        made("thing", lambda: None, ["rate=1"])


@pytest.mark.parametrize("word", ["steps=1.5", "steps=true", "loud=1", "loud=maybe", "rate=high", "rate=no", "kind=3"])
def test_a_value_of_another_kind_than_the_default_is_refused(word):
    name = word.partition("=")[0]
    with pytest.raises(UserError, match=f"thing: {name}: expected") as caught:
        made("thing", Thing, [word], width=7)
    assert len(str(caught.value).splitlines()) == 1


def test_a_refusal_of_the_plugin_is_one_line():
    with pytest.raises(UserError) as caught:
        made("thing", Thing, ["rate=-1"], width=7)
    assert str(caught.value) == "thing: rate: expected 0 or more, got -1"


@pytest.mark.parametrize(
    ("head", "word"),
    [(Nonlinear, "hidden=-1"), (Nonlinear, "hidden=1.5"), (Single, "input_dropout=2"), (Single, "input_dropout=x")],
)
def test_bad_options_of_real_heads_are_a_users_mistake(head, word):
    with pytest.raises(UserError) as caught:
        made("head", head, [word], width=3, classes=2)
    assert len(str(caught.value).splitlines()) == 1
