"""Settings: TOML there and back, and one line for each mistake."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.settings import CHOICES, Settings, from_mapping, read_settings, write_settings
from emobridge.types import ATTRIBUTES

PLAIN = {"source": ["en.jsonl"], "target": "xx.jsonl", "labels": ["anger", "sadness"]}
text = st.text(st.characters(codec="utf-8"), max_size=8)
words = st.lists(text, max_size=3).map(tuple)
above = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
VALUES = {
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
    "source": st.lists(text, min_size=1, max_size=3).map(tuple),
    "labels": st.lists(text, min_size=2, max_size=4, unique=True).map(tuple),
    "attributes": st.lists(st.sampled_from(ATTRIBUTES), unique=True).map(tuple),
    "target_labels": st.one_of(st.just("all"), st.integers(0, 10**6).map(str)),
    "folds": st.integers(0, 20).filter(lambda folds: folds != 1),
    "patience": st.integers(0, 100),
    **dict.fromkeys(("seeds", "epochs", "batch_size", "accumulate"), st.integers(1, 10**9)),
    **dict.fromkeys(("learning_rate", "decay", "crop"), above),
    "encoder_rate": st.just(0.0) | above,
}
KINDS = {"str": text, "tuple[str, ...]": words, "bool": st.booleans()}


@st.composite
def settings(draw):
    kinds = {field.name: field.type for field in fields(Settings)}
    values = {name: draw(VALUES[name] if name in VALUES else KINDS[kind]) for name, kind in kinds.items()}
    if values["train"] != "frozen":
        values |= {"align": "none", "layer": "0", "normalise": "speaker", "by_corpus": ()}
    if not values["patience"]:
        values |= {"validate": "source"}
    if not values["attributes"]:
        values |= {"attribute_range": ""}
    return Settings(**values)


@given(settings())
def test_toml_there_and_back(tmp_path_factory, one):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    write_settings(path, one)
    assert read_settings(path) == one


def test_what_toml_does_not_say_is_the_default(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('source = ["en.jsonl"]\ntarget = "xx.jsonl"\nlabels = ["anger", "sadness"]\nlearning_rate = 1\n')
    expected = Settings(source=("en.jsonl",), target="xx.jsonl", labels=("anger", "sadness"), learning_rate=1.0)
    assert read_settings(path) == expected
    assert type(read_settings(path).learning_rate) is float


def test_the_defaults_are_those_of_methods_e():
    one = from_mapping(PLAIN)
    assert (one.epochs, one.batch_size, one.learning_rate, one.decay, one.seeds) == (100, 100, 1e-3, 0.95, 3)
    assert (one.method, one.head, one.target_labels, one.crop) == ("soft-pseudo-labels", "auto", "0", 2.0)


ALONE = {"labels": [], "attributes": ["arousal"], "method": "source-only"}
BAD = [
    ({"sorce": ["a"]}, "unknown key 'sorce': did you mean 'source'?"),
    ({"learning-rate": 1.0}, "did you mean 'learning_rate'?"),
    ({"source": "en.jsonl"}, "source: expected a list of words, got 'en.jsonl'"),
    ({"source": 5}, "source: expected a list of words, got 5"),
    ({"source": {"a": "b"}}, "source: expected a list of words"),
    ({"source": ["a", 1]}, "source: expected a list of words"),
    ({"source": []}, "source: expected at least one manifest"),
    ({"target": ["a"]}, "target: expected str, got ['a']"),
    ({"labels": ["anger"]}, "labels: expected two or more different emotions, got anger"),
    ({"labels": []}, "labels: expected two or more different emotions, got none"),
    ({"labels": ["anger", "anger"]}, "labels: expected two or more"),
    ({"attributes": ["arousel"]}, "unknown attribute 'arousel': did you mean 'arousal'?"),
    ({"attributes": ["valence", "valence"]}, "attributes: valence,valence: one stands twice"),
    ({"attribute_range": "1..7"}, "attribute_range: means nothing without attributes"),
    ({**ALONE, "method": "auto"}, "method: 'auto' goes by emotions, and labels are none: name one"),
    ({**ALONE, "layer": "auto"}, "layer: 'auto' goes by emotions"),
    ({**ALONE, "validate_by": "ua"}, "validate_by: 'ua' goes by emotions, and labels are none: give loss"),
    ({**ALONE, "labels": ["anger"]}, "labels: expected two or more different emotions, got anger"),
    ({**ALONE, "labelled": "list.csv"}, "labelled: a list holds emotions, and labels are none"),
    ({"target_labels": 25}, "target_labels: expected str, got 25"),
    ({"target_labels": "-1"}, "target_labels: expected a number or 'all', got '-1'"),
    ({"target_labels": "1.5"}, "target_labels: expected a number or 'all'"),
    ({"target_labels": ""}, "target_labels: expected a number or 'all'"),
    ({"normalise": "speakers"}, "unknown normalise 'speakers': did you mean 'speaker'?"),
    ({"align": "coral2"}, "unknown align 'coral2': did you mean 'coral'?"),
    ({"train": "end"}, "unknown train 'end'"),
    ({"pool": "opened"}, "did you mean 'open'?"),
    ({"seeds": 0}, "seeds: expected 1 or more, got 0"),
    ({"seeds": True}, "seeds: expected int, got True"),
    ({"seeds": 1.0}, "seeds: expected int, got 1.0"),
    ({"epochs": -1}, "epochs: expected 1 or more"),
    ({"batch_size": 0}, "batch_size: expected 1 or more"),
    ({"folds": 1}, "folds: expected 2 or more, or 0"),
    ({"folds": -5}, "folds: expected 2 or more, or 0"),
    ({"patience": -1}, "patience: expected 0 or more, got -1"),
    ({"validate": "target", "patience": 1}, "unknown validate 'target'"),
    ({"validate_by": "UA"}, "unknown validate_by 'UA'"),
    ({"validate": "both"}, "validate: 'both' chooses the epoch by held-out speakers: give patience above 0 too"),
    ({"learning_rate": 0.0}, "learning_rate: expected a number above 0"),
    ({"learning_rate": float("nan")}, "learning_rate: expected a number above 0"),
    ({"learning_rate": float("inf")}, "learning_rate: expected a number above 0"),
    ({"learning_rate": True}, "learning_rate: expected float, got True"),
    ({"decay": -0.5}, "decay: expected a number above 0"),
    ({"crop": 0}, "crop: expected a number above 0"),
    ({"encoder_rate": -1e-5}, "encoder_rate: expected 0 or more"),
    ({"accumulate": 0}, "accumulate: expected 1 or more"),
    ({"precision": "fp16"}, "unknown precision 'fp16'"),
    ({"share_speakers": 1}, "share_speakers: expected bool, got 1"),
    ({"class_weights": "yes"}, "class_weights: expected bool, got 'yes'"),
    ({"train": "end-to-end", "layer": "0", "align": "coral"}, "align: 'coral' works on frozen features"),
    ({"train": "end-to-end", "layer": "auto", "align": "none"}, "layer: 'auto' works on frozen features"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_each_bad_value_is_one_line(change, message):
    with pytest.raises(UserError) as caught:
        from_mapping({**PLAIN, **change}, "run.toml")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_every_setting_with_a_bound_refuses_something():
    """A setting of a number without a bad value in the table above has nobody who looks at it."""
    numbers = {field.name for field in fields(Settings) if field.type in ("int", "float")}
    assert numbers <= {name for change, _ in BAD for name in change}


@pytest.mark.parametrize("key", ["source", "target", "labels"])
def test_a_missing_key_is_named_with_the_file(key):
    values = {name: value for name, value in PLAIN.items() if name != key}
    with pytest.raises(UserError, match=f"run.toml: the key '{key}' is missing"):
        from_mapping(values, "run.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"source = [", "is not TOML"),
        (b"epochs = 3\nepochs = 4\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"epoch = 3\n", "unknown key 'epoch': did you mean 'epochs'?"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_settings(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none.toml: cannot be read \(No such file"):
        read_settings(tmp_path / "none.toml")
    with pytest.raises(UserError, match="cannot be read"):
        read_settings(tmp_path)


def test_settings_are_checked_however_they_are_made():
    one = from_mapping(PLAIN)
    with pytest.raises(UserError, match="folds"):
        replace(one, folds=1)
    assert from_mapping(asdict(one)) == one
