"""Lists for a person to label: written, filled in with whatever spreadsheet, read back."""

from __future__ import annotations

import csv
import os

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quick
from hypothesis import strategies as st

from emobridge.errors import UserError
from emobridge.study.label_list import (
    LabelList,
    ListedLabel,
    ToLabel,
    is_unsure,
    language_of,
    read_list,
    with_labels,
    write_list,
)
from emobridge.types import Utterance

ROWS = (
    ToLabel(
        Utterance("a", "c", "x/a.wav", start=1.5, end=2.0, speaker="s", text='she said "no", twice'), "anger", 0.512
    ),
    ToLabel(Utterance("b", "c", os.path.abspath("b.wav")), "sadness", 1.0),
)


def fill(path, **emotions):
    """Write emotions into rows by their id."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, tuple(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"emotion": emotions.get(row["id"], row["emotion"])} for row in rows)


def test_a_list_as_it_is_written(tmp_path):
    path = tmp_path / "l.csv"
    write_list(path, ROWS)
    assert path.read_text().splitlines() == [
        "id,path,start,end,speaker,text,guess,probability,emotion",
        f'a,{os.path.abspath("x/a.wav")},1.5,2,s,"she said ""no"", twice",anger,0.51,',
        f"b,{os.path.abspath('b.wav')},,,,,sadness,1.00,",
    ]


def test_what_is_filled_in_is_read_and_what_is_not_stays_unlabelled(tmp_path):
    path = tmp_path / "l.csv"
    write_list(path, ROWS)
    fill(path, b=" Traurig ")
    assert read_list(path).labels == (ListedLabel("b", "sadness", f"{path}:3", os.path.abspath("b.wav")),)
    fill(path, a="unknown")
    assert [one.id for one in read_list(path).labels] == ["b"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_own_way_of_writing_it(tmp_path, delimiter):
    path = tmp_path / "l.csv"
    text = "id,path,emotion\na,a.wav,\nb,b.wav,wütend\n".replace(",", delimiter).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [(one.id, one.emotion) for one in read_list(path).labels] == [("b", "anger")]


@given(st.lists(st.sampled_from(["anger", "sadness", ""]), min_size=1, max_size=6))
@quick(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_come_back_as_they_were_filled_in(tmp_path, emotions):
    path = tmp_path / "l.csv"
    path.unlink(missing_ok=True)
    write_list(path, [ToLabel(Utterance(f"u {n}", "c", "a.wav"), "anger", 0.5) for n in range(len(emotions))])
    fill(path, **{f"u {n}": emotion for n, emotion in enumerate(emotions)})
    wanted = [(f"u {n}", emotion) for n, emotion in enumerate(emotions) if emotion]
    if wanted:
        assert [(one.id, one.emotion) for one in read_list(path).labels] == wanted
    else:
        with pytest.raises(UserError, match="nothing is filled in"):
            read_list(path)


def test_a_list_in_which_something_is_filled_in_is_never_overwritten(tmp_path):
    path = tmp_path / "l.csv"
    write_list(path, ROWS)
    write_list(path, ROWS[:1])
    fill(path, a="anger")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"l\.csv: 1 emotions are filled in there and would be lost"):
        write_list(path, ROWS)
    other = tmp_path / "scores.csv"
    other.write_text("path,score\na,1\n")
    with pytest.raises(UserError, match=r"scores\.csv: no column 'id'"):
        write_list(other, ROWS)
    with pytest.raises(UserError, match=r"l\.txt: expected a file that ends in \.csv"):
        write_list(tmp_path / "l.txt", ROWS)
    assert path.read_bytes() == before and other.read_text() == "path,score\na,1\n"
    assert sorted(os.listdir(tmp_path)) == ["l.csv", "scores.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,path,emotion\na,a.wav,sadnes\n", r"l\.csv:2: unknown emotion label 'sadnes': did you mean 'sadness'\?"),
        ("id,path,emotion\na,a.wav,\n", r"l\.csv: nothing is filled in"),
        ("id,path,emotion\na,a.wav,anger\na,a.wav,anger\n", r"l\.csv:3: the id 'a' is labelled twice"),
        ("id,path,mood\na,a.wav,anger\n", r"l\.csv: no column 'emotion' \(columns: id, path, mood\)"),
        (
            "id,emotion\na,angre\nb,blau\nc,angre\n",
            r"l\.csv:2: unknown emotion label 'angre'.*'angre' \(2\), 'blau' \(1\)",
        ),
        ("id,emotion\na,anger?\nb,skip\n", r"nothing is filled in \(2 rows not sure of the label\)"),
        ("id,emotion\n,anger\n", r"l\.csv:2: anger is filled in, and the id is empty"),
        ("id,path,emotion\na,a.wav\n", r"l\.csv:2: expected 3 columns"),
        ("", r"l\.csv: no column 'id' \(it is empty\)"),
    ],
)
def test_a_bad_list_is_one_line(tmp_path, content, message):
    path = tmp_path / "l.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_list(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_list_that_is_not_there_or_none(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        read_list(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"m\.jsonl: expected a list that ends in \.csv"):
        read_list(tmp_path / "m.jsonl")


def test_labels_join_the_utterances():
    rows = [Utterance("u1", "c", "a"), Utterance("u2", "c", "b", emotion="anger"), Utterance("u3", "c", "d")]
    listed = [ListedLabel("u3", "sadness", "l:2"), ListedLabel("u2", "anger", "l:3")]
    found = with_labels(rows, listed, ("anger", "sadness"), "m")
    assert [one.emotion for one in found] == [None, "anger", "sadness"] and rows[2].emotion is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ListedLabel("utt-2x", "anger", "l:2"), "l:2: m has no utterance 'utt-2x': did you mean 'utt-2'?"),
        (ListedLabel("9", "anger", "l:2"), "l:2: m has no utterance '9'"),
        (ListedLabel("utt-1", "fear", "l:2"), "l:2: 'fear' is not among the labels of this run, anger, sadness"),
        (ListedLabel("utt-2", "sadness", "l:2"), "l:2: 'utt-2' is sadness here, and anger in m"),
    ],
)
def test_a_label_that_does_not_fit_is_one_line(given, message):
    rows = [Utterance("utt-1", "c", "a"), Utterance("utt-2", "c", "b", emotion="anger")]
    with pytest.raises(UserError) as caught:
        with_labels(rows, LabelList((given,)).matched(rows, "m").labels, ("anger", "sadness"), "m")
    assert str(caught.value).startswith(message)


IDS = ("0012", "7", "007", "03-01", "1.5", "20231201123456", "a")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("12", "0012"),
        ("12.0", "0012"),
        ("00012", "0012"),
        ("7", "7"),
        ("a", "a"),
    ],
)
def test_a_number_without_its_zeros_is_the_only_utterance_that_it_can_be(name, read):
    rows = [Utterance(one, "c", f"{one}.wav") for one in IDS]
    matched = LabelList((ListedLabel(name, "anger", "l:2"),)).matched(rows, "m")
    assert [label.id for label in matched.labels] == [read]
    assert list(matched.notes) == ([] if name == read else [f"l:2: the id {name!r} was read as {read!r}"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0007", "may have made it of '7' or '007'"),
        ("03. Jan", "made a date of '03-01': write the id again"),
        ("01.03.2026", "made a date of '03-01'"),
        ("1-Mrz", "made a date of '03-01'"),
        ("2026-03-01 00:00:00.000", "made a date of '03-01'"),
        ("2,02312E+13", "rounded a long number"),
    ],
)
def test_an_id_that_a_spreadsheet_changed_is_no_guess(name, message):
    rows = [Utterance(one, "c", f"{one}.wav") for one in IDS]
    with pytest.raises(UserError, match=message):
        LabelList((ListedLabel(name, "anger", "l:2"),)).matched(rows, "m")


@pytest.mark.parametrize(("name", "path"), [("7", "007.mp3"), ("12", "C:\\calls\\7.wav")])
def test_the_file_must_be_that_of_the_utterance_where_an_id_is_doubtful(name, path):
    rows = [Utterance(one, "c", f"/x/{one}.wav") for one in IDS]
    with pytest.raises(UserError, match=r"l:2: '\d+' is .* here, and .* in m: did a spreadsheet change the id\?"):
        LabelList((ListedLabel(name, "anger", "l:2", path),)).matched(rows, "m")
    assert LabelList((ListedLabel("7", "anger", "l:2", "else\\7.wav"),)).matched(rows, "m").labels[0].id == "7"
    assert LabelList((ListedLabel("a", "anger", "l:2", "b.wav"),)).matched(rows, "m").labels[0].id == "a"


def test_two_rows_never_label_one_utterance():
    rows = [Utterance("0012", "c", "a.wav")]
    labels = (ListedLabel("0012", "anger", "l:2"), ListedLabel("12", "fear", "l:3"))
    with pytest.raises(UserError, match="l:3: '0012' is labelled twice, in l:2 too"):
        LabelList(labels).matched(rows, "m")


def test_rows_that_are_not_sure_are_counted(tmp_path):
    path = tmp_path / "q.csv"
    path.write_bytes("ID;Emotion\r\na;Ärger \r\nb;anger?\r\nc;-\r\nd;skip\r\ne;\r\n".encode("cp1252"))
    listed = read_list(path)
    assert [(label.id, label.emotion) for label in listed.labels] == [("a", "anger")]
    assert [note.split(": ", 1)[1] for note in listed.notes] == [
        "read as cp1252 text, semicolons between columns",
        "3 rows not sure of the label: unlabelled",
    ]


def test_the_language_of_the_utterances_decides_what_a_word_means(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("id,emotion\na,enojado\n")
    assert [read_list(path, language).labels[0].emotion for language in ("es", "pt")] == ["anger", "disgust"]
    with pytest.raises(UserError, match=r"l\.csv:2: unknown emotion label 'enojado': .*the row's language decides"):
        read_list(path)
    spanish, other = Utterance("a", "c", "a", language="es"), Utterance("b", "c", "b", language="pt")
    assert (language_of([spanish, spanish]), language_of([spanish, other]), language_of([])) == ("es", "und", "und")


@pytest.mark.parametrize("word", ["?", "-", "--", "anger?", " Skip ", "not sure", "don’t know", "weiß nicht", "/"])
def test_words_that_are_not_sure(word):
    assert is_unsure(word)


def test_a_formula_in_a_list_is_text_and_comes_back(tmp_path):
    path = tmp_path / "l.csv"
    write_list(path, [ToLabel(Utterance("=cmd|' /C calc'!A0", "c", "a.wav", speaker="@x"), "anger", 0.5)])
    assert "\n'=cmd|' /C calc'!A0," in path.read_text() and ",'@x," in path.read_text()
    fill(path, **{"'=cmd|' /C calc'!A0": "anger"})
    assert [label.id for label in read_list(path).labels] == ["=cmd|' /C calc'!A0"]
