from collections import Counter

import pytest

from emobridge.corpora import ravdess, scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError


def fabricate(root, actors=("01", "02"), suffix=".wav"):
    for actor in actors:
        folder = root / f"Actor_{actor}"
        folder.mkdir(parents=True)
        for emotion in ravdess.LABELS:
            for intensity in ("01",) if emotion == "01" else ("01", "02"):
                for sentence in ("01", "02"):
                    for take in ("01", "02"):
                        (folder / f"03-01-{emotion}-{intensity}-{sentence}-{take}-{actor}{suffix}").touch()


def test_a_fabricated_tree(tmp_path):
    fabricate(tmp_path / "speech")
    (tmp_path / "speech" / "Actor_01" / "03-02-01-01-01-01-01.wav").touch()  # a song
    (tmp_path / "speech" / "Actor_01" / "02-01-06-01-02-01-12.wav").touch()  # sound of a video
    (tmp_path / "speech" / "notes.wav").touch()
    rows = list(scan("ravdess", tmp_path))
    assert len(rows) == 2 * 60
    assert Counter(row.emotion for row in rows)["neutral"] == 2 * 4
    assert {(int(row.speaker) % 2, row.gender, row.naturalness) for row in rows} == {
        (1, "male", "acted"),
        (0, "female", "acted"),
    }
    first = rows[0]
    assert (first.id, first.corpus, first.language, first.speaker, first.emotion, first.text) == (
        "03-01-01-01-01-01-01",
        "ravdess",
        "en",
        "01",
        "neutral",
        "Kids are talking by the door",
    )
    assert [row.id for row in rows if row.emotion == "fear"][:2] == ["03-01-06-01-01-01-01", "03-01-06-01-01-02-01"]
    assert rows == list(scan("ravdess", tmp_path))
    write_manifest(tmp_path / "m.jsonl", rows)
    assert list(read_manifest(tmp_path / "m.jsonl")) == rows


def test_songs_alone_are_no_corpus(tmp_path):
    (tmp_path / "03-02-01-01-01-01-01.wav").touch()
    with pytest.raises(UserError, match="no file like Actor_01"):
        list(scan("ravdess", tmp_path))


def test_unknown_emotion_number(tmp_path):
    (tmp_path / "03-01-09-01-01-01-01.wav").touch()
    with pytest.raises(UserError, match=r"03-01-09-01-01-01-01\.wav: unknown emotion code '09'"):
        list(scan("ravdess", tmp_path))


def test_a_corpus_held_twice_is_named(tmp_path):
    fabricate(tmp_path, actors=("01",))
    fabricate(tmp_path / "copy", actors=("01",))
    with pytest.raises(UserError, match="'03-01-01-01-01-01-01' is there twice") as error:
        list(scan("ravdess", tmp_path))
    assert str(error.value).endswith(f"such as {tmp_path / 'copy'}")
    assert len(list(scan("ravdess", tmp_path / "copy"))) == 60


def test_the_real_corpus(shared):
    rows = list(scan("ravdess", shared / "corpora" / "ravdess"))
    others = ("calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    assert Counter(row.emotion for row in rows) == {"neutral": 96} | dict.fromkeys(others, 192)
    assert Counter(row.speaker for row in rows) == {f"{actor:02d}": 60 for actor in range(1, 25)}
    assert Counter(row.text for row in rows) == dict.fromkeys(ravdess.TEXTS.values(), 720)
