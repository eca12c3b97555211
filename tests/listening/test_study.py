"""The study file: what is written comes back, and what is wrong in it is one line."""

from __future__ import annotations

import json
import re

import pytest
from listening_studies import tiny_study, write_tiny_study

from emobridge.errors import UserError
from emobridge.listening.study import STUDY_FILE, check_recordings, read_study, study_digest, write_study_file


def test_what_is_written_comes_back(tmp_path):
    study = tiny_study(title={"en": "Voices"}, consent={"de": "Ja\r\n\n\tbitte"}, wants_confidence=True, seed=7)
    write_tiny_study(tmp_path, study)
    assert read_study(tmp_path) == study
    check_recordings(tmp_path, study)
    assert (tmp_path / STUDY_FILE).read_text(encoding="utf-8").index('"items"') > 500, "what people read comes first"


def test_texts_may_be_changed_by_hand_and_items_may_not(study_folder):
    path = study_folder / STUDY_FILE
    values = json.loads(path.read_text())
    values["title"] = {"en": "Another title"}
    path.write_text(json.dumps(values))
    assert read_study(study_folder).title == {"en": "Another title"}
    assert study_digest(read_study(study_folder)) == study_digest(tiny_study())
    values["items"][0]["emotion"] = "sadness"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"study\.json: digest: its items or emotions are not those that were drawn"):
        read_study(study_folder)


def item(**changes):
    return lambda values: values["items"][0].update(changes)


def rule(**changes):
    return lambda values: values["rules"][1].update(changes)


