"""Columns of tables as fields of utterances: applied where they are clear, told always, never dropped in silence."""

from __future__ import annotations

import json

import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError


def read(tmp_path, text, name="t.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    reading = scan("table", path, **options)
    return list(reading), reading.intake.notes


def rows_of(tmp_path, *rows, **options):
    return read(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "t.jsonl", **options)


def test_other_names_are_applied_and_told(tmp_path):
    rows, notes = read(tmp_path, "Path,Emotions,SpkrID,sex,notes\nwav/a1.wav,Angry,03,M,x\nwav/a2.wav,Happy,08,W,y\n")
    assert [(row.emotion, row.speaker, row.gender) for row in rows] == [
        ("anger", "03", "male"),
        ("happiness", "08", "female"),
    ]
    assert notes == [
        "read as utf-8 text, commas between columns",
        "read path from 'Path', speaker from 'SpkrID', emotion from 'Emotions', gender from 'sex'",
        "ignored columns: notes (--option keep=NAME,NAME keeps them)",
        "no column for language (columns: Path, Emotions, SpkrID, sex, notes)",
    ]
    assert not any("language" in note for note in read(tmp_path, "path,emotion,speaker\na,joy,s\n", language="de")[1])


@pytest.mark.parametrize(
    ("header", "row", "start", "end"),
    [
        ("start,duration", "0.5,1.5", 0.5, 2.0),
        ("offset,duration", "0.5,1.5", 0.5, 2.0),
        ("start_ms,end_ms", "500,2000", 0.5, 2.0),
        ("start,dur (ms)", "0.5,1500", 0.5, 2.0),
        ("onset,offset", "0.5,2", 0.5, 2.0),
        ("StartTime,EndTime", "00:00:00.500,0:02", 0.5, 2.0),
        ("duration", "2", 0.0, 2.0),
        ("start,duration", "0.1,0.2", 0.1, 0.3),
        ("start,end,duration", "0.5,2,1.51", 0.5, 2.0),
        ("start,end,duration", "0.5,,1.5", 0.5, 2.0),
        ("start,end,duration", "0.5,-1,1.5", 0.5, 2.0),
        ("start,end", "0.5,", 0.5, None),
        ("start,end", "0.5,-1", 0.5, None),
        ("start,duration", "0.5,-1", 0.5, None),
        ("start,end", "0.5,NaT", 0.5, None),
        ("start_ms,end_ms", "500,-1", 0.5, None),
    ],
)
def test_the_times_of_a_stretch(tmp_path, header, row, start, end):
    (utterance,), notes = read(tmp_path, f"path,{header}\na.wav,{row}\n")
    assert (utterance.start, utterance.end) == (start, end)
    assert ("was read as the end of the file (1 row)" in str(notes)) == ("-1" in row)


def test_the_unit_of_times_is_an_option(tmp_path):
    rows, notes = read(tmp_path, "path,start,duration\na.wav,500,1500\n", unit="ms")
    assert (rows[0].start, rows[0].end) == (0.5, 2.0)
    assert "read start from 'start' (ms), end from start and 'duration' (ms)" in notes
    _, notes = read(tmp_path, "path,start,duration\na.wav,500,1500\n")
    assert notes[-1] == "utterances longer than 10 minutes: if the times are milliseconds, say unit=ms (1 row)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,start,end,duration\na,0,2,1.5\n", r"t\.csv:2: the end is 2 s, but start and duration make it 1.5 s"),
        ("path,start,end\na,0,0\n", r"t\.csv:2: 'end' is 0 s; .*leave it out where it is the end of the file"),
        ("path,start,end\na,-2,1\n", r"t\.csv:2: 'start' is -2 s"),
        ("path,start,end\na,0,-2\n", r"t\.csv:2: 'end' is -2 s"),
        ("path,start\na,nan\n", r"t\.csv:2: 'start' is nan"),
        ("path,duration\na,0\n", r"t\.csv:2: 'duration' is 0 s; expected more than 0"),
        ("path,duration\na,inf\n", r"t\.csv:2: 'duration' is inf"),
        ("path,start,offset\na,0,2\n", r"'start' and 'offset': is the second one the end\?"),
        ("path,start_sample,end_sample\na,0,2\n", r"'start_sample' counts samples"),
        ("path,label,class\na,joy,joy\n", r"columns 'label' and 'class' may both be the emotion: .*emotion=label"),
        ("path,emotion,emotion\na,joy,sad\n", r"two columns are named 'emotion', and emotion is read from it: rename"),
        ("a.wav,joy\nb.wav,sad\n", r"no column 'path' \(columns: a\.wav, joy\); does the table lack a header\?"),
        ("path,emotion,speaker\na,joy,x\x1b\n", r"t\.csv:2: 'speaker' is .*U\+001B"),
        ('path,id\na,"x\ny"\n', r"t\.csv:2: 'id' is 'x\\ny' and holds a line break"),
    ],
)
def test_what_is_not_clear_is_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1


