"""From the manifests of a run to one Speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.speech import UNLABELLED
from emobridge.errors import UserError
from emobridge.settings import Data
from emobridge.study import reading
from emobridge.study.reading import labels_of, spell_emotions, target_labels_of
from emobridge.types import Utterance


@pytest.fixture
def write(tmp_path):
    """Write a manifest of "speaker emotion" words; None and "-" are missing."""

    def make(name: str, *rows: str, corpus: str = "", first: int = 0) -> str:
        utterances = []
        for number, row in enumerate(rows, first):
            speaker, emotion = (None if word == "-" else word for word in row.split())
            one = Utterance(f"{corpus or name}-{number}", corpus or name, f"{name}{number}.wav", language=name)
            utterances.append(replace(one, speaker=speaker, emotion=emotion))
        write_manifest(tmp_path / f"{name}.jsonl", utterances)
        return str(tmp_path / f"{name}.jsonl")

    return make


def settings(source, target, **changes) -> Data:
    source = (source,) if isinstance(source, str) else tuple(source)
    return Data(**{"source": source, "target": target, "labels": ("anger", "sadness"), **changes})


def read_speech(data: Data, **options):
    return reading.read_speech(data, labels_of(data), **options)


def test_sources_come_corpus_by_corpus_and_then_the_target(write):
    one = write("en", "a sadness", "a anger", "b fear")
    two = write("de", "c sadness", "d anger")
    target = write("it", "x anger", "y -", "z fear", "x sadness")
    speech, left_out = read_speech(settings((one, two), target, pool="closed"))
    assert [one.id for one in speech.utterances] == ["en-0", "en-1", "de-0", "de-1", "it-0", "it-3", "it-1"]
    assert speech.label.tolist() == [1, 0, 1, 0, 0, 1, UNLABELLED]
    assert speech.domain_of.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert speech.target == 2 and left_out == 1
    assert speech.is_target.tolist() == [False] * 4 + [True] * 3
    assert speech.corpora == (("en", "en"), ("de", "de"), ("it", "it"))
    assert speech.features is None and speech.label.dtype == np.int64


def test_a_manifest_is_read_once(write, monkeypatch):
    source, target = write("en", "a sadness", "a anger"), write("it", "x anger")
    paths, read = [], reading.utterances_at
    monkeypatch.setattr(reading, "utterances_at", lambda path, on_note=None: paths.append(path) or read(path, on_note))
    manifests = reading.Manifests()
    first, _ = reading.read_speech(settings(source, target), ("anger", "sadness"), manifests=manifests)
    again, _ = reading.read_speech(settings(source, target), ("anger", "sadness"), manifests=manifests)
    assert first.utterances == again.utterances and len(manifests.at(source)) == 2
    assert paths == [source, target]


def test_two_corpora_in_one_manifest_are_two_domains(write, tmp_path):
    one, two = write("en", "a sadness", "a anger"), write("de", "c sadness", "d anger")
    both = tmp_path / "both.jsonl"
    both.write_text(Path(one).read_text() + Path(two).read_text())
    speech, _ = read_speech(settings(str(both), write("it", "x anger")))
    assert speech.domain_of.tolist() == [0, 0, 1, 1, 2]


def test_one_corpus_in_two_manifests_is_one_domain(write):
    one, two = write("en", "a sadness", corpus="c"), write("uk", "b anger", corpus="c", first=5)
    speech, _ = read_speech(settings((one, two), write("it", "x anger")))
    assert speech.domain_of.tolist() == [0, 0, 1]


def test_the_order_of_the_labels_is_the_settings(write):
    source, target = write("en", "a sadness", "a anger"), write("it", "x anger")
    speech, _ = read_speech(settings(source, target, labels=("sadness", "anger")))
    assert speech.label.tolist() == [0, 1, 1]


def test_the_order_of_the_rows_changes_nothing(write, tmp_path):
    """A11: utterances are ordered by corpus, speaker and id, whatever the order of the manifest's rows."""
    source, target = write("en", "b sadness", "a anger", "b anger", "a sadness"), write("it", "y -", "x anger", "- -")
    before, _ = read_speech(settings(source, target))
    assert [row.id for row in before.utterances] == ["en-1", "en-3", "en-0", "en-2", "it-2", "it-1", "it-0"]
    for path in (source, target):
        lines = Path(path).read_text().splitlines(keepends=True)
        Path(path).write_text("".join(reversed(lines)))
    after, _ = read_speech(settings(source, target))
    assert after.utterances == before.utterances and after.label.tolist() == before.label.tolist()
    assert after.domain_of.tolist() == before.domain_of.tolist()


