"""benchmarks/strangers_path.py: its commands are README.md's, and the slow one walks it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def path(monkeypatch):
    """The benchmark's module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("strangers_path")


def test_its_commands_are_those_of_the_readme(path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    installing = path.commands_of(readme, path.INSTALL)
    assert len([command for command in installing if path.ACTIVATE.fullmatch(command)]) == 1
    assert any(command.startswith("pip install ") for command in installing)
    made = path.labelled_speech(readme).split()[2]
    own = path.commands_of(readme, path.OWN_DATA)
    assert [command.split()[1] for command in own] == ["scan", "adapt", "predict"]
    assert f" --source {made}/" in own[1]
    assert f" {path.CALLS} " in own[0] and own[2].split()[-1] == path.CALLS
    with pytest.raises(path.StepError, match=r"README\.md: no block after '## Nowhere'"):
        path.commands_of(readme, "## Nowhere")
    with pytest.raises(path.StepError, match="no block has a line that begins with"):
        path.labelled_speech("```\nemobridge scan\n```\n")


def test_a_failed_command_ends_the_path(path, tmp_path, capsys):
    steps = []
    path.take(steps, "echo yes", tmp_path, {"PATH": "/usr/bin:/bin"})
    with pytest.raises(path.StepError, match="false: exit code 1"):
        path.take(steps, "false", tmp_path, {"PATH": "/usr/bin:/bin"})
    assert [step.output for step in steps] == ["yes\n", ""]
    assert path.table(steps)[-1].endswith("  all")


@pytest.mark.parametrize(("labelled", "is_complete"), [(9, True), (8, False)])
def test_recordings_without_an_answer_are_counted(path, labelled, is_complete):
    rows = [{"path": f"{number}.wav", "label": "anger" if number < labelled else None} for number in range(10)]
    output = "\n".join(["seconds of 10 files: 1 of 2", *map(json.dumps, rows)])
    problems = path.missing_answers(output, 10)
    assert problems == ([] if is_complete else ["8 of 10 recordings have an answer"])


def test_more_cpu_than_the_bound_is_a_problem(path):
    steps = [path.Step("a", 3.0, 1.0), path.Step("b", 4.0, 1.0)]
    assert path.too_long(steps, 7.0) == []
    assert path.too_long(steps, 6.9) == ["all took 7 s of CPU, expected 7 at most"]


@pytest.mark.slow
def test_from_a_fresh_clone_to_answers_within_ten_minutes_of_cpu():
    """Needs a network, or pip's cache, to install."""
    walked = subprocess.run([sys.executable, ROOT / "benchmarks" / "strangers_path.py"], capture_output=True, text=True)
    assert walked.returncode == 0, walked.stdout[-3000:] + walked.stderr[-1000:]
