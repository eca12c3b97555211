import json

import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError


def entry(wav, *emotions):
    return {
        "wav": wav,
        "duration": 6.2,
        "emotion": [{"emo": emo, "start": start, "end": end} for emo, start, end in emotions],
        "transcription": "You did what?",
    }


def fabricate(root, entries):
    for entry in entries.values():
        path = root / str(entry["wav"]).removeprefix("datafolder/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "ZED.json").write_text(json.dumps(entries))
    return root


@pytest.fixture
def root(tmp_path):
    entries = {
        "spk1_1": entry("datafolder/spk1/spk1_1.wav", ("angry", 1.94, 4.48)),
        "spk1_2": entry("datafolder/spk1/spk1_2.wav", ("happy", 0, 3)),
        "spk2_1": entry("datafolder/spk2/spk2_1.wav", ("sad", 0.0, 6.2)),
        "spk2_2": entry("datafolder/spk2/spk2_2.wav", ("sad", 0.0, 6.2)),
    }
    folder = fabricate(tmp_path / "ZED", entries)
    (folder / "spk2" / "spk2_2.wav").unlink()
    return folder


def test_a_recording_is_an_utterance(root):
    rows = list(scan("zed", root))
    assert [(row.id, row.speaker, row.emotion, row.start, row.end) for row in rows] == [
        ("spk1_1", "spk1", "anger", 0.0, None),
        ("spk1_2", "spk1", "happiness", 0.0, None),
        ("spk2_1", "spk2", "sadness", 0.0, None),
    ]
    assert rows[0].path == str(root / "spk1" / "spk1_1.wav")
    assert {(row.corpus, row.language, row.text) for row in rows} == {("zed", "en", "You did what?")}
    assert {(row.gender, row.naturalness) for row in rows} == {(None, "natural")}
    assert list(scan("zed", root.parent)) == rows, "the folder above does too"


def test_the_stretches_that_carry_the_emotion(root):
    rows = list(scan("zed", root, segments=True))
    assert [(row.id, row.emotion, row.start, row.end) for row in rows] == [
        ("spk1_1@1.94", "anger", 1.94, 4.48),
        ("spk1_2@0", "happiness", 0.0, 3.0),
        ("spk2_1@0", "sadness", 0.0, 6.2),
    ]


def test_several_stretches(tmp_path):
    two = {"a": entry("datafolder/s/a.wav", ("sad", 0, 1), ("sad", 2, 3))}
    root = fabricate(tmp_path, two)
    assert [row.id for row in scan("zed", root)] == ["a"]
    assert [row.id for row in scan("zed", root, segments=True)] == ["a@0", "a@2"]
    fabricate(tmp_path, {"a": entry("datafolder/s/a.wav", ("sad", 0, 1), ("angry", 2, 3))})
    assert [row.emotion for row in scan("zed", root, segments=True)] == ["sadness", "anger"]
    with pytest.raises(UserError, match=r"a: several emotions \(angry, sad\); use segments=True"):
        list(scan("zed", root))


def test_without_folders_nobody_knows_the_speaker(tmp_path):
    root = fabricate(tmp_path, {"a": entry("datafolder/a.wav", ("sad", 0, 1))})
    assert [(row.path, row.speaker) for row in scan("zed", root)] == [(str(root / "a.wav"), None)]


@pytest.mark.parametrize(
    ("emotion", "message"),
    [
        ([{"emo": "angri", "start": 0, "end": 1}], "unknown emotion 'angri': did you mean 'angry'"),
        ([{"emo": "sad", "start": 2, "end": 1}], "sad from 2 to 1 s"),
        ([{"emo": "sad", "start": 2}], "expected emo, start and end"),
        ([{"emo": ["sad"], "start": 0, "end": 1}], "unknown emotion"),
        ([{"emo": "sad", "start": 0, "end": 10**400}], "expected emo, start and end"),
        ([{"emo": "sad", "start": 0, "end": None}], "expected emo, start and end"),
        ([], "expected 'emotion' to be a list"),
        ("sad", "expected 'emotion' to be a list"),
    ],
)
def test_a_malformed_recording_is_named(tmp_path, emotion, message):
    root = fabricate(tmp_path, {"a": {"wav": "datafolder/s/a.wav", "emotion": emotion}})
    with pytest.raises(UserError, match=message) as caught:
        list(scan("zed", root))
    assert str(caught.value).startswith(f"{root / 'ZED.json'}: a: ")


def test_a_text_that_is_none(tmp_path):
    root = fabricate(tmp_path, {"a": entry("datafolder/s/a.wav", ("sad", 0, 1)) | {"transcription": ["no", "text"]}})
    with pytest.raises(UserError, match=r"a: 'transcription' is \['no', 'text'\]; expected text"):
        list(scan("zed", root))


def test_a_table_that_is_none(tmp_path):
    for text, message in (
        ("[]", "expected an object of recordings"),
        ("{", "not valid JSON"),
        ('{"a": 1}', "a: expected"),
    ):
        (tmp_path / "ZED.json").write_text(text)
        with pytest.raises(UserError, match=message):
            list(scan("zed", tmp_path))
    (tmp_path / "ZED.json").write_text("{}")
    with pytest.raises(UserError, match=r"no file like ZED\.json"):
        list(scan("zed", tmp_path))
