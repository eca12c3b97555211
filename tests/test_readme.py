"""README.md: its links lead somewhere, its commands have the options that it gives them, and its Python runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

import emobridge
from emobridge.cli.main import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
LINES = [line for language, text in BLOCKS if not language for line in text.replace("\\\n", " ").splitlines()]
COMMANDS = [line for line in LINES if line.startswith("emobridge ")]
OF_OTHER_TOOLS = {"--num_processes", "--nproc_per_node"}  # of accelerate and torchrun


def options_of(words):
    """The options of the command that the words begin with."""
    command = typer.main.get_command(app)
    for word in words:
        if not hasattr(command, "commands"):
            break
        assert word in command.commands, word
        command = command.commands[word]
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_have_these_options(line):
    words = shlex.split(line, comments=True)[1:]
    assert {word for word in words if word.startswith("-")} <= options_of(words)


def test_options_in_the_text_are_options():
    commands = typer.main.get_command(app).commands
    options = {"--version"} | OF_OTHER_TOOLS | options_of(["recipe", "run"])
    options |= set().union(*(options_of([name]) for name in commands if name != "recipe"))
    assert set(re.findall(r"`(--[a-z_-]+)", TEXT)) <= options | {"--help"}


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_folders_of_the_code_exist():
    table = TEXT[TEXT.index("| folder |") : TEXT.index("## Measured")]
    folders = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    rooms = {path.parent.name for path in (ROOT / "src" / "emobridge").glob("*/__init__.py")}
    assert folders == rooms


def test_two_commands_lead_from_a_folder_to_a_recogniser(recorded, monkeypatch, cli):
    """The first block of "On your own data" as it stands, with toy speech, and what the text says of it."""
    section = TEXT[TEXT.index("## On your own data") :]
    block = re.search(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]
    commands = [shlex.split(line)[1:] for line in block.splitlines()]
    assert [words[:2] for words in commands] == [["scan", "folder"], ["adapt", "--source"]]
    monkeypatch.chdir(recorded)
    for row in list(emobridge.read_manifest("xx.jsonl")):
        folder = Path("calls", row.speaker)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(row.path, folder)
    Path("calls", "notes.txt").touch()
    Path("demo").mkdir()
    emobridge.write_manifest("demo/en.jsonl", emobridge.read_manifest("en.jsonl"))
    scanned, adapted = (cli(*words) for words in commands)
    assert scanned.code == 0, scanned.err
    printed = re.search(r"^    calls.jsonl: .*?(?=\n\n)", section, re.MULTILINE | re.DOTALL)[0]
    assert scanned.out.splitlines() == [line.strip() for line in printed.splitlines()]
    assert adapted.code == 0, adapted.err
    assert "warning: " in adapted.out and Path("run", "report.html").is_file()
    predicted = cli("predict", "run/bundle", "calls")
    answers = [json.loads(line) for line in predicted.out.splitlines()]
    assert len(answers) == 16 and {answer["label"] for answer in answers} <= {"anger", "sadness"}


def test_python_leaves_report_scores_and_bundle(recorded, monkeypatch, capsys):
    """The block as it stands, with small corpora and an encoder without weights in place of those that it has."""
    (code,) = PYTHON
    for before, after in (
        ('emobridge.scan("ravdess", "RAVDESS")', 'list(emobridge.read_manifest("en.jsonl"))'),
        ('emobridge.scan("emodb", "EmoDB")', 'list(emobridge.read_manifest("xx.jsonl"))'),
        ('"openai/whisper-base"', '"logmel"'),
        ('layer="3"', 'layer="0", folds=2, seeds=1, epochs=2'),
        ('"anger", "happiness", "neutral", "sadness"', '"anger", "sadness"'),
        ('"call.wav"', '"xx-a-anger-0.wav"'),
    ):
        assert code.count(before) == 1, before
        code = code.replace(before, after)
    monkeypatch.chdir(recorded)
    monkeypatch.setenv("EMOBRIDGE_CACHE", str(recorded / "cache"))
    exec(compile(code, "README.md", "exec"), {})
    files = {path.name for path in (recorded / "run").iterdir()}
    assert {"report.html", "report.md", "report.json", "scores.json", "settings.toml", "bundle", "work"} <= files
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["source-only"] * 2 + ["blend"] * 2
    assert lines[-1].split()[2] in ("anger", "sadness")
