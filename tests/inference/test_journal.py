"""What is finished outlives its process, and nothing else is taken for finished."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from emobridge.data.audio import AudioError
from emobridge.errors import UserError
from emobridge.inference.journal import JOURNAL_SUFFIX, Journal, answered, unit_key
from emobridge.types import Prediction, Utterance

SURE = Prediction("a", 0.0, 1.1, ("anger", "sadness"), (0.1, 0.9), (0.3,), ("arousal",), "ü\udce9.wav", 1, "de", "de")
UNSURE = Prediction("b", 0.5, 2.0, ("anger", "sadness"), (), reason="no speech")


def test_an_interrupted_journal_goes_on(tmp_path):
    path, notes = tmp_path / f"p.csv{JOURNAL_SUFFIX}", []
    with Journal.for_output(tmp_path / "p.csv", "request", notes.append) as journal:
        journal.add("one", [SURE, UNSURE])
        journal.add("two", [])
        assert journal.read("one") == (SURE, UNSURE)
    with Journal(path, "request", notes.append) as journal:
        assert (journal.read("one"), journal.read("two"), journal.read("three")) == ((SURE, UNSURE), (), None)
        journal.add("three", [SURE])
        assert journal.read("one") == (SURE, UNSURE) and journal.read("three") == (SURE,)
        journal.remove()
    assert notes == [f"{path}: going on after 2 finished units"] and not list(tmp_path.iterdir())


def test_another_request_begins_anew_and_says_so(tmp_path):
    path, notes = tmp_path / "p", []
    with Journal(path, "first") as journal:
        journal.add("one", [SURE])
    with Journal(path, "second", notes.append) as journal:
        assert journal.read("one") is None and "another request" in notes[0]
    assert not path.exists(), "a journal without units is not left behind"
    with Journal(path, "first", notes.append) as journal:
        assert len(journal) == 0 and len(notes) == 1


def test_a_file_cut_at_any_byte_has_the_units_before_it(tmp_path):
    path = tmp_path / "p"
    ends = []
    with Journal(path, "request") as journal:
        for number in range(4):
            journal.add(str(number), [replace(SURE, start=float(number))])
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with Journal(path, "request") as journal:
            assert len(journal) == sum(end <= size for end in ends)
            journal.add("last", [UNSURE])
        with Journal(path, "request") as journal:
            assert journal.read("last") == (UNSURE,), size


def test_a_damaged_line_is_answered_again(tmp_path):
    path = tmp_path / "p"
    with Journal(path, "request") as journal:
        for number in range(3):
            journal.add(str(number), [SURE])
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (lines[2].replace(b"0.9", b"0.8"), b"\xff\n", b"\n", b"[]\n", b"{}\n"):
        path.write_bytes(b"".join([*lines[:2], damaged, lines[3]]))
        with Journal(path, "request") as journal:
            assert [journal.read(str(number)) for number in range(3)] == [(SURE,), None, (SURE,)]


def test_two_processes_do_not_write_one_file(tmp_path):
    out = tmp_path / "p.csv"
    with Journal.for_output(out, "request"), pytest.raises(UserError, match=r"p\.csv: another emobridge is writing it"):
        Journal.for_output(out, "request")
    Journal.for_output(out, "request").close()


def test_without_a_file_and_beside_a_device_nothing_is_kept(tmp_path):
    for journal in (Journal(None, "request"), Journal.for_output(None, "request")):
        journal.add("one", [SURE])
        assert journal.read("one") is None and journal.path is None
        journal.remove()
    if os.path.exists("/dev/null"):
        from pathlib import Path

        assert Journal.for_output(Path("/dev/null"), "request").path is None


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        Journal.for_output(tmp_path / "file" / "p.csv", "request")
    (tmp_path / f"p{JOURNAL_SUFFIX}").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        Journal.for_output(tmp_path / "p", "request")


def test_units_come_in_order_and_only_those_without_a_bad_recording_are_kept(tmp_path):
    calls, skipped = [], []
    units = [Utterance(name, "c", f"{name}.wav") for name in ("x", "ba\nd", "y")]

    def answer(row):
        calls.append(row)
        if row == 1:
            raise AudioError("no such file")
        return [replace(SURE, id=units[row].id), replace(UNSURE, id=units[row].id)]

    def run(on_skip):
        with Journal(tmp_path / "p", "request") as journal:
            return list(answered(units, "abc", answer, journal, on_skip))

    first = run(lambda *pair: skipped.append(pair))
    assert [row.id for row in first] == ["x", "x", "y", "y"] and calls == [0, 1, 2]
    assert run(lambda *pair: skipped.append(pair)) == first and calls == [0, 1, 2, 1]
    assert skipped == [(r"ba\nd", "no such file")] * 2
    with pytest.raises(AudioError, match="no such file"):
        run(None)
    assert list(answered(units[:1], "a", answer)) == first[:2], "a size of 1, without a journal"


def test_a_unit_is_another_when_its_recording_changes(tmp_path):
    path = tmp_path / "a.wav"
    rows = [Utterance("a", "c", str(path)), Utterance("b", "c", str(path), start=1.0)]
    absent = unit_key(rows)
    path.write_bytes(b"x")
    present = unit_key(rows)
    assert present == unit_key(iter(rows)) != absent
    assert len({present, unit_key(rows[:1]), unit_key(rows, "speaker"), unit_key(rows[::-1])}) == 4
    path.write_bytes(b"xy")
    assert unit_key(rows) != present
