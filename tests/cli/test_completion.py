"""Shells complete the commands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_a_command(shell):
    words = {"COMP_WORDS": "emobridge pre", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "emobridge pre"}
    asked_by_shell = {"_EMOBRIDGE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    command = [sys.executable, "-m", "emobridge"]
    done = subprocess.run(command, env={**os.environ, **asked_by_shell}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "predict" in done.stdout and "audit" not in done.stdout, done
    assert not done.stderr


def test_the_help_says_how_to_install_it(cli):
    assert "--install-completion" in cli("--help").out
