import pytest

from emobridge.corpora import scan
from emobridge.errors import UserError

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
TRAIN = """\
1,"also I was the point person, and so on",Chandler,neutral,neutral,0,0,8,21,"00:16:16,059","00:16:21,731"
2,You must’ve had your hands full.,The Interviewer,neutral,neutral,0,1,8,21,"00:16:21,940","00:16:23,442"
3,Hey!,All,joy,positive,1,5,4,4,"0:12:44,074","0:12:45,189"
4,No!,Ross and Joey,surprise,negative,1,6,4,4,"0:12:46,074","0:12:47,189"
"""
DEV = '1,"Oh my God, he’s lost it.",Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"\n'
TEST = '1,Why?,Mark,disgust,negative,0,0,4,7,"00:20:57,256","00:21:00,049"\n'


def fabricate(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.fixture
def root(tmp_path):
    """As MELD.Raw.tar.gz and the archives in it unpack."""
    root = tmp_path / "MELD.Raw"
    fabricate(root / "train/train_splits", "dia0_utt0.mp4", "dia0_utt1.mp4", "dia1_utt5.mp4", "dia1_utt6.mp4")
    fabricate(root / "dev_splits_complete", "dia0_utt0.mp4")
    fabricate(root / "test/output_repeated_splits_test", "dia0_utt0.mp4", "final_videos_testdia0_utt0.mp4")
    (root / "train" / "train_sent_emo.csv").write_text(HEADER + TRAIN, encoding="utf-8")
    (root / "dev_sent_emo.csv").write_text(HEADER + DEV, encoding="utf-8")
    (root / "test_sent_emo.csv").write_text(HEADER + TEST, encoding="utf-8")
    return root


def test_a_fabricated_tree(root):
    rows = list(scan("meld", root))
    assert [(row.id, row.speaker, row.emotion, row.split) for row in rows] == [
        ("train_dia0_utt0", "Chandler", "neutral", "train"),
        ("train_dia0_utt1", "The Interviewer", "neutral", "train"),
        ("train_dia1_utt5", None, "happiness", "train"),
        ("train_dia1_utt6", None, "surprise", "train"),
        ("dev_dia0_utt0", "Phoebe", "sadness", "validation"),
        ("test_dia0_utt0", "Mark", "disgust", "test"),
    ]
    assert rows[0].path == str(root / "train/train_splits/dia0_utt0.mp4")
    assert rows[0].text == "also I was the point person, and so on"
    assert {(row.start, row.end) for row in rows} == {(0.0, None)}, "times are those of the episode"
    assert {(row.corpus, row.language, row.naturalness) for row in rows} == {("meld", "en", "acted")}
    assert [row.id for row in scan("meld", root.parent)] == [row.id for row in rows]


def test_a_repaired_clip_of_test_is_taken(root):
    test = list(scan("meld", root))[-1]
    assert test.path.endswith("output_repeated_splits_test/final_videos_testdia0_utt0.mp4")


def test_sound_alone_goes_before_videos(root):
    (root / "dev_splits_complete" / "dia0_utt0.wav").touch()
    paths = {row.id: row.path for row in scan("meld", root)}
    assert paths["dev_dia0_utt0"].endswith("dia0_utt0.wav") and paths["train_dia0_utt0"].endswith(".mp4")


def test_missing_clips_are_told(root):
    (root / "train/train_splits/dia0_utt1.mp4").unlink()
    reading = scan("meld", root)
    assert len(list(reading)) == 5
    assert "left out rows of train_sent_emo.csv without a recording: 1 file (dia0_utt1.mp4)" in reading.lines()


def test_text_of_older_programs(root):
    (root / "dev_sent_emo.csv").write_bytes((HEADER + DEV).encode("cp1252"))
    assert next(row.text for row in scan("meld", root) if row.split == "validation") == "Oh my God, he’s lost it."


def test_a_mistaken_table_is_one_line(root):
    table = root / "dev_sent_emo.csv"
    table.write_text(HEADER + "1,Hi,Ross,joy\n")
    with pytest.raises(UserError, match=r"dev_sent_emo\.csv:2: expected 11 columns as in the header"):
        list(scan("meld", root))
    table.write_text("Utterance,Speaker\n")
    with pytest.raises(UserError, match=r"dev_sent_emo\.csv: no column 'Emotion' \(columns: Utterance, Speaker"):
        list(scan("meld", root))
