"""How the time of all that is no training grows from 1,000 to 100,000 utterances, and what `adapt` of 100,000 takes."""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from _growth import JOBS, World
from measuring import Resources, Row, child, cpu_seconds

NEEDS = ()
SIZES = (1_000, 10_000, 100_000)
EXPONENT = 1.1  # of a power law through the last two sizes
PER_SPEAKER = 100  # utterances, so that the speakers grow too
PEOPLE = 500  # a side of the utterances that are adapted
SECONDS, GIGABYTES = 40.0, 2.0  # of `adapt` outside training
HERE = Path(__file__).resolve().parent


def measure(resources: Resources) -> list[Row]:
    """A row for each job that GROWTH names, separated by ";" (all by default); `adapt` is the last one."""
    chosen = [name for name in os.environ.get("GROWTH", "").split(";") if name] or [*JOBS, "adapt"]
    rows = growth([name for name in chosen if name in JOBS], SIZES)
    return rows + (adapted(SIZES[-1]) if "adapt" in chosen else [])


def growth(names: list[str], sizes: tuple[int, ...]) -> list[Row]:
    """The exponent of each job between the last two sizes; its seconds stand in the job's name."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            world = World(size, PER_SPEAKER, Path(folder))
            for name in names:
                seconds[name].append(_least(name, world, 3 if size < sizes[-1] else 2))
    rows = []
    for name, taken in seconds.items():
        shown = ", ".join(f"{value:.3g}" for value in taken)
        exponent = math.log(taken[-1] / taken[-2]) / math.log(sizes[-1] / sizes[-2])
        what = f"{name}: exponent ({shown} s at {', '.join(f'{size:,}' for size in sizes)})"
        rows.append(Row(what, exponent, "", most=EXPONENT))
    return rows


def _least(name: str, world: World, repeats: int) -> float:
    """CPU seconds of a job, the least of some runs: collecting what other objects left is none of its work."""
    taken = []
    for _ in range(repeats):
        gc.collect()
        gc.freeze()
        taken.append(cpu_seconds(lambda: JOBS[name](world)))
        gc.unfreeze()
    return float(np.maximum(min(taken), 1e-6))


def adapted(count: int) -> list[Row]:
    """`emobridge adapt` of stored utterances that were audited: what is not training; its audit reads notes."""
    with tempfile.TemporaryDirectory() as name:
        child([sys.executable, HERE / "_growth_adapt.py", name, str(count), str(PEOPLE)])
        took = json.loads((Path(name) / "took.json").read_text())
    cpu, peak = took["cpu"], took["peak"]
    what = f"adapt of {count:,} stored utterances, 3 x 512, one seed, two folds"
    return [
        Row(f"{what}, outside training: CPU", cpu["else"], "s", most=SECONDS),
        Row(f"{what}, outside training: peak memory", peak["else"] / 1e9, "GB", most=GIGABYTES),
        Row("... its training: CPU", cpu["training"], "s"),
        Row("... its training: peak memory", peak["training"] / 1e9, "GB"),
        Row("... `audit` before it, which decodes all audio (10,000 s): CPU", cpu["audit"], "s"),
    ]
