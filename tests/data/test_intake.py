"""What every scan and import shares: unknown labels, shared options, and the line that says what was read."""

from __future__ import annotations

import shlex

import pytest

from emobridge.data.intake import open_reading
from emobridge.errors import UserError
from emobridge.options import read_options

ROWS = (("a", "angry", "s1"), ("b", "fru", "s1"), ("c", "zzz", "s2"), ("d", "fru", None), ("e", "", "s2"))


def reader_of(rows, labels=None):
    """A reader of rows of a label and perhaps a language."""

    def read_rows(path, *, intake):
        for number, row in enumerate(rows, 1):
            values = dict(zip(("emotion", "language"), row)) | {"id": str(number), "path": "a.wav", "corpus": "c"}
            yield from intake.utterances(values, f"t:{number}", "/folder", labels)

    return read_rows


def reader(path, *, intake, speed=1.0):
    for number, (name, emotion, speaker) in enumerate(ROWS, 1):
        row = {"id": name, "path": f"{name}.wav", "corpus": "c", "emotion": emotion, "speaker": speaker}
        yield from intake.utterances(row, f"t:{number}", "/folder")


def read(tmp_path, **options):
    return open_reading("the reader", reader, tmp_path, options)


def test_all_unknown_labels_are_named_at_once(tmp_path):
    with pytest.raises(UserError) as error:
        list(read(tmp_path))
    assert str(error.value) == (
        "t:2: 2 unknown emotion labels: 'fru' (2, frustration is an emotion that emobridge does not have), 'zzz' (1). "
        "Leave their rows out: --option others=drop. Or say what they mean: --option labels=fru=other,zzz=other (an "
        "emotion is anger, happiness, neutral, sadness, fear, disgust, surprise, calm, boredom, contempt, other; "
        "unlabelled takes the label away)"
    )