def test_of_two_columns_the_closer_one_is_taken_and_the_other_told(tmp_path):
    rows, notes = read(tmp_path, "path,label,emotion,client_id,speaker\na,3,joy,f00,s1\n")
    assert (rows[0].emotion, rows[0].speaker) == ("happiness", "s1")
    assert "ignored columns: label, client_id (--option keep=NAME,NAME keeps them)" in notes
    rows, _ = read(tmp_path, "path,Emotion,emotion\na,sad,joy\n")
    assert rows[0].emotion == "happiness", "the field's own name"


def test_the_user_says_which_column(tmp_path):
    text = "path,label,class,start,duration\na,joy,x,0,5\n"
    rows, notes = read(tmp_path, text, columns="emotion=LABEL,duration=none")
    assert (rows[0].emotion, rows[0].end) == ("happiness", None)
    assert "ignored columns: class, duration (--option keep=NAME,NAME keeps them)" in notes
    rows, notes = read(tmp_path, text, columns={"emotion": "none"})
    assert rows[0].emotion is None and any(note.startswith("no column for emotion") for note in notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "emotoin=x"}, "unknown field 'emotoin': did you mean 'emotion'"),
        ({"columns": "emotion=lable"}, "unknown column 'lable': did you mean 'label'"),
        ({"unit": "m"}, "unknown unit 'm'"),
        ({"splits": "0=tarin"}, "unknown split 'tarin': did you mean 'train'"),
        ({"soft": "worst"}, "unknown choice of soft 'worst'"),
        ({"encoding": "utf8000"}, "unknown encoding 'utf8000'"),
        ({"quoting": "all"}, "unknown quoting 'all'"),
    ],
)
def test_a_mistake_in_the_options(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, "path,label\na,joy\n", **options)


def test_words_for_splits(tmp_path):
    rows, _ = read(tmp_path, "path,Split\na,Train\nb,DEV\nc,test\nd,\n")
    assert [row.split for row in rows] == ["train", "validation", "test", None]
    text = "path,split\na,0\nb,1\nc,0\nd,Train\n"
    with pytest.raises(
        UserError, match=r"t\.csv:2: unknown split '0'.*'0' \(2\), '1' \(1\): map them with splits="
    ) as error:
        read(tmp_path, text)
    assert 'splits="0=SPLIT,1=SPLIT"' in str(error.value)
    rows, _ = read(tmp_path, text, splits="0=test,1=none")
    assert [row.split for row in rows] == ["test", None, "test", "train"]


def test_a_column_that_may_hold_splits_and_does_not_is_ignored(tmp_path):
    rows, notes = read(tmp_path, "path,set\na,A\nb,B\n")
    assert [row.split for row in rows] == [None, None]
    assert notes[-1] == "the column 'set' names no splits ('A' (1), 'B' (1)) and was ignored"
    with pytest.raises(UserError, match="unknown split 'A'"):
        read(tmp_path, "path,set\na,A\nb,train\n")


def test_a_speaker_who_is_not_known_is_nobody(tmp_path):
    rows, notes = read(tmp_path, "path,speaker\na,unknown\nb,unknown\nc,NaN\nd,s\n")
    assert [row.speaker for row in rows] == [None, None, None, "s"]
    assert "the speaker 'unknown' was read as not known (2 rows)" in notes


@pytest.mark.parametrize("word", ["w", "Female", "female_feminine", "Frau"])
def test_words_for_gender(tmp_path, word):
    assert read(tmp_path, f"path,gender\na,{word}\n")[0][0].gender == "female"


