"""Whether the wheel works without the repository: in an empty environment, from another folder.

    python benchmarks/wheel_check.py dist/emobridge-0.1.0-py3-none-any.whl

installs the wheel with the extra `demo` and the pins of constraints.txt, and there asks for the help, makes a small
SYNTHETIC corpus, reads its manifest back, and loads every plug-in of every kind. It prints a line for each step, and
ends with 1 at the first that fails. `make package` runs it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PLUGINS = """
import pathlib, sys, emobridge
from emobridge import registry
assert pathlib.Path(emobridge.__file__).is_relative_to(sys.prefix), emobridge.__file__
loaded = {kind: [registry.load(kind, name) for name in registry.names(kind)] for kind in registry.KINDS}
assert all(loaded.values()), [kind for kind, plugins in loaded.items() if not plugins]
print(", ".join(f"{len(plugins)} {kind}" for kind, plugins in loaded.items()))
"""
MANIFEST = """
import emobridge
rows = list(emobridge.read_manifest("demo/en.jsonl"))
print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} speakers")
"""


def main() -> int:
    """Run the steps; 0 where all are right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="the wheel")
    wheel = parser.parse_args().wheel.resolve()
    if not wheel.is_file():
        print(f"{wheel}: no such wheel; make one: python -m build", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="emobridge-wheel-") as folder:
        return check_wheel(wheel, Path(folder))


def check_wheel(wheel: Path, folder: Path) -> int:
    """Install a wheel in a new environment in a folder, and try it from there; 0 where all is right."""
    venv.create(folder / "venv", with_pip=True)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, emobridge = str(scripts / "python"), str(scripts / "emobridge")
    steps = {
        "install": [python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), f"{wheel}[demo]"],
        "whole": [python, "-m", "pip", "check"],
        "help": [emobridge, "--help"],
        "demo": [emobridge, "demo", "demo", "--languages", "en", "--speakers", "2"],
        "manifest": [python, "-c", MANIFEST],
        "corpora": [emobridge, "corpora"],
        "plug-ins": [python, "-c", PLUGINS],
    }
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["EMOBRIDGE_CACHE"] = str(folder / "cache")
    for name, command in steps.items():
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        lines = (done.stdout + done.stderr).strip().splitlines()
        if done.returncode:
            print(f"{name}: failed\n" + "\n".join(lines[-20:]))
            return 1
        last = next((line for line in reversed(lines) if any(map(str.isalnum, line))), "done")
        print(f"{name}: {last.strip(' │')}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
