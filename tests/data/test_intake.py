"""What every scan and import shares: unknown labels, shared options, and the line that says what was read."""

from __future__ import annotations

import pytest

from emobridge.data.intake import open_reading
from emobridge.errors import UserError

ROWS = (("a", "angry", "s1"), ("b", "fru", "s1"), ("c", "zzz", "s2"), ("d", "fru", None), ("e", "", "s2"))


def reader(path, *, intake, speed=1.0):
    for number, (name, emotion, speaker) in enumerate(ROWS, 1):
        row = {"id": name, "path": f"{name}.wav", "corpus": "c", "emotion": emotion, "speaker": speaker}
        yield from intake.utterances(row, f"t:{number}", "/folder")


def read(tmp_path, **options):
    return open_reading("the reader", reader, tmp_path, options)


def test_all_unknown_labels_are_named_at_once(tmp_path):
    with pytest.raises(UserError, match=r"t:2.*'fru' \(2\), 'zzz' \(1\)"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    ("options", "emotions"),
    [
        ({"others": "drop"}, ["anger", None]),
        ({"others": "other"}, ["anger", "other", "other", "other", None]),
        ({"labels": "fru=anger,zzz=fear"}, ["anger", "anger", "fear", "anger", None]),
    ],
)
def test_unknown_labels_can_be_dealt_with(tmp_path, options, emotions):
    assert [row.emotion for row in read(tmp_path, **options)] == emotions


def test_shared_options_go_before_the_rows(tmp_path):
    rows = list(read(tmp_path, others="drop", language="de", corpus="mine", root="/elsewhere"))
    assert {(row.language, row.corpus) for row in rows} == {("de", "mine")}
    assert rows[0].path == "/elsewhere/a.wav"


def test_the_reading_counts_what_passed(tmp_path):
    reading = read(tmp_path, others="other", language="de")
    list(reading)
    counts, speakers = reading.lines()
    assert counts == "5 utterances; 4 labelled, 2 speakers, 1 language"
    assert speakers.startswith("the speakers of 1 of 5 utterances are not known: this costs about 5 points of UA")


def test_mistakes_are_named_before_anything_is_read(tmp_path):
    for options, message in (
        ({"otters": "drop"}, "did you mean 'others'"),
        ({"others": "dorp"}, "did you mean 'drop'"),
        ({"speed": "fast"}, "speed: expected a number"),
        ({"labels": "fru=annger"}, "did you mean 'anger'"),
    ):
        with pytest.raises(UserError, match=message):
            read(tmp_path, **options)
