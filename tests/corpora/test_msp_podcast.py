from collections import Counter

import pytest

from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
MSP = """\
MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1
MSP-PODCAST_0001_0009.wav,X,3.777778,3.555556,3.777778,Unknown,Unknown,Train
MSP-PODCAST_0002_0001.wav,A,6.0,1.5,7.0,39,Female,Train
MSP-PODCAST_0002_0002.wav,S,2.0,2.0,2.0,40,Female,Development
MSP-PODCAST_0003_0001.wav,H,5.0,6.0,5.0,41,Male,Test2
MSP-PODCAST_0003_0002.wav,U,5.0,,5.0,41,Male,Test3
"""


def fabricate(root, rows, header=HEADER, name="labels_consensus"):
    (root / "Labels").mkdir(parents=True)
    (root / "Audios").mkdir()
    for row in rows.splitlines():
        (root / "Audios" / row.partition(",")[0]).touch()
    (root / "Labels" / f"{name}.csv").write_text(header + rows)
    return root


@pytest.fixture
def msp(tmp_path):
    return fabricate(tmp_path / "MSP", MSP)


def test_a_fabricated_tree(msp):
    rows = list(scan("msp-podcast", msp))
    assert [(row.id, row.emotion, row.speaker, row.split) for row in rows] == [
        ("MSP-PODCAST_0001_0008", "neutral", "30", "test"),
        ("MSP-PODCAST_0001_0009", None, None, "train"),
        ("MSP-PODCAST_0002_0001", "anger", "39", "train"),
        ("MSP-PODCAST_0002_0002", "sadness", "40", "validation"),
    ]
    assert (rows[2].arousal, rows[2].valence, rows[2].dominance) == (6.0, 1.5, 7.0)
    assert rows[0].path == str(msp / "Audios" / "MSP-PODCAST_0001_0008.wav")
    assert {(row.corpus, row.language, row.naturalness) for row in rows} == {("msp-podcast", "en", "natural")}
    assert [row.gender for row in rows] == ["male", None, "female", "female"]
    write_manifest(msp / "m.jsonl", rows)
    assert list(read_manifest(msp / "m.jsonl")) == rows
    assert list(scan("msp-podcast", msp.parent)) == rows, "the folder above does too"


def test_which_test_set_is_an_option(msp):
    for test, names in (("test2", {"0003_0001"}), ("all", {"0001_0008", "0003_0001", "0003_0002"})):
        rows = list(scan("msp-podcast", msp, test=test))
        assert {row.id[12:] for row in rows if row.split == "test"} == names
        assert Counter(row.split for row in rows)["train"] == 2, "the others stay"
    assert next(row.valence for row in scan("msp-podcast", msp, test="Test3") if row.split == "test") is None
    with pytest.raises(UserError, match="unknown test set 'Test4'"):
        scan("msp-podcast", msp, test="Test4")


def test_all_the_letters_of_emotions(tmp_path):
    letters = "ASHUFDCNOX"
    rows = "".join(
        f"MSP-PODCAST_0001_{number:04d}.wav,{code},1,2,3,1,Male,Train\n" for number, code in enumerate(letters)
    )
    assert [row.emotion for row in scan("msp-podcast", fabricate(tmp_path / "MSP", rows))] == [
        *("anger", "sadness", "happiness", "surprise", "fear", "disgust", "contempt", "neutral", "other", None)
    ]


def test_a_row_without_its_recording_is_passed_over(msp):
    (msp / "Audios" / "MSP-PODCAST_0002_0001.wav").unlink()
    assert len(list(scan("msp-podcast", msp))) == 3


def test_the_other_spelling_of_the_table(tmp_path):
    assert list(scan("msp-podcast", fabricate(tmp_path / "MSP", MSP, name="labels_concensus")))
