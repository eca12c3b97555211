"""Options of plug-ins, read by their types."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.heads.nonlinear import Nonlinear
from emobridge.heads.single import Single
from emobridge.methods.dann import Dann
from emobridge.options import (
    Plugin,
    make_plugin,
    options_of,
    parameters_of,
    read_options,
    typed_options,
    unknown_option,
)


class Thing:
    def __init__(self, width: int, *, rate: float = 0.5, steps: int = 3, loud: bool = False, kind: str = "a") -> None:
        if rate < 0:
            raise ValueError(f"rate: expected 0 or more,\ngot {rate}")
        self.all = (width, rate, steps, loud, kind)


def test_values_stay_text_until_their_type_is_known():
    words = ["a=1", "b=-0.5", "d=Yes", "g=", "h=x=y", "long-name=2", "a=3"]
    assert read_options(words) == {"a": "3", "b": "-0.5", "d": "Yes", "g": "", "h": "x=y", "long_name": "2"}


def options(
    *,
    text: str = "a",
    truth: bool = True,
    whole: int = 1,
    number: float = 0.5,
    language: str | None = None,
    fold: int | None = None,
    blocks: str | int | None = None,
    names: tuple[str, ...] | None = None,
    anything=None,
) -> None:
    """A factory with an option of each type."""


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=no", "no"),  # Norwegian
        ("text=3", "3"),
        ("text=", ""),
        ("language=no", "no"),
        ("language=on", "on"),
        ("truth=no", False),
        ("truth=On", True),
        ("truth=FALSE", False),
        ("whole=3", 3),
        ("whole=-3", -3),
        ("number=3", 3.0),
        ("number=1e-3", 1e-3),
        ("fold=2", 2),
        ("blocks=2", 2),
        ("blocks=2+3", "2+3"),
        ("names=de, en", ("de", "en")),
        ("names=de", ("de",)),
        ("anything=no", "no"),
    ],
)
def test_text_is_read_by_the_type_of_the_option(word, value):
    read = typed_options("thing", read_options([word]), parameters_of(options))[word.partition("=")[0]]
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("whole", 1.5, "a whole number, got 1.5"),
        ("whole", True, "a whole number, got True"),
        ("whole", "1.5", "a whole number, got '1.5'"),
        ("whole", None, "a whole number, got None"),
        ("truth", 1, "yes or no, got 1"),
        ("truth", "maybe", "yes or no, got 'maybe'"),
        ("number", "high", "a number, got 'high'"),
        ("text", 3, "text, got 3"),
        ("fold", "x", "a whole number, got 'x'"),
        ("blocks", 1.5, "a whole number or text, got 1.5"),
        ("names", 3, "texts, joined by ',', got 3"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, expected):
    with pytest.raises(UserError, match=re.escape(f"thing: {name}: expected {expected}")):
        typed_options("thing", {name: value}, parameters_of(options))


def test_values_of_python_and_numpy_are_as_good_as_text():
    values = {"whole": np.int64(3), "number": np.float32(0.5), "truth": np.bool_(False), "fold": None, "names": ["a"]}
    read = typed_options("thing", values, parameters_of(options))
    assert read == {"whole": 3, "number": 0.5, "truth": False, "fold": None, "names": ("a",)}
    assert [type(value) for value in read.values()] == [int, float, bool, type(None), tuple]
    assert typed_options("thing", {"number": 3}, {"number": 0.5}) == {"number": 3.0}, "defaults alone tell the type too"


def test_the_annotations_need_not_be_there_at_run_time():
    def scan(root, version=1, *, where: NoSuchType = "a", deep: NoSuchType = None): ...  # noqa: F821

    assert list(parameters_of(scan)) == ["version", "where", "deep"]
    assert typed_options("thing", {"version": "2", "deep": "no"}, parameters_of(scan)) == {"version": 2, "deep": "no"}


@pytest.mark.parametrize("word", ["", "=1", "threshold", "threshold:1"])
def test_a_word_without_name_or_value(word):
    with pytest.raises(UserError, match="expected NAME=VALUE"):
        read_options([word])


@given(st.floats(allow_nan=False))
def test_numbers_survive(value):
    assert typed_options("thing", {"x": repr(value)}, {"x": 0.5})["x"] == value


def test_make_passes_options_beside_arguments():
    assert make_plugin("thing", Thing, ["rate=1", "loud=on", "kind=b"], width=7).all == (7, 1, 3, True, "b")


def test_an_unknown_option_names_the_nearest_and_an_argument_is_no_option():
    with pytest.raises(UserError, match=r"unknown option of thing 'rat': did you mean 'rate'\? \(one of kind, loud"):
        make_plugin("thing", Thing, ["rat=1"], width=7)
    with pytest.raises(UserError, match="unknown option of thing 'width'"):
        make_plugin("thing", Thing, ["width=1"], width=7)
    with pytest.raises(UserError, match="thing takes no options, but got 'rate'"):
        make_plugin("thing", lambda: None, ["rate=1"])


@pytest.mark.parametrize("word", ["steps=1.5", "steps=true", "loud=1", "loud=maybe", "rate=high", "rate=no"])
def test_a_value_of_another_kind_than_the_default_is_refused(word):
    name = word.partition("=")[0]
    with pytest.raises(UserError, match=f"thing: {name}: expected") as caught:
        make_plugin("thing", Thing, [word], width=7)
    assert len(str(caught.value).splitlines()) == 1


def test_a_refusal_of_the_plugin_is_one_line():
    with pytest.raises(UserError) as caught:
        make_plugin("thing", Thing, ["rate=-1"], width=7)
    assert str(caught.value) == "thing: rate: expected 0 or more, got -1.0"


@pytest.mark.parametrize(
    ("head", "word"),
    [(Nonlinear, "hidden=-1"), (Nonlinear, "hidden=1.5"), (Single, "input_dropout=2"), (Single, "input_dropout=x")],
)
def test_bad_options_of_real_heads_are_a_users_mistake(head, word):
    with pytest.raises(UserError) as caught:
        make_plugin("head", head, [word], width=3, classes=2)
    assert len(str(caught.value).splitlines()) == 1


def test_the_error_for_an_unknown_option():
    assert str(unknown_option("corpus x", "a", ["b"])).startswith("unknown option of corpus x 'a'")
    assert str(unknown_option("corpus x", "a", iter([]))) == "corpus x takes no options, but got 'a'"


def test_a_plugin_is_a_value():
    plugin = Plugin.parse("dann", ["strength=0.50", "hidden=7"])
    assert plugin == Plugin("dann", {"strength": "0.50", "hidden": "7"}) and hash(plugin) is not None
    assert plugin.options == (("hidden", "7"), ("strength", "0.50"))
    typed = plugin.check("methods")
    assert typed.options == (("hidden", 7), ("strength", 0.5)) and typed.check("methods") == typed
    assert (
        typed
        == Plugin("dann", {"strength": 0.5, "hidden": 7})
        == Plugin.parse("dann", typed.assignments).check("methods")
    )
    assert str(typed) == "dann(hidden=7, strength=0.5)" and str(Plugin("dann")) == str(Plugin(Dann)) == "dann"
    assert Plugin("fluda", {"once": True, "names": ["a", "b"], "fold": None}).assignments == ("names=a,b", "once=yes")
    assert Plugin("a", {"all-classes": 1}).options == (("all_classes", 1),)


def test_a_plugin_is_made_with_its_options():
    dann = Plugin.parse("dann", ["strength=0.5", "rebalance=no"]).make("methods")
    assert (dann.strength, dann.rebalance, dann.hidden) == (0.5, False, 100)
    assert Plugin(Dann, {"strength": 1}).make("methods").strength == 1.0
    head = Plugin("linear", {"hidden": "3"}).make("heads", width=5, classes=2)
    assert head.projection.out_features == 3
    assert Plugin("logmel").make("encoders").name == "logmel"
    assert Plugin("emotion-cnn", {"seed": "1"}).make("encoders").options["seed"] == 1


@pytest.mark.parametrize(
    ("kind", "plugin", "message"),
    [
        ("methods", Plugin("dann", {"stength": 1}), "unknown option of method dann 'stength': did you mean 'strength'"),
        ("methods", Plugin("dann", {"strength": "x"}), "method dann: strength: expected a number, got 'x'"),
        ("methods", Plugin("dan"), "unknown method 'dan': did you mean 'dann'"),
        ("encoders", Plugin("logmel", {"seed": 1}), "encoder logmel takes no options, but got 'seed'"),
        ("methods", Plugin(Dann(), {"strength": 1}), "method dann: is an object"),
    ],
)
def test_a_plugin_that_cannot_be_made_says_so(kind, plugin, message):
    for action in (plugin.make, plugin.check):
        if not isinstance(plugin.name, Dann) or action == plugin.make:
            with pytest.raises(UserError, match=message):
                action(kind)
    with pytest.raises(UserError, match="method dann: strength: expected 0 or more, got -1"):
        Plugin("dann", {"strength": -1}).make("methods")
    with pytest.raises(UserError, match="unknown option of head linear 'width'"):
        Plugin("linear", {"width": 3}).make("heads", width=5, classes=2)


def test_an_object_is_copied_for_each_training():
    dann = Dann(strength=0.5)
    first, second = (Plugin(dann).make("methods") for _ in range(2))
    first.task = "of the first training"
    assert not hasattr(dann, "task") and not hasattr(second, "task") and second.strength == 0.5
    assert Plugin(dann).identity("methods") == Plugin(Dann(strength=0.5)).identity("methods")


def test_the_identity_of_a_plugin_has_its_defaults_and_no_spelling():
    identity = Plugin("dann").identity("methods")
    for options_given in ({"strength": 0.3}, {"strength": "0.30", "rebalance": "yes"}, {"hidden": 100}):
        assert Plugin("dann", options_given).identity("methods") == identity == Plugin(Dann).identity("methods")
    assert Plugin("dann", {"strength": 0.31}).identity("methods") != identity
    assert Plugin("logmel").identity("encoders") != Plugin("emotion-cnn").identity("encoders")


def test_options_of_encoders_are_their_defaults():
    from emobridge.encoders.base import Encoder
    from emobridge.encoders.emotion_cnn import EmotionCnn

    class Banded(Encoder):
        @classmethod
        def open(cls, directory=None, *, bands: int = 40):
            """A class of one's own says its options as parameters."""

    assert options_of(EmotionCnn) == {"seed": 0} and options_of(Banded) == {"bands": 40}


def test_options_of_functions_have_a_default():
    from emobridge.corpora import crema_d, table

    assert options_of(crema_d.scan) == {"audio": "wav"}
    assert set(options_of(table.scan)) == {"intake", "table"}
    assert all(isinstance(value, inspect.Parameter) for value in parameters_of(table.scan).values())


def test_an_object_that_cannot_be_a_key_has_options_too():
    class Called:
        __hash__ = None

        def __call__(self, rows, *, most: int = 3): ...

    assert [parameter.default for parameter in parameters_of(Called()).values()] == [3]