def test_an_open_pool_keeps_other_emotions_unlabelled(write):
    source = write("en", "a sadness", "a anger", "a fear")
    target = write("it", "x anger", "y fear", "y -")
    assert settings(source, target).pool == "open", "a recording is never left out by its label unless asked for (A10)"
    speech, left_out = read_speech(settings(source, target, pool="open"))
    assert speech.label.tolist() == [1, 0, 0, UNLABELLED, UNLABELLED] and left_out == 0
    speech, left_out = read_speech(settings(source, target, pool="closed"))
    assert speech.label.tolist() == [1, 0, 0, UNLABELLED] and left_out == 1


def test_a_target_without_any_label(write):
    speech, left_out = read_speech(settings(write("en", "a sadness", "a anger"), write("it", "x -", "- -")))
    assert speech.label.tolist() == [1, 0, UNLABELLED, UNLABELLED] and left_out == 0


def test_a_list_labels_the_target_and_bounds_what_may_be_seen(write, tmp_path):
    source, target = write("en", "a sadness", "a anger"), write("it", "x -", "y anger", "y -", "z fear")
    path = tmp_path / "l.csv"
    path.write_text("id,path,emotion\nit-2,a.wav,sad\nit-0,a.wav,\n")
    some = settings(source, target, labelled=str(path), pool="closed")
    speech, left_out = read_speech(some)
    assert speech.label.tolist() == [1, 0, UNLABELLED, 0, 1] and left_out == 1
    assert speech.visible == {"it-2"} and read_speech(settings(source, target))[0].visible is None


