"""Notes about files: read by the next process, and never believed of another version of a file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time

import pytest

from emobridge import files
from emobridge.data import notes
from emobridge.data.audio import AudioError, audio_digest
from emobridge.data.notes import NOTES_FILE, Notes, key_of_note, noted_digest, noted_digests, open_notes

KEY, OTHER = key_of_note("a"), key_of_note("b")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hashed(monkeypatch):
    """The paths of files whose content was hashed."""
    paths, digest = [], files._file_digest.__wrapped__
    monkeypatch.setattr(files, "_file_digest", lambda path, *version: paths.append(path) or digest(path))
    return paths


def next_process():
    """Forget what this process knows."""
    open_notes().flush()
    notes._open.clear()
    notes._digests.clear()


def aged(path, content, age=60.0):
    path.write_bytes(content)
    when = time.time() - age
    os.utime(path, (when, when))
    return path


def test_a_file_is_hashed_once_in_all_processes(tmp_path, hashed):
    path = aged(tmp_path / "a.wav", b"first")
    for _ in range(3):
        assert noted_digest(path) == hashlib.sha256(b"first").digest()
        next_process()
    assert hashed == [str(path)]


def test_another_version_of_a_file_is_hashed_again(tmp_path, hashed):
    path = aged(tmp_path / "a.wav", b"first")
    before = path.stat()
    noted_digest(path)
    next_process()
    path.write_bytes(b"other")  # of the same size, and soon of the same time
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert noted_digest(path) == hashlib.sha256(b"other").digest()
    next_process()
    for content in (b"longer than before", b""):
        assert noted_digest(aged(path, content)) == hashlib.sha256(content).digest()
        next_process()


@pytest.mark.parametrize("age", [0.0, 1.0, -3600.0])
def test_a_file_of_the_last_seconds_or_of_the_future_is_not_noted(tmp_path, hashed, age):
    path = aged(tmp_path / "a.wav", b"first", age)
    for _ in range(2):
        noted_digest(path)
        next_process()
    assert hashed == [str(path)] * 2


def test_a_file_that_is_gone_is_an_error_whatever_is_noted(tmp_path):
    path = aged(tmp_path / "a.wav", b"first")
    audio_digest(path)
    next_process()
    path.unlink()
    with pytest.raises(AudioError, match=r"a\.wav: cannot be read \(No such file"):
        audio_digest(path)


def test_notes_are_read_before_and_after_they_are_written(folder):
    one = Notes(folder / NOTES_FILE)
    assert one.read(KEY) is None
    one.write(KEY, b"value")
    one.write(OTHER, b"")
    assert one.read(KEY) == b"value" and one.read(OTHER) == b""
    assert Notes(folder / NOTES_FILE).read(KEY) is None
    one.flush()
    one.flush()
    assert Notes(folder / NOTES_FILE).read(KEY) == b"value" and Notes(folder / NOTES_FILE).read(OTHER) == b""


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_damaged_file_counts_as_empty_and_is_replaced(folder, content):
    folder.mkdir()
    (folder / NOTES_FILE).write_bytes(content)
    one = Notes(folder / NOTES_FILE)
    assert one.read(KEY) is None
    one.write(KEY, b"value")
    one.flush()
    assert Notes(folder / NOTES_FILE).read(KEY) == b"value"


def test_a_file_that_is_cut_is_never_believed(folder):
    one = Notes(folder / NOTES_FILE)
    keys = [key_of_note(number) for number in range(300)]
    for key in keys:
        one.write(key, key * 20)
    one.flush()
    whole = (folder / NOTES_FILE).read_bytes()
    for size in (len(whole) // 2, len(whole) - 4096, 5000, 100):
        (folder / NOTES_FILE).write_bytes(whole[:size])
        again = Notes(folder / NOTES_FILE)
        assert all(again.read(key) in (None, key * 20) for key in keys)


def test_a_note_with_another_byte_is_none(folder):
    one = Notes(folder / NOTES_FILE)
    one.write(KEY, b"value")
    one.flush()
    with sqlite3.connect(folder / NOTES_FILE) as database:
        (value,) = database.execute("SELECT value FROM notes").fetchone()
        database.execute("UPDATE notes SET value = ?", (b"vAlue" + value[5:],))
    assert Notes(folder / NOTES_FILE).read(KEY) is None


def test_without_a_folder_that_can_be_written_all_is_computed(tmp_path, monkeypatch, hashed):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(tmp_path / "file" / "below"))
    path = aged(tmp_path / "a.wav", b"first")
    for _ in range(2):
        assert noted_digest(path) == hashlib.sha256(b"first").digest()
        next_process()
    assert len(hashed) == 2


def test_a_file_that_another_process_has_locked_is_no_error(folder, monkeypatch):
    monkeypatch.setattr(notes, "WAITING", 0.01)
    one = Notes(folder / NOTES_FILE)
    one.write(KEY, b"value")
    one.flush()
    with sqlite3.connect(folder / NOTES_FILE) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert one.read(KEY) is None
        one.write(OTHER, b"lost")
        one.flush()
        assert one.read(KEY) is None
    assert Notes(folder / NOTES_FILE).read(KEY) == b"value"


def test_the_oldest_notes_go(folder, monkeypatch):
    monkeypatch.setattr(notes, "MOST_NOTE_BYTES", 200_000)
    one = Notes(folder / NOTES_FILE)
    for number in range(40):
        one.write(key_of_note(number), bytes(10_000))
        one.flush()
    assert (folder / NOTES_FILE).stat().st_size < 300_000
    assert one.read(key_of_note(39)) == bytes(10_000) and one.read(key_of_note(0)) is None


def test_processes_note_side_by_side(folder):
    code = """
import sys
from emobridge.data import notes
for number in range(int(sys.argv[1]), 1200, 4):
    notes.open_notes().write(notes.key_of_note(number), b"%d" % number)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code, str(first)]) for first in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    noted = [open_notes().read(key_of_note(number)) for number in range(1200)]
    assert noted == [b"%d" % number for number in range(1200)]


def test_many_are_read_together(folder, monkeypatch):
    monkeypatch.setattr(notes, "TOGETHER", 3)
    one = Notes(folder / NOTES_FILE)
    keys = [key_of_note(number) for number in range(10)]
    for key in keys[:7]:
        one.write(key, b"note " + key)
    one.flush()
    one.write(keys[8], b"waits")
    with sqlite3.connect(folder / NOTES_FILE) as database:
        database.execute("UPDATE notes SET value = ? WHERE key = ?", (b"damaged, of another checksum", keys[2]))
    expected = {key: b"note " + key for key in keys[:7] if key != keys[2]} | {keys[8]: b"waits"}
    assert one.read_all(keys) == expected == one.read_all(iter(keys))
    assert one.read_all([]) == {}


def test_digests_of_many_files(tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(notes, "TOGETHER", 2)
    paths = [str(aged(tmp_path / f"{number}.wav", b"%d" % number)) for number in range(5)]
    gone = str(tmp_path / "gone.wav")
    expected = {path: hashlib.sha256(b"%d" % number).digest() for number, path in enumerate(paths)}
    for _ in range(2):
        digests = noted_digests([*paths, gone, *paths])
        assert isinstance(digests.pop(gone), FileNotFoundError) and digests == expected
        next_process()
    assert sorted(hashed) == paths, "once in all processes"
    assert noted_digests([]) == {}
