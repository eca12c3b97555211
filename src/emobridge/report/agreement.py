"""A picture of published values against measured ones: a point a number, with its interval."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emobridge.report.plots import _MARKERS, COLOURS, INK, _style, _svg
from emobridge.scores.measures.base import PER_CENT, measure_of


@dataclass(frozen=True, slots=True)
class ComparedPoint:
    """A published value, and what was measured beside it; both in [0, 1], CCC in [-1, 1]."""

    group: str  # its colour, such as a table and an encoder
    measure: str
    published: float
    measured: float
    low: float  # NaN where there is no interval
    high: float


@_style()
def agreement_plot(pairs: Sequence[ComparedPoint], *, title: str) -> str:
    """A panel for shares in per cent and one for what is no share; a point a pair. "" where there is no pair."""
    import matplotlib.figure

    pairs = [pair for pair in pairs if math.isfinite(pair.measured)]
    if not pairs:
        return ""
    units = dict.fromkeys(_unit(pair) for pair in pairs)
    groups = list(dict.fromkeys(pair.group for pair in pairs))
    figure = matplotlib.figure.Figure(figsize=(max(4.4, 3.9 * len(units)), 4.6), layout="constrained")
    for panel, unit in zip(figure.subplots(1, len(units), squeeze=False).ravel(), units):
        inside = [pair for pair in pairs if _unit(pair) == unit]
        scale = measure_of(inside[0].measure).scale
        ends = [scale * value for pair in inside for value in (pair.published, pair.measured, pair.low, pair.high)]
        finite = [value for value in ends if math.isfinite(value)]
        least, most = min(finite), max(finite)
        margin = 0.05 * max(most - least, scale / 50)
        limits = least - margin, most + margin
        panel.plot(limits, limits, color=INK, ls="--", lw=0.8, alpha=0.6)
        for group, colour, marker in zip(groups, itertools.cycle(COLOURS[1:]), itertools.cycle(_MARKERS)):
            drawn = [pair for pair in inside if pair.group == group]
            if drawn:
                x, y = [scale * p.published for p in drawn], [scale * p.measured for p in drawn]
                error = [[_length(scale * (p.measured - p.low)) for p in drawn],
                         [_length(scale * (p.high - p.measured)) for p in drawn]]  # fmt: skip
                panel.errorbar(x, y, yerr=error, fmt=marker, color=colour, ms=4, lw=1, alpha=0.8, label=group)
        panel.set(xlim=limits, ylim=limits, xlabel=f"published ({unit})", ylabel=f"measured here ({unit})")
        panel.set_aspect("equal")
        panel.grid(color=INK, alpha=0.12)
    shown: dict[str, Any] = {}
    for panel in figure.axes:
        handles, names = panel.get_legend_handles_labels()
        shown |= dict(zip(map(str, names), handles))
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=2, fontsize=8)
    return _svg(figure, title)


def _unit(pair: ComparedPoint) -> str:
    measure = measure_of(pair.measure)
    return "per cent" if measure.unit == PER_CENT else measure.name


def _length(value: float) -> float:
    """The length of an error bar; none where there is no interval."""
    return max(0.0, value) if math.isfinite(value) else 0.0
