"""Pseudonyms in records, scores and predictions."""

from __future__ import annotations

from emobridge.report.redact import Pseudonyms, redacted_predictions, redacted_scores
from emobridge.scores.base import Condition
from emobridge.scores.classes import Evaluation
from emobridge.settings import Adapt
from emobridge.types import Prediction, Utterance

ROWS = [
    Utterance("anna-1", "mine", "/home/kim/anna 1.wav", speaker="Anna", text="my name is Anna"),
    Utterance("anna-2", "mine", "/home/kim/anna 2.wav", speaker="Anna"),
    Utterance("03a01Fa", "emodb", "/home/kim/wav/03a01Fa.wav", speaker="03"),
]


def test_names_are_the_same_throughout_and_public_corpora_stay():
    names = Pseudonyms.of(ROWS)
    first, second, third = map(names.utterance, ROWS)
    assert [row.id for row in (first, second, third)] == ["recording 1", "recording 2", "recording 3"]
    assert (first.speaker, second.speaker, third.speaker) == ("speaker 1", "speaker 1", "speaker 2")
    assert first.text is None and first.path == ROWS[0].path, "it can still be read"
    assert names.clean(("mine: anna-1 (/home/kim/anna 1.wav) of Anna", "emodb", 3)) == (
        "corpus 1: recording 1 (recording 1.wav) of speaker 1",
        "emodb",
        3,
    )


def test_short_names_and_parts_of_words_are_left_alone():
    names = Pseudonyms.of([Utterance("a", "x", "a.wav", speaker="03"), Utterance("ang", "x", "b.wav", speaker="f")])
    assert names.clean("ang of 03, f: anger F1 03") == "recording 2 of 03, f: anger F1 03"


def test_places_that_options_name():
    request = Adapt.of(source=["clients/kim/en.jsonl", "de.csv"], target="/x/kim/xx.jsonl", out="kim-run", clips=False)
    cleaned = Pseudonyms.of([], request).clean(request)
    assert (cleaned.data.source, cleaned.data.target) == (("source-1.jsonl", "source-2.csv"), "target.jsonl")
    assert (cleaned.output.out, cleaned.features.encoder) == ("out", "logmel")


def test_scores_name_no_speaker():
    labels = ("anger", "sadness")
    scored = Evaluation(labels, labels * 2, (labels * 2,), ("mine Anna", "mine Anna", "emodb 03", "emodb 03"))
    condition = Condition("kim", "source-only", "logmel", "0", "speaker", "mine", "emodb", "0", "all", "target")
    rows = redacted_scores(scored.scores(condition), ROWS)
    assert {row.measure for row in rows} >= {"recall speaker speaker 1", "recall speaker speaker 2", "recall anger"}
    assert {(row.run, row.source, row.target) for row in rows} == {("redacted", "corpus 1", "emodb")}


def test_predictions_are_numbered_by_their_files():
    def row(path, start, **more):
        return Prediction(f"{path}@{start}", start, start + 1, ("anger",), (1.0,), path=path, **more)

    rows = [
        row("/kim/a.wav", 0.0),
        row("/kim/b.mp3", 0.0, channel=1),
        row("/kim/a.wav", 1.5, reason="/kim/a.wav: short"),
    ]
    redacted = list(redacted_predictions(rows))
    assert [(row.id, row.path) for row in redacted] == [
        ("recording 1@0", "recording 1.wav"),
        ("recording 2@0#1", "recording 2.mp3"),
        ("recording 1@1.5", "recording 1.wav"),
    ]
    assert redacted[2].reason == "the file: short"


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
