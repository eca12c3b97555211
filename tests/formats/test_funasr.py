import json

import pytest

from emobridge.errors import UserError
from emobridge.formats import import_


def lines(path, *items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def test_marks_are_read_without_their_brackets(tmp_path):
    path = lines(
        tmp_path / "train.jsonl",
        {
            "key": "a",
            "source": "wav/a.wav",
            "source_len": 90,
            "target": "hello",
            "text_language": "<|en|>",
            "emo_target": "<|HAPPY|>",
            "event_target": "<|Speech|>",
        },
        {"source": "/b.wav", "target": "<|ANGRY|>", "extra": []},
        {"key": 3, "source": "c.wav", "target": "", "emo_target": "<|EMO_UNKNOWN|>"},
    )
    reading = import_("funasr", path)
    assert [(row.id, row.emotion, row.language, row.text, row.split) for row in reading] == [
        ("a", "happiness", "en", "hello", "train"),
        ("/b", "anger", "und", None, "train"),
        ("3", None, "und", None, "train"),
    ]
    assert reading.intake.notes == [f"key 'extra', ignored: 1 (the first: {path}:2)"]
    assert next(iter(import_("funasr", path))).path == str(tmp_path / "wav/a.wav")


def test_mistakes_are_named(tmp_path):
    for item, message in (
        ({"key": "a"}, r"m\.jsonl:1: no 'source'"),
        ({"source": "a.wav", "emo_target": ["x"]}, r"m\.jsonl:1: 'emo_target' is a list; expected text"),
        ({"source": "a.wav", "emo_target": "<|HAPY|>"}, "unknown emotion label 'HAPY'"),
    ):
        with pytest.raises(UserError, match=message):
            list(import_("funasr", lines(tmp_path / "m.jsonl", item)))