def test_soft_labels_are_told_and_taken_if_asked(tmp_path):
    text = "path;anger;happiness;Neutral\na;0,6;0,1;0,3\nb;0,4;0,4;0,2\nc;;;\n"
    rows, notes = read(tmp_path, text)
    assert [row.emotion for row in rows] == [None] * 3
    assert any("soft=best takes the most probable" in note for note in notes)
    rows, notes = read(tmp_path, text, soft="best")
    assert [row.emotion for row in rows] == ["anger", None, None]
    assert notes[-1] == "no emotion is the most probable one: unlabelled (2 rows)"
    rows, _ = read(tmp_path, "path,anger,joy,label\na,0.6,0.4,sad\n", soft="best")
    assert rows[0].emotion == "sadness", "a label goes before"
    with pytest.raises(UserError, match=r"t\.csv:2: 'joy' is 'much'; expected a number"):
        read(tmp_path, "path,anger,joy\na,0.6,much\n", soft="best")


def test_a_left_and_a_right_channel(tmp_path):
    rows, _ = read(tmp_path, "path,id,channel\na,1,left\na,2,R\na,3,0\na,4,\n")
    assert [row.channel for row in rows] == [0, 1, 0, None]


def test_folders_of_windows(tmp_path):
    rows, notes = read(tmp_path, "path\nwav\\a.wav\n")
    assert rows[0].path == str(tmp_path / "wav" / "a.wav")
    assert notes[-1] == "'\\' in paths was read as '/' (1 row)"


def test_close_starts_make_different_ids(tmp_path):
    rows, _ = read(tmp_path, "path,start,end\na.wav,1234.561,1235\na.wav,1234.562,1235\n")
    assert [row.id for row in rows] == ["a@1234.561", "a@1234.562"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"path": "a.wav", "split": []}, r"t\.jsonl:1: 'split' is \[\]; expected text"),
        ({"path": {"bytes": 1}}, r"t\.jsonl:1: 'path' is \{.*expected text"),
        ({"path": "a.wav", "speaker": True}, r"t\.jsonl:1: 'speaker' is true; expected text"),
        ({"path": "a.wav", "start": [1]}, r"t\.jsonl:1: 'start' is \[1\]; expected a number"),
        ({"path": "a.wav", "end": 10**400}, r"t\.jsonl:1: 'end' is inf"),
        ({"path": "a\ud800.wav"}, r"t\.jsonl:1: 'path' is 'a\\ud800.wav' and holds the character U\+D800"),
        ({"path": "a.wav", "emotion": {"choices": ["joy"]}}, r"t\.jsonl:1: 'emotion' is "),
    ],
)
def test_values_of_a_wrong_type_are_one_line(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        rows_of(tmp_path, row)


def test_a_missing_number_of_pandas_is_no_speaker(tmp_path):
    rows, _ = rows_of(tmp_path, {"path": "a.wav", "speaker": 3.0}, {"path": "b.wav", "speaker": float("nan")})
    assert [row.speaker for row in rows] == ["3", None]


def test_ages_are_read_and_what_is_none_is_told(tmp_path):
    rows, notes = read(tmp_path, "path,speaker,age\na.wav,1,thirties\nb.wav,2,\nc.wav,3,old\n")
    assert [row.age for row in rows] == [35.0, None, None]
    assert "an age that is none was read as not known (1 row)" in notes


def test_columns_that_are_no_field_are_kept_by_name(tmp_path):
    text = 'path,Site,extra.mic,notes\na.wav,Berlin,headset,x\nb.wav,,"two\nlines",y\n'
    rows, notes = read(tmp_path, text, keep="site")
    assert [row.extra for row in rows] == [(("Site", "Berlin"), ("mic", "headset")), (("mic", "two lines"),)]
    assert "kept columns: Site, extra.mic" in notes
    assert "ignored columns: notes (--option keep=NAME,NAME keeps them)" in notes
    rows, _ = rows_of(tmp_path, {"path": "a.wav", "snr": 12.5, "clean": False}, keep="snr,clean")
    assert rows[0].extra == (("clean", "no"), ("snr", "12.5"))


@pytest.mark.parametrize(
    ("text", "keep", "message"),
    [
        ("path,site\na.wav,x\n", "sit", "unknown column 'sit': did you mean 'site'"),
        ("path,sex\na.wav,f\n", "sex", "keep: the column 'sex' is read as a field already"),
        ("path,site,site\na.wav,x,y\n", "site", "keep: two columns are named 'site': rename one"),
    ],
)
def test_columns_that_cannot_be_kept(tmp_path, text, keep, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text, keep=keep)
