"""Which emotion a label means, and what is said of one that means none."""

from __future__ import annotations

import pytest

from emobridge.data.labels import EMOTIONS, UnknownLabel, likely_emotion, to_emotion
from emobridge.errors import UserError


def test_every_emotion_means_itself():
    assert [to_emotion(emotion) for emotion in EMOTIONS] == list(EMOTIONS)
    assert [to_emotion(emotion, language="ja") for emotion in EMOTIONS] == list(EMOTIONS)


@pytest.mark.parametrize("raw", ["", "  ", None, "NaN", "unlabelled", "-"])
def test_no_label(raw):
    assert to_emotion(raw) is None


def test_mapping_goes_first_and_may_use_any_word():
    mapping = {"W": "anger", "exc": "joy", "sad": "boredom", "xxx": "unlabelled", "y": ""}
    assert [to_emotion(raw, mapping) for raw in ("W", " exc ", "sad", "xxx", "y", "fear")] == [
        "anger", "happiness", "boredom", None, None, "fear",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "mapping", "message"),
    [
        ("hapiness", None, "unknown emotion label 'hapiness': did you mean 'happiness'? (one of anger, "),
        ("tristezzza", None, "unknown emotion label 'tristezzza': did you mean 'tristezza' (sadness)? (one of "),
        ("zaped", {"zapped": "other"}, "label 'zaped': did you mean 'zapped' (other)? (one of zapped, anger, "),
        ("Excited", None, "label 'Excited': excitement is an emotion that emobridge does not have (one of anger, "),
        ("09", {"09": "Excited"}, "label '09': 'Excited' by the data set's map, excitement is an emotion that "),
        ("09", {"09": "gloomy"}, "label '09': 'gloomy' by the data set's map (one of 09, anger, "),
        ("fruu", None, "unknown emotion label 'fruu' (one of anger, "),
        ("Content", None, "happiness in French, contentment in English; the row's language decides (one of "),
    ],
)
def test_an_unknown_label_is_named_with_what_is_known_of_it(raw, mapping, message):
    with pytest.raises(UnknownLabel) as error:
        to_emotion(raw, mapping)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert error.value.label == raw


def test_what_a_label_likely_means():
    labels = {"boredem": "boredom", "frustated": None, "fru": None, "Angriness": None, "supprise": "surprise"}
    assert {label: likely_emotion(label) for label in labels} == labels


def test_many_unknown_labels_cost_little():
    """The spelling is compared when the error is shown, not for each of a million rows."""
    import time

    start = time.process_time()
    for number in range(20_000):
        with pytest.raises(UserError):
            to_emotion(f"a sentence {number % 5000} that is no label")
    assert time.process_time() - start < 5