@pytest.mark.parametrize(
    ("options", "emotions"),
    [
        ({"others": "drop"}, ["anger", None]),
        ({"others": "other"}, ["anger", "other", "other", "other", None]),
        ({"labels": "fru=anger,zzz=fear"}, ["anger", "anger", "fear", "anger", None]),
        ({"labels": "fru=unlabelled", "others": "drop"}, ["anger", None, None, None]),
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
    counts, unknown, speakers = reading.lines()
    assert counts == "5 utterances; 4 labelled, 2 speakers, 1 language"
    assert unknown == "took for 'other' 3 utterances with unknown labels: 'fru' (2), 'zzz' (1)"
    assert speakers.startswith("the speakers of 1 of 5 utterances are not known: this costs about 5 points of UA")
    reading = read(tmp_path, others="drop")
    list(reading)
    assert reading.lines()[1] == "left out 3 utterances with unknown labels: 'fru' (2), 'zzz' (1)"
    reading = read(tmp_path, others="unlabelled", language="de")
    assert [row.emotion for row in reading] == ["anger", None, None, None, None]
    assert reading.lines()[1] == "took for unlabelled 3 utterances with unknown labels: 'fru' (2), 'zzz' (1)"
    reading = read(tmp_path, labels="fru=other,zzz=other")
    list(reading)
    assert not any("unknown labels" in line for line in reading.lines())


def test_mistakes_are_named_before_anything_is_read(tmp_path):
    for options, message in (
        ({"otters": "drop"}, "did you mean 'others'"),
        ({"others": "dorp"}, "did you mean 'drop'"),
        ({"speed": "fast"}, "speed: expected a number"),
        ({"labels": "fru=annger"}, "labels: fru=annger: .*did you mean 'anger'"),
        ({"labels": "fru=EMOTION"}, "labels: fru=EMOTION: unknown emotion label 'EMOTION' .one of anger"),
        ({"labels": "fru="}, "labels: expected pairs"),
        ({"language": "Klingon"}, "language 'Klingon'"),
    ):
        with pytest.raises(UserError, match=message):
            read(tmp_path, **options)


def emotions_of(tmp_path, rows, own_map=None, **options):
    return [row.emotion for row in open_reading("the reader", reader_of(rows, own_map), tmp_path, options)]


def message_of(tmp_path, rows, own_map=None, **options):
    with pytest.raises(UserError) as error:
        emotions_of(tmp_path, rows, own_map, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


ODD = (
    "fru", "hot, spicy", "a=b", "it's", 'say "hi"', "back\\slash", "a\\,b", "$HOME", "boredem", "é ü", "!x", "09",
)  # fmt: skip


@pytest.mark.parametrize("labels", [ODD[:9], ODD[4:]])
def test_the_option_that_is_proposed_works_as_it_stands(tmp_path, labels):
    """Through a shell's rules, as text; a misspelt word gets its emotion, all others are "other"."""
    rows = [(label,) for label in labels]
    message = message_of(tmp_path, rows)
    words = shlex.split(message[message.index("Or say what they mean: ") :].split(" (an emotion")[0])[5:]
    assert words[0] == "--option" and len(words) == 2
    expected = ["boredom" if label == "boredem" else "other" for label in labels]
    assert emotions_of(tmp_path, rows, **read_options(words[1:])) == expected


def test_the_proposed_option_keeps_what_was_given(tmp_path):
    message = message_of(tmp_path, [("W",), ("X",)], labels="W=anger")
    assert "--option labels=W=anger,X=other " in message


def test_a_column_of_sentences_is_not_listed(tmp_path):
    rows = [(f"sentence number {number % 5000} of the text",) for number in range(6000)]
    message = message_of(tmp_path, rows)
    assert message.startswith("t:1: 5,000 unknown emotion labels: ") and "and 4,990 more" in message
    assert "labels=" not in message and message.endswith("Is it the column of the emotions?") and len(message) < 900
    message = message_of(tmp_path, [("x" * 5000,), ("y\nz",)])
    assert len(message) < 300 and "labels=" not in message


def test_where_all_rows_would_be_left_out_nothing_is_written(tmp_path):
    assert "With others=drop no row remains" in message_of(tmp_path, [("W",), ("X",)], others="drop")


def test_the_data_sets_own_map_may_lead_to_unknown_words(tmp_path):
    labels = {"09": "Excited", "01": "Happy"}
    message = message_of(tmp_path, [("09",), ("01",), ("02",)], labels)
    assert "'09' (1, 'Excited' by the data set's map, excitement is an emotion that emobridge does not have)" in message
    assert "--option labels=09=other,02=other" in message
    assert emotions_of(tmp_path, [("09",), ("01",)], labels, labels="09=surprise") == ["surprise", "happiness"]


def test_the_rows_language_decides_what_a_word_means(tmp_path):
    assert emotions_of(tmp_path, [("content", "French"), ("enojado", "es"), ("enojado", "pt-BR")]) == [
        "happiness", "anger", "disgust",
    ]  # fmt: skip
    assert emotions_of(tmp_path, [("content", None)], language="français") == ["happiness"]
    assert "happiness in French, contentment in English; the row's language decides" in message_of(
        tmp_path, [("content", None)]
    )


def test_languages_are_tags_or_names_in_rows_and_options(tmp_path):
    rows = [("sad", "Italian"), ("sad", "no"), ("sad", "none"), ("sad", " "), ("sad", None)]
    languages = [row.language for row in open_reading("the reader", reader_of(rows), tmp_path, {})]
    assert languages == ["it", "no", "und", "und", "und"]
    for option in ("no", "Norwegian", "norsk"):
        reading = open_reading("the reader", reader_of(rows), tmp_path, {"language": option})
        assert {row.language for row in reading} == {"no"}
    with pytest.raises(UserError, match="t:1: language 'Itallian': did you mean 'it'"):
        emotions_of(tmp_path, [("sad", "Itallian")])


@pytest.mark.parametrize("label", [True, ["sad"], {"a": 1}])
def test_a_label_of_another_type_names_its_row(tmp_path, label):
    assert "t:1: 'emotion' is" in message_of(tmp_path, [(label,)])


def test_numbers_are_codes_and_nan_is_no_label(tmp_path):
    rows = [(3,), (3.0,), (float("nan"),)]
    assert emotions_of(tmp_path, rows, labels="3=anger") == ["anger", "anger", None]
