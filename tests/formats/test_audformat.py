import re
import sys

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


@pytest.fixture
def audformat():
    return pytest.importorskip("audformat")


def fill(audformat, db, table, column, values, scheme=None):
    db[table][column] = audformat.Column(scheme_id=scheme or column)
    db[table][column].set(values)


@pytest.fixture
def emodb(audformat, tmp_path):
    """A database like EMO-DB in audformat's documentation, with one clip in the test split."""
    import pandas

    db = audformat.Database("emodb", languages=["deu"])
    db.splits["test"] = audformat.Split("test")
    db.schemes["emotion"] = audformat.Scheme(labels=["happiness", "neutral", "fear"])
    db.schemes["confidence"] = audformat.Scheme("float")
    db.schemes["age"] = audformat.Scheme("int")
    db.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen liegt auf dem Eisschrank."})
    db["speaker"] = audformat.MiscTable(pandas.Index([3, 8], name="speaker"))
    fill(audformat, db, "speaker", "age", [31, 34])
    db.schemes["speaker"] = audformat.Scheme(labels="speaker", dtype="int")
    index = audformat.filewise_index(["wav/03a01Fa.wav", "wav/08a01Na.wav"])
    db["files"] = audformat.Table(index)
    fill(audformat, db, "files", "speaker", [3, 8])
    fill(audformat, db, "files", "transcription", ["a01", None])
    db["emotion"] = audformat.Table(index)
    fill(audformat, db, "emotion", "emotion", ["happiness", "neutral"])
    fill(audformat, db, "emotion", "emotion.confidence", [0.9, 1.0], "confidence")
    db["emotion.categories.test"] = audformat.Table(index[1:], split_id="test")
    fill(audformat, db, "emotion.categories.test", "emotion", ["neutral"])
    return db


def test_a_filewise_database(emodb, tmp_path):
    emodb.save(str(tmp_path))
    assert list(import_("audformat", tmp_path)) == [
        Utterance(
            "wav/03a01Fa",
            "emodb",
            str(tmp_path / "wav/03a01Fa.wav"),
            language="de",
            speaker="3",
            emotion="happiness",
            text="Der Lappen liegt auf dem Eisschrank.",
            age=31.0,
        ),
        Utterance(
            "wav/08a01Na",
            "emodb",
            str(tmp_path / "wav/08a01Na.wav"),
            language="de",
            speaker="8",
            emotion="neutral",
            split="test",
            age=34.0,
        ),
    ]
    (row,) = import_("audformat", tmp_path, tables="emotion.categories.test")
    assert row.speaker == "8", "looked up in the table of files"


def test_a_segmented_table_with_speakers_of_the_files(audformat, emodb, tmp_path):
    files = ["wav/03a01Fa.wav", "wav/03a01Fa.wav", "wav/08a01Na.wav"]
    index = audformat.segmented_index(files, ["0s", "1.5s", "0.25s"], ["1.5s", None, "1s"])
    emodb["segments"] = audformat.Table(index)
    fill(audformat, emodb, "segments", "emotion", ["happiness", "fear", None])
    emodb.schemes["language"] = audformat.Scheme("str")
    emodb.schemes["gender"] = audformat.Scheme("str")
    fill(audformat, emodb, "speaker", "gender", ["male", "female"])
    fill(audformat, emodb, "speaker", "language", ["deu", "gsw"])  # Swiss German has no code of two letters
    emodb.save(str(tmp_path))
    rows = list(import_("audformat", tmp_path, tables="segments"))
    assert [(row.start, row.end) for row in rows] == [(0.0, 1.5), (1.5, None), (0.25, 1.0)]
    assert [(row.emotion, row.speaker) for row in rows] == [("happiness", "3"), ("fear", "3"), (None, "8")]
    assert [row.gender for row in rows] == ["male", "male", "female"]
    assert [row.language for row in rows] == ["de", "de", "gsw"]
    assert len({row.id for row in rows}) == 3


def test_tables_that_contradict_each_other(audformat, emodb, tmp_path):
    emodb["other"] = audformat.Table(emodb["emotion"].index)
    fill(audformat, emodb, "other", "emotion", ["fear", "fear"])
    emodb.save(str(tmp_path))
    with pytest.raises(UserError, match=r"overlapping data in column 'emotion': choose among .*other.*tables="):
        list(import_("audformat", tmp_path))
    assert [row.emotion for row in import_("audformat", tmp_path, tables="other")] == ["fear", "fear"]
    with pytest.raises(UserError, match="'othr': did you mean 'other'"):
        list(import_("audformat", tmp_path, tables="othr"))


