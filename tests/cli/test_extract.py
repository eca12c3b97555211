"""`emobridge extract`: shares of the work on many machines, in any order, again, and beside each other."""

from __future__ import annotations

import re
import signal
import sys
import textwrap

import numpy as np
import pytest
import soundfile
from forked import end_of, fork_pools, start_forked

from emobridge.cli.main import main
from emobridge.data.manifest import write_manifest
from emobridge.features.store import FeatureStore
from emobridge.types import SAMPLE_RATE, Utterance

COUNT = 150  # clips: three shards, the last one of less than a half


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    soundfile.write(folder / "a.wav", rng.uniform(-0.1, 0.1, 4 * SAMPLE_RATE), SAMPLE_RATE)
    rows = [
        Utterance(f"clip {number}", "c", str(folder / "a.wav"), start=0.01 * number, end=0.01 * number + 0.3)
        for number in range(COUNT)
    ]
    (folder / "b.wav").write_text("no audio")
    rows.insert(5, Utterance("bad", "c", str(folder / "b.wav")))
    write_manifest(folder / "m.jsonl", rows)
    return folder / "m.jsonl"


def content(folder):
    (store,) = folder.iterdir()
    assert not list(store.glob(".*"))
    return {path.name: path.read_bytes() for path in store.iterdir()}


@pytest.fixture
def extract(manifest, monkeypatch, capsys):
    """Run the command in this process; what it prints."""

    def run(store, *options, status=0):
        monkeypatch.setattr(sys, "argv", ["emobridge", "extract", str(manifest), "--store", str(store), *options])
        if status:
            with pytest.raises(SystemExit) as stopped:
                main()
            assert stopped.value.code == status
        else:
            main()
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return run


def test_jobs_and_shares_store_the_same_bytes(extract, tmp_path, monkeypatch):
    fork_pools(monkeypatch)
    out = extract(tmp_path / "one")
    assert out == f"{tmp_path / 'one'}: logmel: 150 clips computed, 0 present, 1 skipped\n"
    expected = content(tmp_path / "one")
    assert len(expected) == 4
    assert "150 clips computed" in extract(tmp_path / "two", "--jobs", "2")
    assert content(tmp_path / "two") == expected
    counts = [
        extract(tmp_path / "shares", "--share", f"{share}/5").partition("logmel: ")[2] for share in (3, 2, 0, 1, 4)
    ]
    assert counts == [
        "share 3/5: 0 clips computed, 0 present, 0 skipped\n",
        "share 2/5: 22 clips computed, 0 present, 1 skipped\n",
        "share 0/5: 64 clips computed, 0 present, 0 skipped\n",
        "share 1/5: 64 clips computed, 0 present, 0 skipped\n",
        "share 4/5: 0 clips computed, 0 present, 0 skipped\n",
    ]
    assert content(tmp_path / "shares") == expected
    assert "0 clips computed, 64 present" in extract(tmp_path / "shares", "--share", "1/5")
    assert content(tmp_path / "shares") == expected


def test_nothing_is_left_to_compute(extract, tmp_path, manifest, monkeypatch):
    from emobridge.corpora import utterances_at
    from emobridge.encoders import load_encoder

    extract(tmp_path, "--encoder", "emotion-cnn", "--encoder-option", "seed=4", "--share", "0/1")
    monkeypatch.setattr("emobridge.features.encoding.ClipEncoder.encode", None)
    store = FeatureStore(tmp_path, load_encoder("emotion-cnn", seed=4))
    assert len(store.extract(list(utterances_at(manifest))).ids) == COUNT


@pytest.mark.slow
def test_prosody_and_frames_have_places_of_their_own(extract, tmp_path):
    out = extract(tmp_path, "--prosody", "--share", "2/3", "--store-frames", "--segment", "0.1", "--jobs", "2")
    assert "logmel: share 2/3: 48 clips computed" in out  # shards of frames are of eight clips: six of nineteen
    assert "prosody: share 2/3: 22 clips computed" in out
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("share", ["3/3", "4/3", "x/y", "0/0", "-1/3", "1", "1/2/3", "1.0/3", ""])
def test_a_share_that_is_none_is_one_line(extract, tmp_path, share):
    error = extract(tmp_path, f"--share={share}", status=2)
    assert error.count("\n") == 1 and "share: expected I/N" in error and repr(share) in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--jobs", "0"), "jobs: expected 1 or more"),
        (("--encoder", "logmell"), "did you mean 'logmel'"),
        (("--encoder", "logmell", "--jobs", "2"), "did you mean 'logmel'"),
        (("--segment", "1"), "goes with --store-frames"),
        (("--strict",), "b.wav"),
        (("--strict", "--jobs", "2"), "b.wav"),
    ],
)
def test_mistakes_are_one_line(extract, tmp_path, monkeypatch, options, line):
    fork_pools(monkeypatch)
    error = extract(tmp_path, *options, status=2)
    assert line in error and "Traceback" not in error and error.count("emobridge: ") == 1


MORTAL = """
    import os, signal, torch
    from pathlib import Path
    from emobridge.encoders.base import Encoder

    class Mortal(Encoder):
        layers, width, calls = 1, 1, 0

        def encode(self, wave, lengths):
            mark = Path(__file__).with_name("killed")
            Mortal.calls += 1
            if Mortal.calls > 70 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return wave.square().mean(1)[None, :, None, None], torch.ones_like(lengths)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_share_that_is_killed_in_the_middle_goes_on(extract, tmp_path, manifest, jobs):
    (tmp_path / "mortal.py").write_text(textwrap.dedent(MORTAL))
    options = ("--encoder", str(tmp_path / "mortal.py"), "--jobs", jobs)

    def extract_and_fail():
        error = extract(tmp_path / "store", *options, status=2)
        assert error.splitlines()[-1].startswith("emobridge: jobs: a process was killed")

    end = end_of(start_forked(extract_and_fail))  # where this process is killed, it does not come to an end
    assert end == (-signal.SIGKILL if jobs == "1" else 0)
    assert (tmp_path / "killed").exists()
    assert re.search(r" (64|128) present", extract(tmp_path / "store", *options))
    extract(tmp_path / "whole", *options[:2])
    assert content(tmp_path / "store") == content(tmp_path / "whole")