def put(**changes):
    return lambda values: values.update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(items=[]), "items: expected at least one of the kind 'item', got none"),
        (lambda v: v.update(items=[i for i in v["items"] if i["kind"] != "item"]), "at least one of the kind 'item'"),
        (lambda v: v.pop("items"), "items: expected a list, got NoneType"),
        (lambda v: v["items"].append(v["items"][0]), "two items have the id 'idea0'"),
        (lambda v: v["items"].append(3), "item 22: expected an object, got int"),
        (lambda v: v["items"][2].pop("audio"), "item 3: the key 'audio' is missing"),
        (put(format=2), "format: expected 1; another version"),
        (put(format=True), "format: expected 1"),
        (put(emotions=["angr", "sadness"]), "emotions: unknown emotion 'angr': did you mean 'anger'?"),
        (put(emotions=["anger"]), "emotions: expected two or more different ones, got anger"),
        (put(emotions="anger"), "emotions: expected a list of words, got 'anger'"),
        (put(seed="0"), "seed: expected int, got '0'"),
        (put(seed=True), "seed: expected int, got True"),
        (put(seed=-1), "seed: expected 0 or more, got -1"),
        (item(audio="c0.wav"), "two items play 'c0.wav'"),
        (put(title={"en": "x" * 201}), "title: en: expected 200 characters"),
        (put(consent={"en": "a\x1b[31m"}), "consent: en: expected 20,000 characters of text"),
        (put(block=0), "block: expected 1 item or more"),
        (put(name="\u202e"), "name: expected a line"),
        (put(interface=["fr"]), "interface: unknown language of the pages 'fr'"),
        (put(interface=[]), "interface: expected different languages, got none"),
        (put(title={"fr": "x"}), "title: unknown language of the pages 'fr'"),
        (put(title={"en": 3}), "title: en: expected text, got int"),
        (put(consent={"en": "x" * 20_001}), "consent: en: expected 20,000 characters"),
        (put(wants_segment=1), "wants_segment: expected bool, got 1"),
        (put(itmes=[]), "unknown key 'itmes': did you mean 'items'?"),
        (item(emotion="happines"), "item 'idea0': unknown emotion 'happines': did you mean 'happiness'?"),
        (item(id="../x"), "item '../x': expected an id"),
        (item(audio="../idea0.wav"), "item 'idea0': audio: expected the name of a .wav file without a path"),
        (item(audio="a/b.wav"), "audio: expected the name of a .wav file without a path"),
        (item(audio=".wav"), "audio: expected the name"),
        (item(kind="items"), "unknown kind 'items': did you mean 'item'?"),
        (item(seconds=0), "seconds: expected more than 0"),
        (item(seconds=float("nan")), "seconds: expected more than 0"),
        (item(seconds=10**400), "item 1: seconds: the number is too large"),
        (item(seconds="1"), "item 1: seconds: expected float, got '1'"),
        (item(language="xx-klingon!"), "item 'idea0': language: "),
        (item(speaker=3), "item 1: speaker: expected text"),
        (item(segment=[0.4, 0.1]), "segment: expected its start and end in the 0.5 s"),
        (item(segment=[0.1, 9]), "segment: expected its start and end"),
        (item(segment=[0.1, float("nan")]), "segment: expected its start and end"),
        (item(segment=[0.1]), "segment: expected its start and end"),
        (rule(question="job"), "rule 2: unknown question 'job' (one of age, english"),
        (rule(operator="include"), "rule 2 about 'languages': unknown operator 'include': did you mean 'includes'?"),
        (rule(operator="in"), "unknown operator 'in'"),
        (rule(value=[]), "value: expected a list of languages"),
        (rule(value=6), "value: expected a list of languages"),
        (rule(value={"a": 1}), "rule 2: value: expected a number or a list of words"),
        (rule(value=["chinesee"]), "rule 2 about 'languages': value: language 'chinesee'"),
        (rule(value=["zh:D1"]), "value: unknown level 'D1'"),
        (rule(group="xx!"), "rule 2: group: language 'xx!'"),
        (lambda v: v["rules"][2].update(value=["D1"]), "value: expected a number, or a level such as C1"),
        (lambda v: v["rules"][2].update(value=float("inf")), "value: expected a number"),
        (lambda v: v["rules"][0].update(value=["old"]), "rule 1 about 'age': value: unknown choice 'old'"),
        (lambda v: v["questions"].pop(0), "rule 2: group: groups are native languages; the question 'native'"),
        (lambda v: v["questions"].append(v["questions"][0]), "the question 'native' is asked twice"),
        (lambda v: v["questions"][0].update(name="natives"), "unknown question 'natives': did you mean 'native'?"),
        (lambda v: v["questions"][0].update(kind="choice"), "question 'native': unknown kind 'choice'"),
        (lambda v: v["questions"][5].update(choices=["yes"]), "question 'headphones': expected two or more different"),
        (lambda v: v["questions"][5].update(choices=["yes", "noo"]), "unknown choice 'noo': did you mean 'no'?"),
    ],
)
def test_what_is_wrong_in_a_study_file_is_one_line(study_folder, change, message):
    path = study_folder / STUDY_FILE
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_study(study_folder)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not valid JSON"),
        ("[]", "expected an object, got list"),
        ('{"format": 1, "format": 1}', "the key 'format' stands twice"),
        ("[" * 100_000, "is nested too deeply"),
        (" " * ((16 << 20) + 1), "expected 16,777,216 at most"),
    ],
)
def test_what_is_no_study_file_is_one_line(study_folder, text, message):
    (study_folder / STUDY_FILE).write_text(text)
    with pytest.raises(UserError, match=message):
        read_study(study_folder)


def test_where_no_study_is(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, message in (
        (tmp_path, "cannot be read"),
        (tmp_path / "none", "no such folder; `emobridge listening new`"),
        (tmp_path / "file", "is a file; expected the folder of a study"),
    ):
        with pytest.raises(UserError, match=message):
            read_study(folder)


def test_what_is_wrong_is_not_written(tmp_path):
    with pytest.raises(UserError, match="items: expected at least one"):
        write_study_file(tmp_path, tiny_study(items=()))
    assert not list(tmp_path.iterdir())


def test_recordings_are_there_and_as_long_as_the_file_says(study_folder):
    study = read_study(study_folder)
    check_recordings(study_folder, study)
    path = study_folder / "audio" / study.items[0].audio
    content = path.read_bytes()
    for change, message in (
        (path.unlink, "no such recording; the study plays it as item idea0"),
        (lambda: path.write_bytes(b""), "is no WAV file"),
        (lambda: path.write_bytes(b"RIFFxxxx"), "is no WAV file"),
        (lambda: path.write_bytes(content[:-100]), "is cut short"),
        (lambda: path.write_bytes((study_folder / STUDY_FILE).read_bytes()), "is no WAV file"),
        (lambda: (path.unlink(), path.symlink_to("/etc/passwd")), "no such recording"),
    ):
        change()
        with pytest.raises(UserError, match=message):
            check_recordings(study_folder, study)
    path.unlink()
    path.write_bytes(content)
    check_recordings(study_folder, study)
