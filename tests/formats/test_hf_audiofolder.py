import json
import os

import pytest

from emobridge.errors import UserError
from emobridge.formats import export, import_
from emobridge.types import Utterance


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_metadata_at_the_top_and_in_folders(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,label,transcription\ndata/1.mp3,joy,hello\n")
    reading = import_("hf-audiofolder", tmp_path, language="en")
    (row,) = reading
    assert reading.intake.notes[1:] == [
        "read path from 'file_name', emotion from 'label', text from 'transcription'",
        "no column for speaker (columns: file_name, label, transcription)",
    ]
    assert row == Utterance(
        "data/1", tmp_path.name, str(tmp_path / "data/1.mp3"), language="en", emotion="happiness", text="hello"
    )
    (tmp_path / "metadata.csv").unlink()
    for split in ("train", "validation", "test"):
        (tmp_path / split).mkdir()
        line = json.dumps({"file_name": "1.wav", "emotion": "sad", "speaker": 3, "end": None})
        (tmp_path / split / "metadata.jsonl").write_text(line + "\n")
    rows = list(import_("hf-audiofolder", tmp_path))
    assert [(row.id, row.split, row.speaker) for row in rows] == [
        ("test/1", "test", "3"),
        ("train/1", "train", "3"),
        ("validation/1", "validation", "3"),
    ]


def test_without_metadata_folders_are_labels(tmp_path):
    for name in ("train/angry/1.wav", "test/sad/1.wav", "valid/2.wav"):
        touch(tmp_path / name)
    rows = list(import_("hf-audiofolder", tmp_path))
    assert [(row.id, row.emotion, row.split) for row in rows] == [
        ("test/sad/1", "sadness", "test"),
        ("train/angry/1", "anger", "train"),
        ("valid/2", None, "validation"),
    ]


def test_splits_need_words_or_a_legend(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,label,split\n1.wav,joy,Train\n2.wav,sad,TEST\n3.wav,sad,dev\n")
    rows = list(import_("hf-audiofolder", tmp_path))
    assert [row.split for row in rows] == ["train", "test", "validation"]
    (tmp_path / "metadata.csv").write_text("file_name,label,split\n1.wav,joy,0\n2.wav,sad,1\n3.wav,sad,2\n")
    with pytest.raises(UserError, match="splits="):
        list(import_("hf-audiofolder", tmp_path))
    rows = list(import_("hf-audiofolder", tmp_path, splits="0=train,1=validation,2=test", root="/audio"))
    assert [row.split for row in rows] == ["train", "validation", "test"]
    assert [row.path for row in rows] == ["/audio/1.wav", "/audio/2.wav", "/audio/3.wav"]


@pytest.mark.parametrize("copy", ["link", "copy"])
def test_the_audio_lies_in_the_folder(tmp_path, clips, copy):
    rows = [
        Utterance("x-test-1", "c", clips[0], emotion="anger", split="train", arousal=0.5),
        Utterance("b", "c", clips[-1], split="test"),
        Utterance("d", "c", clips[0], start=0.5, speaker="s", split="train"),
    ]
    done = export("hf-audiofolder", tmp_path / "set", rows, copy=copy)
    assert (done.count, done.lost) == (3, ("path",))
    files = sorted(file.relative_to(done.path).as_posix() for file in done.path.rglob("*") if file.is_file())
    assert files == [
        "test/000002.flac",
        "test/metadata.jsonl",
        "train/000001.wav",
        "train/000003.wav",
        "train/metadata.jsonl",
    ]
    audio = done.path / "train" / "000001.wav"
    assert audio.is_symlink() == (copy == "link")
    with open(clips[0], "rb") as file:
        assert audio.read_bytes() == file.read()
    train, test = (
        [json.loads(line) for line in (done.path / split / "metadata.jsonl").read_text().splitlines()]
        for split in ("train", "test")
    )
    assert all(list(row) == list(train[0]) for row in train + test), "`datasets` wants the same features everywhere"
    assert test[0]["emotion"] == "" and test[0]["arousal"] is None
    assert [os.path.basename(row.path) for row in import_("hf-audiofolder", done.path)] == [
        "000002.flac",
        "000001.wav",
        "000003.wav",
    ]


def test_without_splits_all_lie_in_the_folder_itself(tmp_path, clips):
    (tmp_path / "set").mkdir()
    done = export("hf-audiofolder", tmp_path / "set", [Utterance("a", "c", clips[0])])
    assert sorted(file.name for file in done.path.iterdir()) == ["000001.wav", "metadata.jsonl"]


def test_what_cannot_be_made_leaves_nothing(tmp_path, clips):
    row = Utterance("a", "c", clips[0], split="train")
    for rows, options, message in (
        ([row, Utterance("b", "c", clips[1])], {}, "'b' is in no split"),
        ([Utterance("b", "c", "/nowhere.wav")], {}, "'b': /nowhere.wav: no such file"),
        ([row], {"copy": "lnik"}, "did you mean 'link'"),
    ):
        with pytest.raises(UserError, match=message):
            export("hf-audiofolder", tmp_path / "set", rows, **options)
    assert list(tmp_path.iterdir()) == []
    touch(tmp_path / "set" / "mine.txt")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        export("hf-audiofolder", tmp_path / "set", [row])
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(UserError, match="nor audio files here or below"):
        list(import_("hf-audiofolder", tmp_path))
    for text, message in (
        ("file_name,emotion\n1.wav,fru\n", r"metadata\.csv:2: unknown emotion label 'fru'"),
        ("file_name,emotion\n,joy\n", r"metadata\.csv:2: expected the path of an audio file in 'file_name'"),
        ("mood\njoy\n", r"metadata\.csv: no column 'path'"),
    ):
        (tmp_path / "metadata.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            list(import_("hf-audiofolder", tmp_path))


@pytest.mark.parametrize("copy", ["link", "copy"])
def test_only_audio_is_put_into_the_folder(tmp_path, clips, copy):
    secret = tmp_path / "secret.wav"
    secret.write_text("root:x:0:0:root\n" * 100)
    link = tmp_path / "link.wav"
    link.symlink_to(secret)
    os.mkfifo(tmp_path / "pipe.wav")
    for path, message in (
        (secret, r"'b': .*secret\.wav: .*; only audio is put into the folder"),
        (link, r"'b': .*link\.wav: .*only audio"),
        (tmp_path / "pipe.wav", "no such file"),
        ("/dev/zero", "no such file"),
        ("/etc/passwd", r"'b': /etc/passwd: "),
    ):
        rows = [Utterance("a", "c", clips[0]), Utterance("b", "c", str(path))]
        with pytest.raises(UserError, match=message):
            export("hf-audiofolder", tmp_path / "set", rows, copy=copy)
        assert not (tmp_path / "set").exists()
