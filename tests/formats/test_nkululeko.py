import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_its_own_tables(tmp_path):
    table = write(
        tmp_path / "polish_dev.csv",
        "file,speaker,gender,emotion,language\nPOLISH/m4.s_podaj_1.wav,POLISH_m4,male,fear,polish\n",
    )
    assert list(import_("nkululeko", table)) == [
        Utterance(
            "POLISH/m4.s_podaj_1",
            "polish_dev",
            str(tmp_path / "POLISH/m4.s_podaj_1.wav"),
            language="pl",
            speaker="POLISH_m4",
            emotion="fear",
            gender="male",
        )
    ]


def test_names_of_languages_become_codes(tmp_path):
    names = ("Mandarin", "bangla", "Deutsch", "zh_TW", "deu", "")
    lines = "".join(f"{number}.wav,{name}\n" for number, name in enumerate(names))
    rows = list(import_("nkululeko", write(tmp_path / "t.csv", f"file,language\n{lines}")))
    assert [row.language for row in rows] == ["zh", "bn", "de", "zh-TW", "de", "und"]
    with pytest.raises(UserError, match=r"t.csv:2: language 'klingonese'"):
        list(import_("nkululeko", write(tmp_path / "t.csv", "file,language\na.wav,klingonese\n")))


def test_times_as_pandas_prints_them_and_as_seconds(tmp_path):
    table = write(
        tmp_path / "t.csv",
        "file,start,end,emotion,split\n"
        "./data/a.wav,0 days,,happiness,dev\n"
        "./data/a.wav,0 days 00:00:01.500000,1 days 02:03:04.000000005,neutral,\n"
        "./data/a.wav,00:00:02,2.25,,train\n"
        "./data/b.wav,0,NaT,,test\n",
    )
    rows = list(import_("nkululeko", table))
    assert [(row.start, row.end) for row in rows] == [(0, None), (1.5, 93784.000000005), (2.0, 2.25), (0, None)]
    assert [row.split for row in rows] == ["validation", None, "train", "test"]
    assert len({row.id for row in rows}) == 4
    assert rows[0].path == str(tmp_path / "data/a.wav")


def test_audformat_reads_what_is_written(tmp_path):
    audformat = pytest.importorskip("audformat")
    rows = [
        Utterance("a", "c", str(tmp_path / "x" / "a.wav"), start=1.5, end=3600.25, speaker="s", emotion="anger"),
        Utterance("b", "c", str(tmp_path / "else" / "b.wav"), split="validation"),
    ]
    export("nkululeko", tmp_path / "x" / "t.csv", rows)
    frame = audformat.utils.read_csv(str(tmp_path / "x" / "t.csv"))
    assert [file for file, _, _ in frame.index] == ["a.wav", "../else/b.wav"]
    assert [start.total_seconds() for _, start, _ in frame.index] == [1.5, 0]
    assert frame.index[0][2].total_seconds() == 3600.25 and frame.index[1][2] != frame.index[1][2]
    assert list(frame.columns) == ["speaker", "emotion", "id", "corpus", "split"]
    assert frame["split"].tolist()[1] == "dev"
    export("nkululeko", tmp_path / "whole.csv", rows[1:])
    assert (tmp_path / "whole.csv").read_text().splitlines()[0] == "file,speaker,emotion,id,corpus,split"


def test_mistakes_are_named(tmp_path):
    for text, options, message in (
        ("file,start\na.wav,soon\n", {}, r"t\.csv:2: 'start' is 'soon'; expected a number"),
        ("file,emotion\na.wav,fru\n", {}, r"t\.csv:2: unknown emotion label 'fru'"),
        ("file,mood\na.wav,W\n", {"columns": "emotion=mod"}, "unknown column 'mod': did you mean 'mood'"),
        ("file\na.wav\n", {"columns": "emotoin=file"}, "unknown field 'emotoin'"),
        ("mood\na.wav\n", {}, "no column 'path'"),
        ("file\n", {}, "an empty table"),
    ):
        with pytest.raises(UserError, match=message):
            list(import_("nkululeko", write(tmp_path / "t.csv", text), **options))
    (row,) = import_(
        "nkululeko", write(tmp_path / "t.csv", "file,mood\na.wav,W\n"), columns="emotion=mood", labels="W=joy"
    )
    assert row.emotion == "happiness"
    with pytest.raises(UserError, match=r"ends in \.csv"):
        export("nkululeko", tmp_path / "t.txt", [row])


def test_columns_of_other_names_and_another_folder(tmp_path):
    file = write(tmp_path / "t.csv", "File;Speaker_ID;Label;start;end;note\na.wav;7;joy;0,5;0 days 00:00:01.5;x\n")
    reading = import_("nkululeko", file, root="/audio")
    (row,) = reading
    assert (row.path, row.speaker, row.emotion, row.start, row.end) == ("/audio/a.wav", "7", "happiness", 0.5, 1.5)
    assert "ignored columns: note (--option keep=NAME,NAME keeps them)" in reading.lines()
