"""The description of a bundle is checked field by field: what is wrong is one line, and never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quick
from hypothesis import strategies as st

from emobridge.bundle import Recognizer, Spec
from emobridge.bundle.description import FIELDS, FORMAT
from emobridge.errors import UserError
from emobridge.inference.predict import predict
from emobridge.settings import Answering
from emobridge.types import Utterance

pytestmark = pytest.mark.usefixtures("all_speech")
BUNDLE = Path(__file__).with_name("format2")
pytestmark = pytest.mark.usefixtures("earlier_logmel")


@pytest.fixture(scope="module")
def stored(tmp_path_factory, earlier_logmel):
    """A copy of the bundle of format 2, and the fields of its description, which has no digest of its own."""
    folder = tmp_path_factory.mktemp("stored") / "bundle"
    shutil.copytree(BUNDLE, folder)
    return folder, json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


def load_changed(stored, **changes) -> Recognizer:
    """The bundle with other fields; those that are `...` are taken out."""
    folder, fields = stored
    fields = {key: value for key, value in {**fields, **changes}.items() if value is not ...}
    (folder / "bundle.json").write_text(json.dumps(fields), encoding="utf-8")
    return Recognizer.load(folder)


def test_every_field_of_a_spec_is_checked():
    assert tuple(FIELDS) == Spec.__slots__


WRONG = {
    "normalise": ({"normalise": "speeker"}, "normalise: unknown choice 'speeker': did you mean 'speaker'?"),
    "no choice": ({"normalise": "banana"}, "normalise: unknown choice 'banana'.* .one of corpus, none"),
    "align": ({"align": "corral"}, "align: unknown choice 'corral': did you mean 'coral'?"),
    "trained": ({"trained": "adapters+end-to-end"}, "trained: unknown choice .* did you mean"),
    "labels no list": ({"labels": "anger"}, "labels: expected a list of texts, got 'anger'"),
    "labels of numbers": ({"labels": [1, 2]}, "labels: expected text, got 1"),
    "labels twice": ({"labels": ["anger", "anger"]}, "labels: expected different names"),
    "nothing to predict": ({"labels": [], "attributes": []}, "labels: expected one or more"),
    "layer": ({"layer": "middle"}, "layer: expected layers such as '3' or '2.3.4', got 'middle'"),
    "layer as a number": ({"layer": 0}, "layer: expected text, got 0"),
    "no such layer": ({"layer": "7"}, "layer: unknown layer of logmel '7' .one of 0"),
    "no such statistic": (
        {"statistics": ["men"]},
        "statistics: unknown statistic .* did you mean 'mean'?",
    ),
    "other statistics": ({"statistics": ["mean", "std"]}, "model.safetensors: does not fit bundle.json"),
    "no statistics": ({"statistics": []}, "statistics: expected one name or more"),
    "frames": ({"frames": 1}, "frames: expected true or false, got 1"),
    "target labels": ({"target_labels": "some"}, "target_labels: expected a number or 'all', got 'some'"),
    "attributes": ({"attributes": ["arousel"]}, "attributes: unknown attribute 'arousel': did you mean 'arousal'?"),
    "more attributes": ({"attributes": ["arousal", "valence"]}, "does not fit bundle.json"),
    "attribute range": (
        {"attribute_range": "7..1"},
        "attribute_range: the range '7..1' of attributes: expected",
    ),
    "a control character": ({"encoder": "log\0mel"}, r"encoder: expected text, got 'log.x00mel'"),
    "half a character": ({"labels": ["anger", "\ud800"]}, "labels: expected text"),
    "an encoder's option": ({"encoder_options": ["source=x"]}, "the encoder 'logmel' cannot be loaded"),
    "tensors": ({"tensors": 1}, "tensors: expected text, got 1"),
    "adapters": ({"adapters": []}, "adapters: expected text"),
    "router no object": ({"router": []}, "router: expected languages and hears_base"),
    "router without languages": ({"router": {"hears_base": False}}, "router: the field 'languages' is missing"),
    "router of more languages": (
        {"router": {"languages": ["de", "it", "fr"], "hears_base": False}},
        "model.safetensors: does not fit bundle.json .a router of 2 languages",
    ),
    "format": ({"format": 2.5}, "format: expected a whole number from 1, got 2.5"),
    "format yes": ({"format": True}, "format: expected a whole number from 1, got True"),
    "no format": ({"format": ...}, "the field 'format' is missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_field_is_one_line_that_names_it(stored, case):
    changes, message = WRONG[case]
    with pytest.raises(UserError, match=message) as caught:
        load_changed(stored, **changes)
    assert len(str(caught.value).splitlines()) == 1 and "bundle.json" in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 1' + "0" * 5000 + "}", "null", "\ufeff{}", ""])
def test_what_is_no_object_of_fields_is_one_line(stored, text):
    (stored[0] / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"bundle\.json: is no description of a bundle") as caught:
        Recognizer.load(stored[0])
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A bundle as it is saved today, and its description."""
    folder = Recognizer.load(BUNDLE).save(tmp_path_factory.mktemp("saved") / "bundle", "card")
    return folder, json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


CHANGES = {
    "labels": ["sadness", "anger"],
    "normalise": "corpus",
    "by_corpus": ["demo-it"],
    "domains": [["demo-it", "it"], ["demo-en", "en"]],
    "head_options": ["input_dropout=0.5"],
    "synthetic": False,
    "method": "dann",
    "tensors": "0" * 64,
    "languages": {},
    "router": ...,
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_description_that_was_changed_is_refused(saved, key):
    """Reversed labels would fit the weights, and turn every answer round."""
    with pytest.raises(UserError, match=r"bundle\.json: is no description of a bundle .it was changed after"):
        load_changed(saved, **{key: CHANGES[key]})


def test_the_place_of_the_encoder_may_be_changed(saved):
    with pytest.raises(UserError, match=r"the encoder .elsewhere. is not at \./elsewhere, .*--encoder"):
        load_changed(saved, encoder="./elsewhere")
    assert load_changed(saved, encoder="logmel").labels == ("anger", "sadness")
    assert saved[1]["format"] == FORMAT and load_changed(saved, sha256=...).labels == ("anger", "sadness")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
WORDS = (
    "logmel opensmile 0 0+0 1 all frozen adapters end-to-end single linear multilayer corpus speaker+text none -1..1"
)
LISTS = (
    [],
    ["mean"],
    ["std"],
    ["arousal"],
    ["anger"],
    ["a=1"],
    ["hidden=9"],
    [["a", "b"]] * 2,
    [["demo-it", "it"]] * 2,
)
PLAUSIBLE = st.sampled_from([*WORDS.split(), *LISTS, [[], ["a"]], {}, {"it": "0"}, True, 3])
KEYS = st.sampled_from(["format", "tensors", "adapters", "languages", "router", *FIELDS])


@given(KEYS, VALUES | PLAUSIBLE | st.just(...))
@quick(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_field_ends_in_a_traceback(stored, recorded, monkeypatch, key, value):
    """Either one line says what is wrong, or the bundle answers."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        recognizer = load_changed(stored, **{key: value})
    except UserError as error:
        message = str(error)
    else:
        message, utterance = "", Utterance("u", "demo-it", str(recorded / "xx-a-anger-0.wav"), speaker="a")
        (prediction,) = predict(recognizer, [utterance], Answering.of(untold="target"))
        assert prediction.labels == recognizer.labels
    assert len(message.splitlines()) <= 1
