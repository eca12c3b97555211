"""How many utterances of the demonstration corpus are made a minute."""

from __future__ import annotations

import tempfile

from measuring import Resources, Row, child, cores, emobridge, median_used

NEEDS = ("espeakng_loader",)
UTTERANCES = 320  # of one language
RATE = 3000  # utterances a minute


def measure(resources: Resources) -> list[Row]:
    """The command, with a process a core."""
    runs = []
    for _ in range(resources.repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(child(emobridge("demo", folder, "--languages", "en")))
    used = median_used(runs)
    unit = "utterances a minute"
    return [
        Row("emobridge demo, on the clock", 60 * UTTERANCES / used.wall, unit, least=RATE),
        Row("emobridge demo, CPU time spread over all cores", 60 * UTTERANCES * cores() / used.cpu, unit, least=RATE),
    ]
