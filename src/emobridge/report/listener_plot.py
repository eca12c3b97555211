"""A picture of listeners and models on one scale: a row a cell, a dot a listener, the mean with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emobridge.report.plots import COLOURS, INK, _style, _svg

_HEIGHT = 0.36  # inches of a row
_BELOW = 0.32  # of a row: where dots lie under the interval


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """One row of the picture; values in [0, 1]."""

    name: str
    value: float
    low: float  # NaN where there is no interval
    high: float
    dots: tuple[float, ...] = ()  # of single listeners
    is_model: bool = False


@_style()
def scale_plot(groups: Sequence[tuple[str, Sequence[ScaleRow]]], *, chance: float, title: str) -> str:
    """Rows under the headings of their groups, such as a language; per cent on the x axis. "" without any value."""
    import matplotlib.figure

    groups = [(heading, [row for row in rows if math.isfinite(row.value)]) for heading, rows in groups]
    count = sum(len(rows) for _, rows in groups)
    if not count:
        return ""
    figure = matplotlib.figure.Figure(figsize=(6.4, 0.9 + _HEIGHT * (count + len(groups))), layout="constrained")
    axes = figure.subplots()
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for heading, rows in groups:
        if not rows:
            continue
        axes.text(0, y, heading, fontsize=10, weight="bold", va="center")
        for row in rows:
            y += 1
            colour = COLOURS[2] if row.is_model else COLOURS[1]
            for value, shift in _spread(row.dots):
                axes.plot([100 * value], [y + _BELOW + shift], "o", color=colour, ms=4, alpha=0.45, mew=0)
            if math.isfinite(row.low):
                axes.plot([100 * row.low, 100 * row.high], [y, y], color=colour, lw=2)
            axes.plot([100 * row.value], [y], "s" if row.is_model else "D", color=colour, ms=6)
            ticks.append((y, row.name))
        y += 1.2
    axes.axvline(100 * chance, color=INK, ls="--", lw=0.8, alpha=0.6)
    axes.annotate("chance", (100 * chance, 1), (3, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                  fontsize=8, alpha=0.8)  # fmt: skip
    axes.set_yticks([position for position, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(y - 0.6, -0.6)
    axes.set_xlim(0, 101)
    axes.set_xlabel("UA (per cent)")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=INK, alpha=0.12)
    return _svg(figure, title)


def _spread(dots: Sequence[float]) -> list[tuple[float, float]]:
    """Each value with a shift along y, so that equal ones do not hide each other."""
    seen: dict[int, int] = {}
    spread = []
    for value in sorted(dots):
        position = round(100 * value)
        number = seen.get(position, 0)
        seen[position] = number + 1
        spread.append((value, 0.07 * number if number < 4 else 0.0))
    return spread
