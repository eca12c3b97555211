"""Killed at any moment, the same command goes on and ends with the same numbers, to the last byte."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest

from emobridge.cli.main import main
from emobridge.features import store
from emobridge.files import read_tensors
from emobridge.training import stages
from emobridge.training.state import State

WORDS = ("--seeds", "2", "--folds", "2", "--epochs", "16", "--patience", "16", "--method-option", "interval=4")
WORDS = (*WORDS, "--method", "soft-pseudo-labels")  # it is trained by gradients, and takes its time


class Runs:
    """One command, again and again, in processes of its own, which have all imports of this one."""

    def __init__(self, recorded, place):
        self.out, self.store, self.errors = place / "run", place / "store", place / "errors.txt"
        words = ("--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--store", self.store)
        self.command = list(map(str, ("emobridge", "adapt", *words, *WORDS, "--out", self.out)))
        place.mkdir()

    def start(self):
        if not hasattr(os, "fork"):
            pytest.skip("needs os.fork")
        process = multiprocessing.get_context("fork").Process(target=self.run)
        process.start()
        return process

    def run(self):
        """The command line with shards of four clips and a checkpoint after every epoch: there is much to interrupt."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as in a process that begins anew, whatever a test has left
        store.SHARD, sys.argv = 4, self.command
        stages.Plan = functools.partial(stages.Plan, checkpoint_every=0.0)
        save = State.save
        State.save = lambda state: (save(state), time.sleep(0.02))  # else training ends before a signal comes
        with self.errors.open("w", buffering=1) as sys.stderr, open(os.devnull, "w") as sys.stdout:
            main()

    def end_of(self, process):
        """Its exit code, and what it wrote to standard error."""
        process.join(60)
        return process.exitcode, self.errors.read_text()

    def finish(self):
        """Let it run to its end; scores and weights."""
        code, said = self.end_of(self.start())
        assert code == 0, said
        assert not list(self.out.rglob("*.checkpoint"))
        weights = self.out / "bundle" / "model.safetensors"
        return (self.out / "scores.json").read_bytes(), weights.read_bytes()

    def said(self):
        """The probabilities of each fit, by its name."""
        paths = (self.out / "work").glob("*.safetensors")
        return {path.name: read_tensors(path)[0].get("probabilities", ()) for path in paths}

    def stop(self, signum, come):
        """Start, wait until `come()` is true, send a signal; exit code and what it said on standard error."""
        process = self.start()
        until = time.monotonic() + 60
        while not come():
            assert process.is_alive(), self.end_of(process)
            assert time.monotonic() < until, "it never came so far"
            time.sleep(0.002)
        os.kill(process.pid, signum)
        ended = self.end_of(process)
        assert not (self.out / "scores.json").exists(), "too late to be a test"
        return ended

    def stored(self, count):
        return lambda: len(list(self.store.rglob("*.safetensors"))) >= count

    def fitted(self, count):
        return lambda: len(list((self.out / "work").glob("*.safetensors"))) >= count

    def training(self):
        """Whether the second system trains: two seeds of two folds side by side. Those of the first are done."""
        finished, begun = (
            {path.stem for path in (self.out / "work").glob(f"*.{kind}")} for kind in ("safetensors", "checkpoint")
        )
        return len(finished) >= 4 and bool(begun - finished)


# When a run is stopped, and how.
TWICE = (("SIGTERM", lambda runs: runs.fitted(1)), ("SIGKILL", lambda runs: runs.training))
OFTEN_STOPPED = (
    ("SIGKILL", lambda runs: runs.stored(3)),
    ("SIGINT", lambda runs: runs.fitted(1)),
    ("SIGTERM", lambda runs: runs.fitted(3)),
    ("SIGKILL", lambda runs: runs.training),
)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    "moments", [TWICE, pytest.param(OFTEN_STOPPED, marks=pytest.mark.slow)], ids=["twice", "often"]
)
def test_stopped_again_and_again(recorded, tmp_path, moments):
    whole = Runs(recorded, tmp_path / "whole")
    expected = whole.finish()
    runs = Runs(recorded, tmp_path / "stopped")
    for name, moment in moments:
        signum = getattr(signal, name)
        code, said = runs.stop(signum, moment(runs))
        assert "Traceback" not in said
        if signum == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 128 + signum
            assert not list(tmp_path.rglob("*.part")), "what SIGKILL left is gone too"
            assert said.splitlines()[-1] == "emobridge: stopped; the same command goes on from here"
    assert list((runs.out / "work").glob("*.checkpoint")), "there is something to go on from"
    written = {path: path.stat().st_mtime_ns for path in (runs.out / "work").glob("*.safetensors")}
    assert runs.finish() == expected
    for name, said in whole.said().items():
        np.testing.assert_allclose(runs.said()[name], said, atol=1e-6)
    assert {path: path.stat().st_mtime_ns for path in written} == written, "finished fits are not done again"


def test_stopped_at_every_write(recorded, cli, monkeypatch):
    """Ctrl-C as a file is about to take its place: the first, then the second ... until there is no further one."""
    words = ["adapt", "--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--epochs", "2"]
    words += ["--seeds", "1", "--folds", "2", "--out", recorded / "run", "--store", recorded / "store"]
    assert cli(*words).code == 0
    scores, weights = recorded / "run" / "scores.json", recorded / "run" / "bundle" / "model.safetensors"
    whole = scores.read_bytes(), weights.read_bytes()
    shutil.rmtree(recorded / "run")
    shutil.rmtree(recorded / "store")
    sync, left = os.fsync, 0

    def fsync(handle):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        sync(handle)

    monkeypatch.setattr("emobridge.files.os.fsync", fsync)
    codes = []
    while 0 not in codes and len(codes) < 20:
        left = len(codes)
        done = cli(*words)
        codes.append(done.code)
        assert done.code == 0 or done.complaints == ["emobridge: stopped; the same command goes on from here"]
        assert not list(recorded.rglob("*.part"))
    assert codes[:-1] == [130] * (len(codes) - 1)
    assert codes[-1] == 0 and len(codes) > 6
    assert (scores.read_bytes(), weights.read_bytes()) == whole


def test_damaged_work_is_done_again(recorded, cli):
    words = ["adapt", "--source", recorded / "en.jsonl", "--target", recorded / "xx.jsonl", "--epochs", "2"]
    words += ["--seeds", "1", "--folds", "2", "--out", recorded / "run", "--store", recorded / "store"]
    assert cli(*words).code == 0
    scores = (recorded / "run" / "scores.json").read_bytes()
    for number, path in enumerate(sorted((recorded / "run" / "work").glob("*.safetensors"))):
        path.write_bytes((b"", b"garbage", path.read_bytes()[:-9])[number % 3])
    for path in (recorded / "store").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-99])
    with pytest.warns(UserWarning, match="corrupt, is computed again"):
        done = cli(*words)
    assert done.code == 0, done.err
    assert (recorded / "run" / "scores.json").read_bytes() == scores
