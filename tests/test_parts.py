"""What a process was writing when it was ended does not stay, and what another one writes does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from emobridge.files import whole_file
from emobridge.parts import PART, part_prefix, remove_abandoned


def names(folder):
    return sorted(path.name for path in folder.iterdir())


STOPPED = """
import os, signal, sys, time
from emobridge.files import whole_file
from emobridge.parts import end_at_once

signal.signal(signal.SIGTERM, end_at_once)
with whole_file(sys.argv[1]) as path:
    path.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_stopped_process_was_writing_is_removed(tmp_path, number):
    """At once, or where it was killed by the next that writes there; what another process writes stays."""
    names_of = [tmp_path / "a.txt", tmp_path / "b.txt"]
    running = [
        subprocess.Popen([sys.executable, "-c", STOPPED, path], stdout=subprocess.PIPE, text=True) for path in names_of
    ]
    assert [process.stdout.readline() for process in running] == ["writing\n"] * 2
    assert len(names(tmp_path)) == 2
    running[0].send_signal(number)
    running[0].wait()
    assert len(names(tmp_path)) == (2 if number == signal.SIGKILL else 1)
    (tmp_path / ".c.txt.0badcafe-1.aa.part").write_text("of another machine, where nobody here can ask")
    remove_abandoned.cache_clear()
    with whole_file(tmp_path / "c.txt") as path:
        path.write_text("")
    assert [name.split(".")[1] for name in names(tmp_path)] == ["b", "c", "txt"]
    running[1].kill()
    running[1].communicate()


def test_a_forked_process_does_not_remove_what_its_parent_writes(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    from emobridge.parts import end_at_once

    with whole_file(tmp_path / "a.txt") as path:
        path.write_text("whole")
        child = os.fork()
        if not child:
            end_at_once(signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGTERM
    assert (tmp_path / "a.txt").read_text() == "whole" and names(tmp_path) == ["a.txt"]


def test_half_unpacked_folders_go_too_and_other_names_stay(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = part_prefix(tmp_path / "corpus.zip").replace(f"-{os.getpid()}.", f"-{child.pid}.")
    (tmp_path / f"{dead}abc_1.part").mkdir()
    (tmp_path / f"{dead}abc_1.part" / "a.wav").write_text("")
    others = [f"{dead}abc.txt", ".a.x.part", f"{part_prefix(tmp_path / 'b')}x.part", ".a.part"]
    for name in others:
        (tmp_path / name).write_text("")
    assert PART.fullmatch(f"{dead}abc_1.part")
    remove_abandoned.cache_clear()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == sorted(others)
