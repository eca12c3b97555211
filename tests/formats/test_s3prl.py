import json

import pytest

from emobridge.data import encodings
from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def entry(name, label, speaker="Ses01F"):
    folder = name.rsplit("_", 1)[0]
    return {"path": f"Session1/sentences/wav/{folder}/{name}.wav", "label": label, "speaker": speaker}


@pytest.fixture
def iemocap(tmp_path):
    root = tmp_path / "iemocap"
    session = root / "meta_data" / "Session1"
    session.mkdir(parents=True)
    labels = {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
    test = [entry("Ses01F_script02_2_F000", "neu"), entry("Ses01F_impro07_M000", "hap")]
    train = [entry("Ses02M_impro02_M009", "sad", "Ses02M")]
    for name, rows in (("train", train), ("test", test)):
        (session / f"{name}_meta_data.json").write_text(json.dumps({"labels": labels, "meta_data": rows}))
    return root


def test_a_fold_with_the_speakers_of_iemocap_from_the_names(iemocap):
    rows = list(import_("s3prl", iemocap, language="en"))
    assert rows == list(import_("s3prl", iemocap / "meta_data" / "Session1", language="en"))
    assert [row.split for row in rows] == ["train", "test", "test"]
    assert [row.emotion for row in rows] == ["sadness", "neutral", "happiness"]
    assert [row.speaker for row in rows] == ["Ses02M", "Ses01F", "Ses01M"], "the file says Ses01F of a man"
    wav = "Session1/sentences/wav/Ses01F_impro07/Ses01F_impro07_M000.wav"
    assert (rows[2].id, rows[2].path, rows[2].corpus) == (wav[:-4], str(iemocap / wav), "iemocap")


def test_one_file_and_another_root(iemocap, tmp_path):
    file = iemocap / "meta_data" / "Session1" / "train_meta_data.json"
    (row,) = import_("s3prl", file, root=str(tmp_path / "audio"), corpus="mine")
    assert (row.split, row.corpus) == ("train", "mine")
    assert row.path.startswith(str(tmp_path / "audio" / "Session1"))


def test_mistakes_are_named(iemocap):
    with pytest.raises(UserError, match=r"Session2/train_meta_data\.json: no such file"):
        list(import_("s3prl", iemocap, fold=2))
    file = iemocap / "meta_data" / "Session1" / "train_meta_data.json"
    for content, message in (
        ({"labels": {}, "meta_data": [{"path": "a.wav", "label": "fru"}]}, r"json:1: unknown emotion label 'fru'"),
        ({"labels": {}, "meta_data": [{"path": "a.wav"}]}, r"json:1: no 'label'"),
        ({"labels": {}, "meta_data": {}}, "expected a list"),
        ({"labels": {}}, "no 'meta_data'"),
        ([], "expected a JSON object, not list"),
    ):
        file.write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            list(import_("s3prl", iemocap))


def test_it_is_written_as_s3prl_reads_it(tmp_path):
    rows = [
        Utterance("a", "c", str(tmp_path / "wav" / "a.wav"), emotion="sadness", speaker="s", split="validation"),
        Utterance("b", "c", "/else/b.wav", emotion="anger", text="hello"),
    ]
    with pytest.raises(UserError, match=r"'a' is in the split 'validation'.*splits=\"validation=train\""):
        export("s3prl", tmp_path, rows)
    with pytest.raises(UserError, match="'b' is in no split"):
        export("s3prl", tmp_path, rows, splits="validation=train")
    done = export("s3prl", tmp_path, rows, fold=3, splits="validation=train,none=test")
    assert (done.path, done.lost) == (tmp_path / "meta_data" / "Session3", ("id", "corpus", "text"))
    train, test = (json.loads((done.path / f"{name}_meta_data.json").read_text()) for name in ("train", "test"))
    assert train["labels"] == test["labels"] == {"anger": 0, "sadness": 1}
    assert train["meta_data"] == [{"path": "wav/a.wav", "label": "sadness", "speaker": "s"}]
    assert test["meta_data"] == [{"path": "/else/b.wav", "label": "anger"}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Utterance("a", "c", "/a.wav", end=2.0, emotion="anger", split="train"), "'a' is a stretch of /a.wav"),
        (Utterance("a", "c", "/a.wav", channel=1, emotion="anger", split="train"), "'a' is channel 1 of /a.wav"),
        (Utterance("a", "c", "/a.wav", split="train"), "'a' has no emotion"),
    ],
)
def test_what_would_mean_something_else_is_refused(tmp_path, row, message):
    with pytest.raises(UserError, match=message):
        export("s3prl", tmp_path / "root", [row])
    with pytest.raises(UserError, match="splits: expected pairs"):
        export("s3prl", tmp_path / "root", [Utterance("a", "c", "/a.wav", emotion="anger")], splits="none=dev")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_one_long_line(tmp_path, monkeypatch):
    """Tools write a JSON file as one line, however long: no limit for the lines of tables holds there."""
    monkeypatch.setattr(encodings, "LONGEST_TEXT_LINE", 100)
    content = {"labels": {"anger": 0}, "meta_data": [{"path": f"{n}.wav", "label": "anger"} for n in range(20)]}
    (tmp_path / "train_meta_data.json").write_text(json.dumps(content))
    assert len(list(import_("s3prl", tmp_path / "train_meta_data.json"))) == 20
