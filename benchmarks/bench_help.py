"""How long `emobridge --help` lets a user wait."""

from __future__ import annotations

from measuring import Resources, Row, child, emobridge, median_used

NEEDS = ()
RUNS = 5


def measure(resources: Resources) -> list[Row]:
    """The whole process, from start to end."""
    used = median_used([child(emobridge("--help")) for _ in range(RUNS)])
    return [
        Row("emobridge --help, on the clock", used.wall, "s", most=0.5),
        Row("emobridge --help, CPU", used.cpu, "s", most=0.5),
    ]
