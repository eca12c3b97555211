import json

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def lines(path, *items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_an_offset_and_a_duration_are_a_stretch(tmp_path):
    path = lines(
        tmp_path / "train.json",
        {"audio_filepath": "wav/r1.wav", "offset": 0.5, "duration": 1.5, "label": "anger", "lang": "German", "x": 1},
        {"audio_filepath": "wav/r1.wav", "offset": 2, "duration": 0.1, "emotion": "fear", "speaker": 3, "text": "go"},
        {"audio_filepath": "wav/r2.wav", "label": "sad"},
    )
    reading = import_("nemo", path)
    assert [(row.id, row.start, row.end, row.emotion) for row in reading] == [
        ("wav/r1@0.5", 0.5, 2.0, "anger"),
        ("wav/r1@2", 2.0, 2.1, "fear"),
        ("wav/r2", 0.0, None, "sadness"),
    ]
    assert reading.intake.notes == [f"key 'x', ignored: 1 (the first: {path}:1)"]
    rows = list(import_("nemo", path, corpus="c"))
    assert [(row.language, row.speaker, row.text, row.corpus) for row in rows][:2] == [
        ("de", None, None, "c"),
        ("und", "3", "go", "c"),
    ]


@pytest.mark.parametrize(("duration", "end"), [(1.0, None), (0.98, None), (0.5, 0.5)])
def test_a_duration_without_an_offset_is_the_file_or_its_beginning(tmp_path, clips, duration, end):
    path = lines(tmp_path / "m.json", {"audio_filepath": clips[0], "duration": duration, "label": "anger"})
    (row,) = import_("nemo", path)
    assert (row.start, row.end) == (0.0, end)


def test_the_key_of_the_emotion_can_be_named(tmp_path):
    path = lines(tmp_path / "m.json", {"audio_filepath": "a.wav", "label": "speech", "mood": "sad"})
    (row,) = import_("nemo", path, emotion="mood")
    assert row.emotion == "sadness"


def test_mistakes_are_named(tmp_path, clips):
    for item, message in (
        ({"audio": "a.wav"}, r"m\.json:1: no 'audio_filepath' \(there are audio\)"),
        ({"audio_filepath": ["a.wav"]}, r"m\.json:1: 'audio_filepath' is a list; expected text"),
        ({"audio_filepath": "a.wav", "duration": "2"}, r"m\.json:1: 'duration' is \"2\"; expected a finite number"),
        ({"audio_filepath": clips[0], "offset": 0.5, "duration": 2}, r"'end' is 2\.5 s, after the end of"),
        ({"audio_filepath": "a.wav", "offset": -1, "duration": 2}, "'start' is -1 s"),
        ({"audio_filepath": "a.wav", "label": "angr"}, "unknown emotion label 'angr'"),
    ):
        with pytest.raises(UserError, match=message):
            list(import_("nemo", lines(tmp_path / "m.json", item)))


def test_it_is_written_as_nemo_reads_it(tmp_path, clips):
    rows = [
        Utterance("a", "c", clips[0], emotion="anger", language="de"),
        Utterance("b", "c", clips[1], start=0.25, end=0.75, text="go"),
    ]
    with pytest.raises(UserError, match=r"expected a file that ends in \.json or \.jsonl"):
        export("nemo", tmp_path / "m.csv", rows)
    export("nemo", tmp_path / "m.json", rows)
    first, second = (json.loads(line) for line in (tmp_path / "m.json").read_text().splitlines())
    assert first == {
        "audio_filepath": clips[0],
        "offset": 0.0,
        "duration": 1.0,
        "label": "anger",
        "id": "a",
        "corpus": "c",
        "lang": "de",
    }
    assert (second["offset"], second["duration"], second["text"]) == (0.25, 0.5, "go")
    assert list(import_("nemo", tmp_path / "m.json")) == rows
