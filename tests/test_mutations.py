"""Damaged files at every door, a few of the many that benchmarks/mutations.py tries; and that it sees what is bad."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import pytest
from forked import end_of, start_forked

from emobridge.errors import UserError

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks processes")


@pytest.mark.parametrize(
    ("count", "only"),
    [
        (80, ["--only", "tables,audio,settings"]),
        pytest.param(400, [], marks=pytest.mark.slow),  # bundles and models too, which take seconds to make
    ],
)
def test_no_damaged_file_ends_badly(tmp_path, count, only):
    def damage():
        sys.path.insert(0, str(FOLDER))
        import mutations

        with (tmp_path / "table.txt").open("w") as file, contextlib.redirect_stdout(file):
            assert mutations.main(["--count", str(count), "--seed", "t", "--out", str(tmp_path), *only]) == 0

    end = end_of(start_forked(damage))  # of its own, for the script sets the environment
    table = (tmp_path / "table.txt").read_text(encoding="utf-8")
    assert end == 0, table
    sample = (tmp_path / "sample.txt").read_text(encoding="utf-8")
    assert table.splitlines()[-1].startswith(f"{count} cases") and sample.count("\n  is  ") > count / 10
    assert not (tmp_path / "failures.jsonl").read_text()


@pytest.fixture
def script(monkeypatch):
    """The script, which shortens its limits here."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):  # the script sets them; here they are put back
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    import mutations

    monkeypatch.setattr(mutations, "CPU", 0.3)
    monkeypatch.setattr(mutations, "CLOCK", 1.0)
    return mutations


def refuse(text):
    def read(folder):
        raise UserError(text.format(folder))

    return read


def spin(folder):
    while True:
        pass


ENDS = {
    "ok": lambda folder: ["as it was"],
    "wrong": lambda folder: ["something else"],
    "refused": refuse("{}/a.txt: no such thing"),
    "unclear": refuse("no such thing"),  # without the name of a file
    "traceback": lambda folder: {}["key"],
    "hang": spin,
    "memory": lambda folder: bytearray(3 << 30),
    "crash": lambda folder: os._exit(3),
}


@pytest.mark.parametrize("outcome", [*ENDS, "asleep", "system exit"])
def test_each_end_of_a_case_is_seen(script, tmp_path, outcome):
    others = {
        "asleep": ("hang", lambda folder: time.sleep(30)),
        "system exit": ("traceback", lambda folder: sys.exit(0)),
    }
    expected, read = others.get(outcome) or (outcome, ENDS[outcome])
    door = script.Door("tables", "a", lambda folder: None, read, exact=True)
    inputs = {"tables": [script.Input(door, {"a.txt": b"some text of a file\n"}, ("as it was",))]}
    cases = ["0:tables:0", "0:tables:1"]
    results = list(script.run_all(cases, inputs, tmp_path, tmp_path, 1))
    assert [result.outcome for result in results] == [expected] * 2, results[0].trace
    assert sorted(result.case for result in results) == cases, "the others go on after one that fails"


def test_a_case_is_the_same_every_time(script, tmp_path):
    """So that it can be replayed, by its name alone."""
    from _mutators import mutated

    contents = {
        ".csv": b"path,emotion\na.wav,anger\nb.wav,fear\n",
        ".json": json.dumps({"a": [1, 2.5, "x"], "b": {"c": None}}).encode(),
        ".jsonl": b'{"id": "a"}\n{"id": "b"}\n',
        ".toml": b'a = 1\n[b]\nc = ["x", "y"]\n',
        ".wav": bytes(range(200)),
    }
    changed = 0
    for suffix, content in contents.items():
        for number in range(200):
            both = [mutated(script.random.Random(f"0:{number}"), content, suffix) for _ in range(2)]
            assert both[0] == both[1]
            changed += both[0][0] != content
    assert changed > 990
