"""SIGTERM and SIGHUP end a command as Ctrl-C does: nothing half-written is left, and one line says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from emobridge.cli.stopping import as_interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

SLOW = '''
"""A corpus that is never read to its end."""
import time
from emobridge.types import Utterance

LANGUAGES, LABELS, LICENCE, CITATION, OBTAIN = ("de",), {}, "", "", ""


def scan(root):
    yield Utterance("a", "slow", "a.wav")
    print("scanning", flush=True)
    time.sleep(60)
'''


def scan(folder, *before):
    (folder / "slow.py").write_text(SLOW)
    command = [*before, sys.executable, "-m", "emobridge", "scan", "./slow.py", ".", "-o", "m.jsonl"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "scanning\n", process.communicate()
    assert len(list(folder.glob("*.part"))) == 1
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_behind(tmp_path, name):
    number = getattr(signal, name)
    process = scan(tmp_path)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "emobridge: stopped\n"), "`scan` begins anew"
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] == []


def test_what_nohup_ignores_is_ignored(tmp_path):
    process = scan(tmp_path, "nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and not list(tmp_path.glob("*.part"))


def test_handlers_are_put_back_and_those_of_others_stay():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(KeyboardInterrupt), as_interrupts() as received:
        os.kill(os.getpid(), signal.SIGTERM)
    assert received == [signal.SIGTERM]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
    calls = []
    signal.signal(signal.SIGTERM, lambda number, frame: calls.append(number))
    try:
        with as_interrupts() as received:
            os.kill(os.getpid(), signal.SIGTERM)
        assert calls == [signal.SIGTERM] and not received
    finally:
        signal.signal(signal.SIGTERM, before[0])
