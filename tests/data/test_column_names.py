"""What the names of columns say."""

from __future__ import annotations

import pytest

from emobridge.data.column_names import TABLE_FIELDS, fold_name, is_column_name, understand_name, understand_names


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("path", "path"),
        ("file_name", "path"),
        ("FileName", "path"),
        ("wav path", "path"),
        ("audio_filepath", "path"),
        ("utterance file", "path"),
        ("Emotion ", "emotion"),
        ("EmoClass", "emotion"),
        ("emotion-label", "emotion"),
        ("label", "emotion"),
        ("SpkrID", "speaker"),
        ("client_id", "speaker"),
        ("Actor", "speaker"),
        ("lang", "language"),
        ("Language code", "language"),
        ("StartTime", "start"),
        ("start (ms)", "start"),
        ("onset", "start"),
        ("offset", "start"),
        ("end_time", "end"),
        ("Stop", "end"),
        ("dur", "duration"),
        ("duration_ms", "duration"),
        ("Duration in seconds", "duration"),
        ("Sentence", "text"),
        ("sex", "gender"),
        ("Split_Set", "split"),
        ("partition", "split"),
        ("dataset", "corpus"),
        ("EmoAct", "arousal"),
        ("utt_id", "id"),
        ("key", "id"),
        ("Geschlecht", "gender"),
        ("Emoción", "emotion"),
        ("notes", ""),
        ("", ""),
        ("ms", ""),
        ("a", ""),
        ("sentiment", ""),
        ("emotional_intensity", ""),
        ("speaker_age", "age"),
        ("Alter", "age"),
        ("average", ""),
        ("starts", ""),
    ],
)
def test_names_of_fields(name, field):
    assert understand_name(name).field == field
    assert is_column_name(name) == bool(field)


def test_every_field_is_its_own_name():
    assert [understand_name(field).field for field in TABLE_FIELDS] == list(TABLE_FIELDS)


@pytest.mark.parametrize(
    ("name", "per_second", "samples"),
    [
        ("start", None, False),
        ("start_s", 1, False),
        ("start [s]", 1, False),
        ("startMs", 1000, False),
        ("End Time (msec)", 1000, False),
        ("start_sample", None, True),
    ],
)
def test_units_of_times(name, per_second, samples):
    column = understand_name(name)
    assert (column.field in ("start", "end"), column.per_second, column.counts_samples) == (True, per_second, samples)


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        (["onset", "offset"], ["start", "end"]),
        (["offset", "duration"], ["start", "duration"]),
        (["V", "A", "D"], ["valence", "arousal", "dominance"]),
        (["a", "b"], ["", ""]),
        (["act", "val"], ["arousal", "valence"]),
        (["val"], [""]),
    ],
)
def test_what_names_say_together(names, fields):
    assert [column.field for column in understand_names(names)] == fields


def test_the_folded_name():
    assert fold_name("Ｅmotion_Label ") == "emotionlabel"
