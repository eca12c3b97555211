"""What the stages of a method cost, as a section."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emobridge.report.blocks import Section, Table
from emobridge.training.cost import Cost

_WORDS = (
    "Weights that were trained are counted where they are: in the head, in the encoder itself, in adapters. Times are "
    "means over seeds and folds, of training alone; the memory is the most of any: of the stage on a GPU, on a CPU of "
    "the whole process until then. A stage that several methods begin with is trained once, and told with each."
)


def cost_section(costs: Sequence[Cost]) -> Section | None:
    """A row for each method and stage."""
    if not costs:
        return None
    rows = []
    for method, stage in dict.fromkeys((method_of(one), one.stage) for one in costs):
        mine = [one for one in costs if (method_of(one), one.stage) == (method, stage)]
        first = mine[0]
        trained = sum(count for _, count in first.trained)
        names = ", ".join(f"{name} {count:,}" for name, count in first.trained)
        share = f"{100 * trained / first.weights:.2g} %" if first.weights else "-"
        seconds, cpu = (float(np.mean([getattr(one, key) for one in mine])) for key in ("seconds", "cpu"))
        memory = max(one.memory for one in mine)
        told = f"{memory:,.0f}" if memory else "not known"
        rows.append((method, str(stage), names, f"{first.weights:,}", share, f"{seconds:.1f}", f"{cpu:.1f}", told))
    columns = ("method", "stage", "trained weights", "all weights", "share", "seconds", "CPU seconds", "peak MB")
    return Section("What training took", (_WORDS,), blocks=(Table("Measured.", columns, tuple(rows)),))


def method_of(cost: Cost) -> str:
    """The method of "method, seed 0, fold 1"."""
    return cost.run.rpartition(", seed")[0]
