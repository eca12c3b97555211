"""The process that serves a listening test: what it refuses before it starts, and that a kill loses nothing."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from listening_browser import TOKEN
from listening_studies import tiny_study, write_tiny_study

from emobridge.cli.listening_serve import TOKEN_VARIABLE
from emobridge.cli.listening_serve import serve as serve_command
from emobridge.errors import UserError
from emobridge.listening import serving
from emobridge.listening.serving import locked, notes_on, serve
from emobridge.listening.store import Store
from emobridge.web.process import listening_socket

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def refuse(*arguments):
    """Callbacks of a server that does not start."""
    raise AssertionError(f"the server started: {arguments}")


def start(folder, token=TOKEN, port=0):
    with pytest.raises(UserError) as error:
        serve(folder, token, port=port, on_ready=refuse, on_note=refuse)
    return str(error.value)


def test_a_port_in_use_is_one_line(study_folder):
    with listening_socket("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert bound.proto == socket.IPPROTO_TCP, "asyncio sends small packets at once only then"
        message = f"port {port} of 127.0.0.1 is in use; choose another with --port"
        assert start(study_folder, port=port) == message


def test_two_servers_on_one_study(study_folder):
    with locked(study_folder / serving.LOCK_FILE):
        message = start(study_folder)
        assert message == f"{study_folder}: another server serves this study already; one study has one server"
    with locked(study_folder / serving.LOCK_FILE):
        pass


def test_a_killed_server_leaves_no_lock(study_folder):
    path = study_folder / serving.LOCK_FILE
    code = f"""
import time
from pathlib import Path
from emobridge.listening.serving import locked
with locked(Path({str(path)!r})):
    print("locked", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(UserError, match="another server"), locked(path):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with locked(path):
        pass


def test_a_study_that_cannot_be_served(study_folder, tmp_path):
    assert "no such folder" in start(tmp_path / "nowhere")
    assert start(study_folder, token="short").startswith("token: expected 16 characters")
    (study_folder / "answers.sqlite").write_text("something else " * 100)
    assert "answers.sqlite: is not a file of answers" in start(study_folder)
    (study_folder / "audio" / "c0.wav").unlink()
    assert "c0.wav: no such recording" in start(study_folder)
    with pytest.raises(UserError, match="expected at least one of the kind 'item'"):
        write_tiny_study(tmp_path / "empty", replace(tiny_study(), items=()))


def test_items_that_are_gone_are_named(browser):
    assert list(notes_on(browser.study, browser.store)) == []
    browser.begin("item-1")
    answered = browser.store.responses()[-1].item
    items = tuple(item for item in browser.study.items if item.id not in (answered, "c0"))
    (note,) = notes_on(replace(browser.study, items=items), browser.store)
    assert "2 items of listeners' orders" in note and f"{answered} (answered)" in note and "c0" in note
    (note,) = notes_on(replace(browser.study, items=items[:1]), browser.store)
    assert "20 items" in note and note.endswith("and 10 more")


def test_a_missing_library_is_one_line(study_folder, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("emobridge.listening.serv", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(importlib.import_module("emobridge.listening"), "serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"uvicorn is missing: pip install 'emobridge\[listening\]'"):
        serve_command(study_folder, token=TOKEN)


@pytest.mark.skipif(os.name != "posix", reason="kills by signals")
def test_listeners_go_on_over_a_kill_and_nothing_is_lost_or_doubled(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    load = importlib.import_module("listening_load")
    facts = load.run(listeners=6, items=6, think=0.1, kill=True)
    assert facts["answers"] == facts["expected"] == 36 and facts["listeners finished"] == 6
    assert facts["lost"] == facts["doubled"] == 0
    assert facts["lost connections"] > 0 and facts["acknowledged"] >= 30


@pytest.mark.skipif(os.name != "posix", reason="ends by signals")
def test_the_command_prints_where_it_is_and_ends_in_order(study_folder, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    code = """
import sys
from emobridge.web import process
process.HEAD_SECONDS = 0.3
from emobridge.cli.main import main
main()
"""
    command = [sys.executable, "-c", code, "listening", "serve", str(study_folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(3)]
    port = int(re.fullmatch(r"listening test: http://127\.0\.0\.1:(\d+)/\n", lines[0])[1])
    assert lines[1].endswith("/admin\n") and len(lines[2].partition(": ")[2]) > 32
    whole, begun = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n"
    for first, then in ((b"", b""), (b"", begun), (whole, begun)):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(first)
            received = connection.recv(4096) if first else b"ok\n"
            assert received.endswith(b"ok\n") and b"uvicorn" not in received
            connection.sendall(then)
            assert connection.recv(4096) == b"", "a head that never ends is not waited for"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert (output, errors) == ("", "emobridge: stopped; the same command goes on from here\n")
    with Store(study_folder / "answers.sqlite") as store:
        assert store.listeners() == []
    assert not (study_folder / "answers.sqlite-wal").exists()
