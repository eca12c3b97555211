"""Pseudonyms: which texts get them, and which do not."""

from __future__ import annotations

from emobridge.report.redact import Pseudonyms, redacted_predictions
from emobridge.types import Prediction, Utterance


def utterance(name, speaker, corpus="clinic", path=""):
    return Utterance(name, corpus, path or f"/home/anna/{name}.wav", speaker=speaker)


def test_what_is_called_like_a_word_of_records_does_not_change_them():
    rows = [
        utterance("1", "speaker", "target", "/home/anna/anger.wav"),
        utterance("2", "female", "source", "/home/ben/anger.wav"),
        utterance("corpus-3", "linear", "coral"),
    ]
    names = Pseudonyms.of(rows)
    record = {
        "label": "anger",
        "side": "target",
        "normalise": ("speaker", "corpus"),
        "gender": "female",
        "head": "linear",
    }
    assert names.clean(record) == record
    assert names.clean("/home/anna/anger.wav") == "recording 1.wav" and names.clean("source-only") == "source-only"
    assert [names.utterance(row).speaker for row in rows] == ["speaker 1", "speaker 2", "speaker 3"]


def test_speakers_of_one_name_in_two_corpora_are_two_and_of_one_corpus_one():
    rows = [
        utterance("a1", "Anna"),
        utterance("a2", "Anna"),
        utterance("tape-3", "Anna", "other"),
        utterance("a4", None),
    ]
    names = Pseudonyms.of(rows)
    assert [names.utterance(row).speaker for row in rows] == ["speaker 1", "speaker 1", "speaker 2", None]
    assert names.clean("Anna said tape-3, not Annabel") == "speaker 2 said recording 3, not Annabel"


def test_only_an_ending_of_audio_files_stays():
    rows = [Prediction("x", 0.0, 1.0, (), (), path=path) for path in ("/calls/tape 3.Smith", "b.FLAC")]
    assert [row.path for row in redacted_predictions(rows)] == ["recording 1", "recording 2.FLAC"]
    assert Pseudonyms.of([utterance("a", None, path="/calls/tape 3.Smith")]).clean("tape 3.Smith") == "recording 1"
