"""A `predict` that was killed at any moment goes on, and ends with the file of one that was not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from emobridge.cli.stopping import stopped_message
from emobridge.inference.journal import JOURNAL_SUFFIX, Journal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SLOW = '''
"""`emobridge` for tones that count as speech, with a rest after each unit, so that there is a moment to kill it."""
import time
from emobridge.inference import segments
from emobridge.inference.journal import Journal

add = Journal.add

def slow(self, *unit):
    add(self, *unit)
    time.sleep(0.03)

Journal.add = slow
segments.speech_segments = lambda pieces, **_: [(0.0, sum(map(len, pieces)) / 16000)]
from emobridge.cli.main import main
main()
'''


@pytest.fixture
def calls(recorded):
    """64 recordings of nobody that is known: an answer does not depend on the others."""
    folder = recorded / "calls"
    folder.mkdir()
    for number in range(2):
        for path in recorded.glob("*.wav"):
            shutil.copy(path, folder / f"{number}-{path.name}")
    (recorded / "slow.py").write_text(SLOW)
    return folder


def start(folder, bundle, calls, out):
    words = [sys.executable, "slow.py", "predict", str(bundle), str(calls), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(journal, lines, process):
    """Until the journal has so many lines, or the process has ended."""
    for _ in range(6000):
        if process.poll() is not None or (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
            return
        time.sleep(0.005)
    raise AssertionError(f"{journal} never had {lines} lines")


@pytest.mark.slow
def test_killed_again_and_again(recorded, finished, calls, cli):
    whole, out = recorded / "whole.csv", recorded / "p.csv"
    assert cli("predict", finished / "bundle", calls, "--out", whole).code == 0
    journal, random_moments = recorded / f"p.csv{JOURNAL_SUFFIX}", random.Random(0)
    lines, before = 1, 0  # of the journal: the first one has no unit
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        process = start(recorded, finished / "bundle", calls, out)
        wait_for(journal, lines + 1, process)
        time.sleep(random_moments.uniform(0, 0.02))
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
        if number != signal.SIGKILL:
            assert said.splitlines()[-1] == "emobridge: stopped; the same command goes on from here"
        assert (f"going on after {before} finished unit" in said) == bool(before) and not out.exists()
        lines = journal.read_bytes().count(b"\n")
        assert lines - 1 > before, "each run has added to it"
        before = lines - 1
    with journal.open("ab") as file:
        file.write(b"0123 torn")
    process = start(recorded, finished / "bundle", calls, out)
    assert process.communicate(timeout=60)[0] == f"{out}: 64 predictions\n"
    assert out.read_bytes() == whole.read_bytes()
    assert not [path.name for path in recorded.iterdir() if path.name.startswith((".p.csv", "p.csv."))]


def test_two_at_once_and_another_request(recorded, finished, cli):
    out = recorded / "p.csv"
    words = ("predict", finished / "bundle", recorded / "xx.jsonl", "--out", out)
    with Journal.for_output(out, "another request") as journal:
        done = cli(*words)
        message = f"{out}: another emobridge is writing it: wait for its end, or give another --out"
        assert (done.code, done.complaints) == (2, [f"emobridge: {message}"])
        journal.add("a", [])
    done = cli(*words)
    note = f"note: {out}{JOURNAL_SUFFIX}: was left by another request; this one begins anew"
    assert (done.code, done.complaints) == (0, [note])
    assert out.exists() and not journal.path.exists()


def test_what_is_printed_promises_nothing(cli, recorded, finished, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("emobridge.encoders.logmel.Logmel.encode", stop)
    done = cli("predict", finished / "bundle", recorded / "xx.jsonl")
    assert (done.code, done.complaints) == (130, ["emobridge: stopped"])
    done = cli("predict", finished / "bundle", recorded / "xx.jsonl", "--out", recorded / "p.csv")
    assert (done.code, done.complaints) == (130, ["emobridge: stopped; the same command goes on from here"])
    done = cli("audit", recorded / "nothing.jsonl")
    assert done.code == 2 and stopped_message() == "stopped", "a command does not inherit the promise of another"


def test_labels_of_several_recordings_go_to_a_folder(recorded, finished, cli, monkeypatch):
    out = recorded / "labels"
    words = ("predict", finished / "bundle", recorded / "xx.jsonl", "--out")
    done = cli(*words, out, "--format", "TextGrid")
    assert (done.code, done.out) == (0, f"{out}: 16 predictions\n")
    assert sorted(path.stem for path in out.iterdir()) == sorted(path.stem for path in recorded.glob("xx-*.wav"))
    assert not list(recorded.glob(f"*{JOURNAL_SUFFIX}"))
    monkeypatch.setattr("emobridge.encoders.logmel.Logmel.encode", None)
    done = cli(*words, recorded / "p.srt")
    assert done.code == 2 and "holds one recording, and there are 16" in done.err, "refused before the work"
