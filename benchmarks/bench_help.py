"""How long `emobridge --help` lets a user wait."""

from __future__ import annotations

import sys

from measuring import Amount, Resources, Row, child, emobridge, median_used

NEEDS = ()
RUNS = 5


def measure(resources: Resources) -> list[Row]:
    """The whole process, from start to end."""
    used = median_used([child(emobridge("--help")) for _ in range(RUNS)])
    bare = median_used([child([sys.executable, "-c", "import typer"]) for _ in range(RUNS)])
    limit = Amount(bare.cpu, "Python that imports typer")
    return [
        Row("emobridge --help, on the clock", used.wall, "s", most=0.5),
        Row("emobridge --help", used.cpu, "s", most=0.4, limit=limit),
    ]