def test_audformat_reads_what_is_written(audformat, tmp_path):
    rows = [
        Utterance("a", "c", str(tmp_path / "wav" / "a.wav"), emotion="anger", language="de-AT", split="validation"),
        Utterance("b", "c", str(tmp_path / "wav" / "b.wav"), speaker="s", text="hello", language="en"),
    ]
    done = export("audformat", tmp_path, rows)
    db = audformat.Database.load(str(done.path), load_data=True)
    assert (db.name, db.languages, sorted(db.tables)) == ("c", ["deu", "eng"], ["emotion", "emotion.dev"])
    assert db.splits[db["emotion.dev"].split_id].type == "dev"
    assert db.get("emotion")["emotion"].dropna().to_dict() == {"wav/a.wav": "anger"}
    assert db.get("transcription")["transcription"].dropna().to_dict() == {"wav/b.wav": "hello"}
    assert list(db["emotion"].index) == ["wav/b.wav"]
    assert not [file.name for file in tmp_path.iterdir() if file.name.startswith(".")]
    with pytest.raises(UserError, match="holds a database already"):
        export("audformat", tmp_path, rows)


def test_a_bad_row_names_the_file(audformat, tmp_path):
    db = audformat.Database("mine")
    db.schemes["emotion"] = audformat.Scheme("str")
    db["emotion"] = audformat.Table(audformat.filewise_index(["a.wav"]))
    fill(audformat, db, "emotion", "emotion", ["frustrated"])
    db.save(str(tmp_path))
    with pytest.raises(UserError, match=r":a\.wav: unknown emotion label 'frustrated'"):
        list(import_("audformat", tmp_path))
    (row,) = import_("audformat", tmp_path, labels="frustrated=other")
    assert (row.emotion, row.language) == ("other", "und")


def test_two_of_the_same_stretch_are_refused(audformat, tmp_path):
    with pytest.raises(UserError, match="'a' and 'b' are the same stretch"):
        export("audformat", tmp_path / "db", [Utterance("a", "c", "/x.wav"), Utterance("b", "c", "/x.wav")])
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_loaded_can_run_code(audformat, emodb, tmp_path):
    emodb.save(str(tmp_path), storage_format="pkl")
    with pytest.raises(UserError, match=r"db\.speaker\.pkl: a pickle"):
        list(import_("audformat", tmp_path))
    marker = tmp_path / "ran"
    header = tmp_path / "header"
    header.mkdir()
    (header / "db.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(UserError, match="no database of audformat"):
        list(import_("audformat", header))
    assert not marker.exists()


def test_what_is_no_database(audformat, tmp_path):
    for text in ("[1, 2]", "name: a\nschemes: 3", "{", ""):
        (tmp_path / "db.yaml").write_text(text)
        with pytest.raises(UserError, match=r"db\.yaml: no database of audformat") as error:
            list(import_("audformat", tmp_path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("languages: [deu]", "languages: [[1], 2]"),
        ("name: emodb", "name: [1]"),
        ("dtype: float", "dtype: []"),
        ("scheme_id: emotion", "scheme_id: {a: 1}"),
        ("type: filewise", "type: 1.0e+400"),
    ],
)
def test_wrong_types_in_the_header_are_one_line(audformat, emodb, tmp_path, old, new):
    emodb.save(str(tmp_path))
    text = (tmp_path / "db.yaml").read_text()
    assert old in text
    (tmp_path / "db.yaml").write_text(text.replace(old, new))
    with pytest.raises(UserError) as error:
        list(import_("audformat", tmp_path))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_without_the_package_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(UserError, match=r"pip install 'emobridge\[audformat\]'"):
        list(import_("audformat", tmp_path))


def test_declared_ranges_are_told_with_the_option_that_keeps_them(audformat, tmp_path):
    for bounds, note in (
        (((1, 5), (1, 5)), "declared ranges: arousal 1..5, valence 1..5; where .* --attribute-range mine=1..5"),
        (((1, 5), (1, 7)), "declared ranges: arousal 1..5, valence 1..7; emobridge takes one range for a corpus"),
    ):
        db = audformat.Database("mine")
        db["emotion"] = audformat.Table(audformat.filewise_index(["a.wav"]))
        for field, (low, high) in zip(("arousal", "valence"), bounds):
            db.schemes[field] = audformat.Scheme("float", minimum=low, maximum=high)
            fill(audformat, db, "emotion", field, [3.0])
        db.save(str(tmp_path))
        reading = import_("audformat", tmp_path)
        assert [row.valence for row in reading] == [3.0], "nothing is rescaled"
        assert any(re.search(note, line) for line in reading.lines())
