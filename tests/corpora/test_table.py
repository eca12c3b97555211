import json

import pytest

from emobridge.corpora import scan, utterances_at
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_found_by_name(tmp_path):
    table = write(
        tmp_path / "mine.csv",
        "path,emotion,speaker,language,arousal,start,end,split,mood\n"
        "a/1.wav,joy,7,de,0.5,,,dev,x\n"
        "a/2.wav,,8,de,,1.5,2,train,y\n",
    )
    first, second = scan("table", table)
    assert (first.id, first.corpus, first.path) == ("a/1", "mine", str(tmp_path / "a/1.wav"))
    assert (first.emotion, first.speaker, first.language, first.arousal) == ("happiness", "7", "de", 0.5)
    assert (first.start, first.end, first.split) == (0.0, None, "validation")
    assert (second.id, second.emotion, second.start, second.end) == ("a/2@1.5", None, 1.5, 2.0)
    overridden = list(scan("table", table, language="nl", corpus="other"))  # what is asked for goes before the column
    assert {(row.language, row.corpus) for row in overridden} == {("nl", "other")}
    write_manifest(tmp_path / "m.jsonl", [first, second])
    assert list(read_manifest(tmp_path / "m.jsonl")) == [first, second]


def test_norwegian_is_a_language_and_not_false(tmp_path, cli):
    table = write(tmp_path / "calls.csv", "path,emotion\na/1.wav,joy\n")
    options = ("--option", "language=no", "--option", "corpus=off")
    assert cli("scan", "table", table, "-o", tmp_path / "m.jsonl", *options).code == 0
    (row,) = read_manifest(tmp_path / "m.jsonl")
    assert (row.language, row.corpus) == ("no", "off")


@pytest.mark.parametrize("columns", ["path=file, emotion=label", {"path": "file", "emotion": "label"}])
@pytest.mark.parametrize("labels", ["W=anger,exc=joy", {"W": "anger", "exc": "happiness"}])
def test_mapped_columns_and_labels(tmp_path, columns, labels):
    table = write(tmp_path / "t.csv", "file;label\n/x/1.wav;W\n/x/2.wav;exc\n/x/3.wav;sad\n")
    rows = list(scan("table", table, columns=columns, labels=labels, language="fr", corpus="mine"))
    assert [row.emotion for row in rows] == ["anger", "happiness", "sadness"]
    assert {(row.corpus, row.language) for row in rows} == {("mine", "fr")}
    assert rows[0].path == "/x/1.wav"


def test_gender_and_naturalness_have_columns_too(tmp_path):
    table = write(tmp_path / "t.csv", "path,sex,naturalness\n1.wav,F,acted\n2.wav,Male,natural\n3.wav,,\n4.wav,x,\n")
    rows = list(scan("table", table, columns="gender=sex"))
    assert [row.gender for row in rows] == ["female", "male", None, "x"]
    assert [row.naturalness for row in rows] == ["acted", "natural", None, None]


def test_tsv_and_json_lines(tmp_path):
    tsv = write(tmp_path / "t.tsv", "path\ttext\n1.wav\tone, two\n")
    (row,) = scan("table", tsv)
    assert row.text == "one, two"
    rows = [{"file": "1.wav", "speaker": 3, "valence": 2}, {"file": "2.wav", "emotion": "sad"}]
    lines = write(tmp_path / "t.jsonl", "\n".join(json.dumps(row) for row in rows))
    first, second = scan("table", lines, columns="path=file")
    assert (first.speaker, first.valence, first.emotion) == ("3", 2.0, None)
    assert (second.speaker, second.emotion) == (None, "sadness")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path\n", {}, "an empty table"),
        ("mood\n1.wav\n", {}, "no column 'path' (columns: mood)"),
        ("file\n1.wav\n", {"columns": "path=fiel"}, "unknown column 'fiel': did you mean 'file'"),
        ("path\n1.wav\n", {"columns": "emotoin=path"}, "unknown field 'emotoin': did you mean 'emotion'"),
        ("path\n1.wav\n", {"columns": "file"}, "columns: expected pairs"),
        ("path\n1.wav\n", {"labels": "W=angr"}, "unknown emotion label 'angr'"),
        ("path,emotion\n1.wav,W\n", {}, "t.csv:2: unknown emotion label 'W'"),
        ("path,emotion\n1.wav\n", {}, "t.csv:2: expected 2 columns"),
        ("path,emotion\n1.wav,joy,joy\n", {}, "t.csv:2: expected 2 columns"),
        ("path,end\n1.wav,long\n", {}, "t.csv:2: 'end' is 'long'; expected a number"),
        ("path,end\n1.wav,nan\n", {}, "t.csv:2: 'end' is nan"),
        ("path\n1.wav\n1.wav\n", {}, "t.csv:3: the id '1' is already taken"),
        ("path,emotion\n,joy\n", {}, "t.csv:2: the required column 'id' is empty"),
        ("path,split\n1.wav,tset\n", {}, "t.csv:2: unknown split 'tset': did you mean 'test'"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, options, message):
    table = write(tmp_path / "t.csv", text)
    with pytest.raises(UserError) as error:
        list(scan("table", table, **options))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_mistakes_of_json_lines(tmp_path):
    for text, options, message in (
        ("{", {}, r"t\.jsonl:1: not valid JSON"),
        ("[1]", {}, r"t\.jsonl:1: expected a JSON object"),
        ("[]", {}, "an empty table"),
        ('{"mood": "1.wav"}', {}, "no column 'path'"),
        ('{"path": "1.wav"}', {"columns": "emotion=label"}, "unknown column 'label'"),
        ('{"path": ["1.wav"]}', {}, "expected text"),
        ("\n", {}, "an empty table"),
    ):
        with pytest.raises(UserError, match=message):
            list(scan("table", write(tmp_path / "t.jsonl", text), **options))


def test_a_command_takes_a_table_in_place_of_a_manifest(tmp_path):
    path = write(tmp_path / "calls.tsv", "File\tEmotion\na.wav\tjoy\n")
    notes = []
    (row,) = utterances_at(path, notes.append)
    assert (row.emotion, row.path) == ("happiness", str(tmp_path / "a.wav"))
    assert f"{path}: read path from 'File', emotion from 'Emotion'" in notes
    write(path, "mood\tEmotion\na.wav\tjoy\n")
    with pytest.raises(
        UserError, match=r"no column 'path'.*; give options to: emobridge scan table .*calls\.tsv -o .*calls\.jsonl"
    ):
        list(utterances_at(path))


def test_all_that_was_read_is_told_in_a_few_lines(tmp_path, cli):
    rows = "".join(f"clips/{row}.mp3;{'Ärger' if row % 2 else ''};s{row % 3};x\n" for row in range(12))
    table = tmp_path / "t.csv"
    table.write_bytes(f"sep=;\nDatei;Emotion;Sprecher;Notiz\n{rows}".encode("cp1252"))
    done = cli("scan", "table", table, "-o", tmp_path / "m.jsonl", "--option", "language=de")
    assert done.code == 0
    assert done.out.splitlines()[:4] == [
        f"{tmp_path / 'm.jsonl'}: 12 utterances; 6 labelled, 3 speakers, 1 language",
        "read as cp1252 text, semicolons between columns, header in line 2",
        "read path from 'Datei', speaker from 'Sprecher', emotion from 'Emotion'",
        "ignored columns: Notiz (--option keep=NAME,NAME keeps them)",
    ]