def test_the_budget_is_the_whole_list_unless_a_smaller_one_is_named(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("id,path,emotion\na,a.wav,sad\nb,b.wav,\nc,c.wav,wut\n")
    budgets = {
        asked: target_labels_of(settings("s", "t", labelled=str(path), target_labels=asked))
        for asked in ("0", "all", "1")
    }
    assert budgets == {"0": "2", "all": "2", "1": "1"}
    assert [target_labels_of(settings("s", "t", target_labels=amount)) for amount in ("0", "3")] == ["0", "3"]


def test_mistakes_are_one_line_that_names_them(write):
    source, target = write("en", "a sadness", "b anger"), write("it", "x anger", "y sadness")
    cases = [
        (settings(write("af", "a fear"), target), r"af\.jsonl: has no utterance of anger, sadness; it has fear"),
        (settings(write("am", "a -"), target), r"am\.jsonl: has no utterance of anger, sadness; it has no labels"),
        (settings(write("ar", "a anger", "b fear"), target), "the source has no utterance of 'sadness'; it has anger"),
        (
            settings(source, write("sq", "x fear"), pool="closed"),
            r"sq\.jsonl: no utterance is unlabelled or of anger, sadness",
        ),
        (settings((source, source), target), "the id 'en-0' stands in two manifests"),
        (settings(source, source), "the id 'en-0' stands in two manifests"),
        (
            settings(source, write("sv", "b anger", corpus="en", first=9)),
            "speakers b of .* are in the source",
        ),
        (settings(source, "nowhere.jsonl"), r"nowhere\.jsonl: cannot be read"),
    ]
    for some, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            read_speech(some)
        assert len(str(caught.value).splitlines()) == 1


def test_a_speaker_on_both_sides_may_be_asked_for(write):
    source = write("en", "a sadness", "b anger")
    target = write("it", "b anger", corpus="en", first=9)
    assert read_speech(settings(source, target), share_speakers=True)[1] == 0
    other = write("fr", "b anger")
    assert read_speech(settings(source, other))[1] == 0, "of another corpus it is another person"


def test_emotions_are_spelt_as_the_vocabulary_has_them():
    assert spell_emotions(("Angry", "traurig", "neutral")) == ("anger", "sadness", "neutral")
    with pytest.raises(UserError, match="unknown emotion label 'hapiness': did you mean"):
        spell_emotions(("hapiness", "sadness"))
    with pytest.raises(UserError, match="labels: anger,wut name an emotion twice"):
        spell_emotions(("anger", "wut"))
    with pytest.raises(UserError, match="unknown emotion"):
        spell_emotions(("anger", "unlabelled"))


def test_without_labels_those_of_all_sources(write):
    one, two = write("en", "a sadness", "a anger", "a fear"), write("de", "c sadness", "d anger", "d disgust")
    target = write("it", "x anger")
    assert labels_of(settings((one, two), target, labels=None)) == ("anger", "sadness")
    with pytest.raises(
        UserError, match=r"it\.jsonl: expected two or more emotions that every source has, and there"
    ) as e:
        labels_of(settings(target, one, labels=None))
    assert "is --source the labelled speech, and --target the new language?" in str(e.value)
    assert labels_of(settings(target, one, labels=None, attributes=("arousal",))) == ()


@pytest.fixture
def rate(tmp_path, write):
    """Write a manifest of "speaker emotion arousal valence" words; "-" is missing."""

    def make(name: str, *rows: str, corpus: str = "") -> str:
        path = write(name, *(" ".join(row.split()[:2]) for row in rows), corpus=corpus)
        rated = []
        for one, row in zip(list(read_manifest(path)), rows):
            arousal, valence = (None if word == "-" else float(word) for word in row.split()[2:])
            rated.append(replace(one, arousal=arousal, valence=valence))
        write_manifest(path, rated)
        return path

    return make


def test_attributes_are_brought_to_one_scale_in_the_order_asked_for(rate):
    """MSP-Podcast declares 1..7; what the others are on is told."""
    source = (
        rate("en", "a anger 7 4", "b sadness - 1", corpus="msp-podcast"),
        rate("de", "c anger 1 2", "c sadness 5 -"),
    )
    target = rate("it", "x - 3 3", "y anger 2 -")
    asked = settings(source, target, attributes=("valence", "arousal"), attribute_range="1..5")
    speech, _ = read_speech(asked)
    nan = np.nan
    expected = [[0, 1], [-1, nan], [-0.5, -1], [nan, 1], [0, 0], [nan, -0.5]]
    np.testing.assert_allclose(speech.attributes, expected)
    assert speech.label.tolist() == [0, 1, 0, 1, UNLABELLED, 0]
    few = speech.of([1, 5])
    np.testing.assert_allclose(few.attributes, [[-1, nan], [nan, -0.5]])
    assert [one.id for one in few.utterances] == [speech.utterances[1].id, speech.utterances[5].id]
    assert read_speech(settings(source, target))[0].attributes is None


def test_attributes_alone_are_labels_themselves(rate):
    source, target = (
        rate("en", "a - 7 4", "b fear - 1", "b anger - -"),
        rate("it", "x anger - 1", "y - 1 -", "y fear - -"),
    )
    asked = settings(source, target, labels=(), attributes=("arousal", "valence"), attribute_range="1..7")
    speech, left_out = read_speech(asked)
    assert [one.id for one in speech.utterances] == ["en-0", "en-1", "it-0", "it-1", "it-2"] and left_out == 0
    assert speech.label.tolist() == [0, 0, 0, 0, UNLABELLED]
    only = read_speech(replace(asked, attributes=("arousal",)))[0]
    assert only.label.tolist() == [0, UNLABELLED, 0, UNLABELLED]


def test_each_corpus_has_a_range_of_its_own(rate):
    source, target = rate("en", "a anger 1 3", "b sadness 5 2"), rate("it", "x anger 1 4", "y sadness 7 7")
    asked = settings(source, target, attributes=("arousal", "valence"), attribute_range="en=1..5,it=1..7")
    assert read_speech(asked)[0].attributes.tolist() == [[-1, 0], [1, -0.5], [-1, 0], [1, 1]]
    declared_alone = replace(asked, attribute_range="1..7,en=1..5")
    assert read_speech(declared_alone)[0].attributes[3].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        (("a anger 7.5 4",), {}, "utterance 'en-0': arousal is 7.5; expected a value in 1..7, the range of en"),
        (("a anger - 4",), {}, "the source has no utterance whose arousal is known"),
        (
            ("a anger 3 4",),
            {"attribute_range": ""},
            "en: has attributes, but which range they were rated on is not known",
        ),
        (
            ("a anger 3 4",),
            {"attribute_range": "en=1..7,ti=1..5"},
            "unknown corpus of this run 'ti': did you mean 'it'",
        ),
        (
            ("a anger 6 4",),
            {"attribute_range": "en=1..5,it=1..7"},
            "arousal is 6; expected a value in 1..5, the",
        ),
        (("a anger 3 4",), {"attribute_range": "7..1"}, "the range '7..1' of attributes: expected its ends"),
        (("a anger - -",), {"labels": ()}, "en.jsonl: has no utterance whose arousal is known"),
    ],
)
def test_attributes_that_cannot_be_learnt_are_one_line(rate, rows, changes, message):
    source, target = rate("en", *rows, "b sadness - -"), rate("it", "x anger - -")
    asked = settings(source, target, **{"attributes": ("arousal",), "attribute_range": "1..7", **changes})
    with pytest.raises(UserError) as caught:
        read_speech(asked)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_list_whose_ids_a_spreadsheet_changed_labels_the_right_utterances(write, tmp_path):
    source = write("en", "a sadness", "a anger")
    rows = [Utterance(name, "c", f"{name}.wav", language="de", speaker=name) for name in ("0012", "x", "0013")]
    target = tmp_path / "calls.jsonl"
    write_manifest(target, rows)
    listed = tmp_path / "l.csv"
    listed.write_bytes("id;path;emotion\r\n12;/else/0012.wav;Wut\r\n13;0013.wav;anger?\r\n".encode("utf-16"))
    data = settings(source, str(target), labelled=str(listed))
    notes = []
    speech, _ = read_speech(data, on_note=notes.append)
    assert speech.visible == {"0012"} and target_labels_of(data) == "1"
    assert {row.id: row.emotion for row in speech.utterances if row.emotion and row.corpus == "c"} == {"0012": "anger"}
    assert any("the id '12' was read as '0012'" in note for note in notes)
    assert any("1 row not sure of the label" in note for note in notes)
    listed.write_text("id,path,emotion\n12,/else/x.wav,anger\n")
    with pytest.raises(UserError, match=r"'12' is /else/x\.wav here, and .*0012\.wav in .*calls\.jsonl"):
        read_speech(data)


def test_what_is_kept_apart_is_labelled_speech_of_the_run(write, tmp_path):
    source, target = write("en", "a sadness", "a anger", "b anger"), write("it", "x anger", "y -", "x sadness")
    rows = {path: list(read_manifest(path)) for path in (source, target)}
    listed = {name: tmp_path / f"{name}.jsonl" for name in ("one", "two", "other")}
    write_manifest(listed["one"], [rows[source][1], rows[target][0]])
    write_manifest(listed["two"], [rows[target][2]])
    items = tuple(str(listed[name]) for name in ("one", "two"))
    speech, _ = read_speech(settings(source, target, items=items))
    assert speech.items == {"en-1", "it-0", "it-2"}
    kept = {row.id for row, is_item in zip(speech.utterances, speech.is_item) if is_item}
    assert kept == {"en-1", "it-0", "it-2"}
    assert not read_speech(settings(source, target))[0].is_item.any()
    for row in (rows[target][1], replace(rows[source][0], id="en-9"), replace(rows[source][0], corpus="de")):
        write_manifest(listed["other"], [row])
        with pytest.raises(UserError, match=f"'{row.id}' of {row.corpus} is no utterance of this run"):
            read_speech(settings(source, target, items=(str(listed["other"]),)))
