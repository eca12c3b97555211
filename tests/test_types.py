"""The records: frozen, light, and a label that is the same as argmax's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emobridge.types import Layers, Prediction, Score, Utterance, person, person_labels


@pytest.mark.parametrize("record", [Utterance, Layers, Prediction, Score])
def test_records_are_frozen_and_slotted(record):
    assert record.__dataclass_params__.frozen
    assert set(record.__slots__) == {field.name for field in dataclasses.fields(record)}


def test_no_record_has_a_field_that_can_change():
    """Frozen is only as good as the fields: tuples, never lists or dicts."""
    for record in (Utterance, Prediction, Score):
        assert not [field.name for field in dataclasses.fields(record) if "list" in field.type or "dict" in field.type]


def test_an_utterance_needs_an_id_a_corpus_and_a_path():
    utterance = Utterance("a", "c", "a.wav")
    assert (utterance.start, utterance.end, utterance.language, utterance.emotion) == (0.0, None, "und", None)
    with pytest.raises(TypeError):
        Utterance("a", "c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        utterance.emotion = "anger"


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5]), min_size=1, max_size=4))
def test_the_label_is_where_argmax_is(probabilities):
    """Ties too: a prediction must say what the scores of the run counted."""
    labels = ("sadness", "anger", "neutral", "fear")[: len(probabilities)]
    prediction = Prediction("a", 0.0, 1.0, labels, tuple(probabilities))
    assert prediction.label == labels[int(np.argmax(probabilities))]


def test_a_person_is_a_speaker_of_a_corpus():
    rows = [Utterance(str(n), corpus, "a.wav", speaker=f"{n:02}") for corpus in ("en", "de") for n in range(8)]
    assert len(set(map(person, rows))) == len(set(person_labels(rows))) == 16
    assert person_labels(rows)[8] == "de 00" and person_labels(rows[8:])[0] == "00"
    nobody = Utterance("a", "it", "a.wav")
    assert person(nobody) is None and person_labels([nobody]) == (None,)
    assert person_labels([nobody, rows[0]]) == (None, "en 00") and person_labels([]) == ()
