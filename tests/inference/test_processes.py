"""Answers from several processes are those of one: rows, notes, skipped files, and what an interruption leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import asdict

import numpy as np
import pytest
import soundfile
from forked import fork_pools

from emobridge.bundle import Recognizer
from emobridge.corpora.demo import make_corpora
from emobridge.data.audio import AudioError, read_audio
from emobridge.errors import UserError
from emobridge.inference import processes
from emobridge.inference.journal import Journal
from emobridge.inference.predict import predict
from emobridge.inference.shared import BundleProcesses
from emobridge.inference.sources import utterances_of
from emobridge.settings import Answering
from emobridge.types import SAMPLE_RATE

ENERGY = Answering(detector="energy", statistics="stored")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten short recordings, one that is no audio, one of two channels, and a long one of many parts."""
    place = tmp_path_factory.mktemp("calls")
    make_corpora(place / "demo", ["en"], speakers=1, emotions=["anger", "sadness"])
    clips = [read_audio(path) for path in sorted((place / "demo").rglob("*.flac"))[:10]]
    calls = place / "calls"
    calls.mkdir()
    for number, clip in enumerate(clips):
        soundfile.write(calls / f"{number}.wav", clip, SAMPLE_RATE)
    (calls / "3-text.wav").write_text("no audio")
    soundfile.write(calls / "4-two.wav", np.stack([clips[0], clips[0][::-1]], 1), SAMPLE_RATE)
    soundfile.write(calls / "5-long.wav", np.concatenate(clips * 4), SAMPLE_RATE)
    return calls


@pytest.fixture
def recognizer(finished):
    return Recognizer.load(finished / "bundle")


def answers(recognizer, folder, settings=ENERGY, **options):
    skipped, notes = [], []
    rows = predict(
        recognizer,
        list(utterances_of([folder])),
        settings,
        on_skip=lambda *pair: skipped.append(pair),
        on_note=notes.append,
        **options,
    )
    return [asdict(row) for row in rows], skipped, notes


@pytest.fixture
def forked(monkeypatch):
    fork_pools(monkeypatch)


def many(recognizer, finished, jobs=2):
    return BundleProcesses(recognizer, str(finished / "bundle"), None, jobs)


@pytest.mark.parametrize("window", [pytest.param(0.5, marks=pytest.mark.slow), 30.0])
def test_rows_notes_and_skipped_files_are_those_of_one_process(recognizer, finished, folder, window):
    settings = Answering(detector="energy", statistics="stored", segments="windows", window=window)
    expected = answers(recognizer, folder, settings)
    assert any(not row["reason"] for row in expected[0]) and len(expected[1]) == 1 and len(expected[2]) >= 1
    progress = []
    report = lambda *counts: progress.append(counts)  # noqa: E731
    assert answers(many(recognizer, finished), folder, settings, on_progress=report) == expected
    assert progress == sorted(progress) and progress[-1][0] >= progress[-1][1] - 1
    if window == 0.5:
        assert len(expected[0]) > processes.MANY_PARTS


@pytest.mark.slow
def test_an_interruption_loses_nothing_that_was_finished(recognizer, finished, folder, tmp_path, monkeypatch):
    settings = Answering(detector="energy", statistics="stored", segments="windows", window=0.5)
    expected = answers(recognizer, folder, settings)
    with Journal(tmp_path / "journal", "request") as journal:
        rows = predict(
            many(recognizer, finished), list(utterances_of([folder])), settings, journal=journal, on_skip=print
        )
        for row in rows:
            if "5-long" in row.path:
                break
        rows.close()
        finished_units = len(journal)
        assert finished_units > 5
    submitted = []
    submit = processes.InProcesses._submit
    monkeypatch.setattr(
        processes.InProcesses, "_submit", lambda self, unit: (submitted.append(unit), submit(self, unit))
    )
    with Journal(tmp_path / "journal", "request") as journal:
        assert answers(many(recognizer, finished), folder, settings, journal=journal)[:2] == expected[:2]
    assert 0 < len(submitted) < 13


def test_one_recording_and_none(forked, recognizer, finished, folder):
    assert answers(many(recognizer, finished, 4), folder / "0.wav") == answers(recognizer, folder / "0.wav")
    assert list(predict(many(recognizer, finished, 4), [], ENERGY)) == []


def test_without_skipping_a_bad_file_raises(forked, recognizer, finished, folder):
    with pytest.raises(AudioError, match="3-text"):
        list(predict(many(recognizer, finished), list(utterances_of([folder])), ENERGY))


def test_following_takes_one_process(recognizer, finished, folder):
    settings = Answering(detector="energy", adapt_online=True)
    with pytest.raises(UserError, match="give --jobs 1"):
        list(predict(many(recognizer, finished), [folder], settings))


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_process_is_one_line(forked, recognizer, finished, folder, monkeypatch):
    monkeypatch.setattr(processes, "LOOK_AHEAD", 1)  # most recordings wait until the processes are gone
    rows = predict(many(recognizer, finished), list(utterances_of([folder])), ENERGY, on_skip=print)
    next(rows)
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="a process was killed"):
        list(rows)
