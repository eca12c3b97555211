"""`emobridge serve`: what it refuses before it loads a model, and what it prints."""

from __future__ import annotations

import importlib
import sys

import pytest

from emobridge.cli import main
from emobridge.cli.serve import TOKEN_VARIABLE, ServeRequest, run_serve
from emobridge.errors import UserError
from emobridge.serve.records import Limits


@pytest.fixture
def started(monkeypatch):
    """What the command would serve, in place of serving it."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    calls = []

    def record(engine, limits, **options):
        options["on_ready"]("http://host:1/")
        calls.append((engine, limits, options))

    def names(sources, limits, *, device):
        return [source.name for source in sources], limits, device

    monkeypatch.setattr(importlib.import_module("emobridge.serve.serving"), "run_service", record)
    monkeypatch.setattr(importlib.import_module("emobridge.serve.engine"), "WorkerEngine", names)
    return calls


def run(*arguments):
    return main.app(["serve", *arguments], standalone_mode=False)


def test_its_options_are_the_limits(started, capsys):
    run(
        "de=run/bundle", "calls/diarizer", "--workers", "2", "--waiting", "0", "--largest-body", "1", "--streams", "0",
        "--longest-recording", "60", "--request-seconds", "30", "--stop-seconds", "5", "--hostname", "Lab.Example",
    )  # fmt: skip
    ((engine, limits, options),) = started
    assert limits == Limits(2, 0, 1, 60.0, 30.0, 0, 5.0) and engine == (["de", "calls"], limits, "auto")
    assert (options["names"], options["token"], options["host"], options["port"]) == (
        ["lab.example"],
        "",
        "127.0.0.1",
        8000,
    )
    assert {route.path for route in options["routes"]} >= {"/", "/static/{name}"}
    out, err = capsys.readouterr()
    assert (out, err) == ("ready: http://host:1/\n", "")


def test_the_defaults_are_those_of_the_limits(started):
    run("run/bundle")
    assert started[0][1] == Limits()


def test_an_open_address_is_warned_about(started, capsys, tmp_path, monkeypatch):
    run("run/bundle", "--host", "0.0.0.0")
    error = capsys.readouterr().err
    assert "unencrypted" in error and "anybody who reaches this address may use it: --token-file" in error
    (tmp_path / "token").write_text("a token in a file")
    run("run/bundle", "--host", "0.0.0.0", "--token-file", str(tmp_path / "token"))
    error = capsys.readouterr().err
    assert "unencrypted" in error and "anybody" not in error
    monkeypatch.setenv(TOKEN_VARIABLE, "a token of the environment")
    run("run/bundle")
    assert [options["token"] for _, _, options in started] == ["", "a token in a file", "a token of the environment"]


@pytest.mark.parametrize("name", ["longest-recording", "request-seconds", "stop-seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan"])
def test_times_are_above_0(started, name, value):
    with pytest.raises(UserError, match=f"{name}: expected a number above 0"):
        run("run/bundle", f"--{name}", value)
    assert not started


@pytest.mark.parametrize("words", [("--workers", "0"), ("--waiting", "-1"), ("--largest-body", "0"), ("--port", "-1")])
def test_numbers_that_are_too_small_are_named(started, words):
    with pytest.raises(UserError, match=f"{words[0][2:]}: expected [01] or more, got {words[1]}"):
        run("run/bundle", *words)
    assert not started


@pytest.mark.parametrize("name", ["fastapi", "prometheus_client", "python_multipart", "websockets", "uvicorn"])
def test_a_missing_library_is_one_line(monkeypatch, name):
    package = importlib.import_module("emobridge.serve")
    for module in [module for module in sys.modules if module.startswith(("emobridge.serve.", f"{name}."))]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("serving", "site"):
        monkeypatch.delattr(package, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"^serve: {name}.* is missing: pip install 'emobridge\[serve\]'"):
        run_serve(ServeRequest(models=("run/bundle",)), False, ())
