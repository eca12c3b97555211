"""Plots as inline SVG: text stays text, and ink takes the page's colour, so that one drawing serves light and dark.

A plot of nothing is "": there are no empty axes. `blocks.figure` then shows the table of numbers alone.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emobridge.report.blocks import unit
from emobridge.report.record import CurvePoint
from emobridge.scores.calibration import ReliabilityBin
from emobridge.scores.measures.base import measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#123456"  # stands for the page's text colour; becomes currentColor
COLOURS = ("#7f8c9b", "#3b8edb", "#e08214", "#2ca25f", "#a06cd5", "#d6604d", "#b8a11f", "#17a2b8")  # read on both
_MARKERS = "osD^vP*X"
_STILL = 500  # points of a cloud, each some hundred bytes of the page
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "emobridge",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """The style of a whole drawing: texts and legends take their colours when they are created."""
    import matplotlib  # slow to import, and only drawings need it

    with matplotlib.rc_context(_SETTINGS):
        yield


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval."""

    name: str
    value: float  # in [0, 1]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """What one colour of a plot shows."""

    name: str
    points: tuple[Point, ...]


@_style()
def dots(series: Sequence[Series], names: Sequence[str], *, chance: float | None, title: str) -> str:
    """Dots with intervals, one row a name, one colour a series; per cent on the x axis, chance as a dashed line."""
    if not any(_has_values(p.value for p in row.points if p.name in names) for row in series):
        return ""
    gap = 0.5 / max(1, len(series))
    figure, axes = _figure(1.1 + max(1, len(names)) * max(0.24, 0.13 * len(series)))
    for index, (row, colour) in enumerate(zip(series, itertools.cycle(COLOURS))):
        points = [point for point in row.points if point.name in names]
        shift = (index - (len(series) - 1) / 2) * gap
        x, y = [100 * p.value for p in points], [names.index(p.name) + shift for p in points]
        error = [[max(0, 100 * (p.value - p.low)) for p in points], [max(0, 100 * (p.high - p.value)) for p in points]]
        marker = _MARKERS[index % len(_MARKERS)]
        axes.errorbar(x, y, xerr=error, fmt=marker, color=colour, ms=5, lw=1.4, label=row.name)
    if chance is not None:
        axes.axvline(100 * chance, color=INK, ls="--", lw=0.8, alpha=0.6, label="chance")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("per cent")
    axes.grid(axis="x", color=INK, alpha=0.12)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=9)
    return _svg(figure, title)


@_style()
def bars(names: Sequence[str], counts: Sequence[int], *, title: str) -> str:
    """A horizontal bar a name, as long as its share of all; the count and the per cent at its end."""
    if not any(counts):
        return ""
    figure, axes = _figure(0.35 + 0.3 * len(names), width=5.4)
    total = max(sum(counts), 1)
    axes.barh(range(len(names)), counts, height=0.65, color=COLOURS[1])
    for row, n in enumerate(counts):
        axes.annotate(f"{n} ({100 * n / total:.0f} %)", (n, row), (4, 0), textcoords="offset points", va="center",
                      fontsize=9)  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.25 * max((*counts, 1)))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return _svg(figure, title)


@_style()
def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], *, title: str) -> str:
    """Rows truth, columns prediction: per cent of the row, the count beneath; the shade is the share."""
    if not any(map(any, counts)):
        return ""
    n = len(labels)
    figure, axes = _figure(0.8 + 0.55 * n, width=1.3 + 0.82 * n)
    for row, label_counts in enumerate(counts):
        total = sum(label_counts)
        for column, cell in enumerate(label_counts):
            share = cell / total if total else 0.0
            colour = COLOURS[1] if row == column else COLOURS[2]
            axes.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=colour, alpha=0.8 * share, lw=0)
            axes.text(column, row - 0.12, f"{100 * share:.1f}", ha="center", va="center", fontsize=10)
            axes.text(column, row + 0.22, f"{cell}", ha="center", va="center", fontsize=8, alpha=0.7)
    axes.set_xticks(range(n), labels, rotation=30 if n > 5 else 0)
    axes.set_yticks(range(n), labels)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    return _svg(figure, title)


@_style()
def curves(points: Sequence[CurvePoint], *, title: str) -> str:
    """Small multiples by epoch: one panel a term that has a value, one line a run."""
    points = [point for point in points if math.isfinite(point.value)]
    if not points:
        return ""
    terms, runs = (list(dict.fromkeys(getattr(p, field) for p in points)) for field in ("term", "run"))
    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    figure = _new_figure(2.1 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(terms) :]:
        panel.axis("off")
    for panel, term in zip(panels, terms):
        for run, colour in zip(runs, itertools.cycle(COLOURS[1:])):
            line = sorted((p.epoch, p.value) for p in points if (p.term, p.run) == (term, run))
            if line:
                panel.plot(*zip(*line), color=colour, lw=1.3, marker="o" if len(line) < 3 else None, label=run)
        panel.set_title(term, fontsize=10)
        panel.grid(color=INK, alpha=0.12)
    figure.supxlabel("epoch", fontsize=10)
    if 1 < len(runs) <= 8:
        handles = {line.get_label(): line for panel in panels for line in panel.get_lines()}
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, fontsize=9)
    return _svg(figure, title)


@_style()
def layers(names: Sequence[str], values: Sequence[float], chosen: Sequence[str], *, title: str) -> str:
    """Score by encoder layer, per cent; the chosen ones filled and named."""
    if not _has_values(values):
        return ""
    figure, axes = _figure(2.6)
    axes.plot(range(len(names)), [100 * v for v in values], color=COLOURS[1], lw=1.4, marker="o", mfc="none")
    for x, (name, value) in enumerate(zip(names, values)):
        if name in chosen:
            axes.plot([x], [100 * value], "o", color=COLOURS[2], ms=8)
            axes.annotate(f"{100 * value:.1f}", (x, 100 * value), (0, 8), textcoords="offset points", ha="center")
    axes.margins(y=0.2)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("layer")
    axes.set_ylabel("UA on source validation (%)")
    axes.grid(axis="y", color=INK, alpha=0.12)
    return _svg(figure, title)


@_style()
def clouds(
    panels: Sequence[tuple[str, Sequence[Sequence[float]]]], groups: Sequence[tuple[str | None, str]], *, title: str
) -> str:
    """Panels of the same points, by their first two coordinates.

    `groups` holds for each point the name of its colour (None is grey) and the name of its marker. Of many points the
    first are drawn.
    """
    import matplotlib.lines

    figure = _new_figure(4.3)
    names, kinds = sorted({name for name, _ in groups if name}), list(dict.fromkeys(kind for _, kind in groups))
    for panel, (heading, points) in zip(figure.subplots(1, len(panels), squeeze=False).ravel(), panels):
        for name, kind in sorted(set(groups[:_STILL]), key=str):
            drawn = [point for point, group in zip(points, groups[:_STILL]) if group == (name, kind)]
            colour = COLOURS[1:][names.index(name) % len(COLOURS[1:])] if name else COLOURS[0]
            marker = _MARKERS[kinds.index(kind) % len(_MARKERS)]
            panel.plot([p[0] for p in drawn], [p[1] for p in drawn], marker, color=colour, ms=3.5, alpha=0.7, mew=0)
        panel.set_title(heading, fontsize=9)
        panel.set(xlabel="component 1", ylabel="component 2", xticks=[], yticks=[])
    shown = [(name, "o", colour) for name, colour in zip(names, itertools.cycle(COLOURS[1:]))]
    shown += [("unlabelled", "o", COLOURS[0])] if any(name is None for name, _ in groups) else []
    shown += [(kind, marker, INK) for kind, marker in zip(kinds, itertools.cycle(_MARKERS))]
    keys = [matplotlib.lines.Line2D([], [], marker=mark, ls="", ms=5, color=ink, label=key) for key, mark, ink in shown]
    figure.legend(handles=keys, loc="outside lower center", ncols=6, fontsize=9)
    return _svg(figure, title)


@dataclass(frozen=True, slots=True)
class Line:
    """Scores by layer."""

    name: str
    layers: tuple[str, ...]
    values: tuple[float, ...]  # in [0, 1]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dashed: bool = False  # a floor; it has the colour of the line of the same name


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of curves, with dotted levels: what is reached without an encoder, such as chance."""

    title: str
    lines: tuple[Line, ...]
    levels: tuple[tuple[str, float], ...] = ()


@_style()
def layer_curves(panels: Sequence[Panel], *, title: str, measure: str = "UA", along: str = "layer") -> str:
    """Small multiples of scores by layer, with 95 % intervals as bands; the panels share both axes.

    The y axis is in the unit of the measure. along: the label of the x axis, where it shows something else. Panels
    without a line are left out, and where no line has two points there is no curve to draw.
    """
    panels = [panel for panel in panels if any(_has_values(line.values) for line in panel.lines)]
    if not any(_has_values(line.values, 2) for panel in panels for line in panel.lines):
        return ""

    scale = measure_of(measure).scale
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = _new_figure(2.9 * rows + 0.7)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel in axes[len(panels) :]:
        panel.axis("off")
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    order = list(dict.fromkeys(layer for panel in panels for line in panel.lines for layer in line.layers))
    for panel, drawn in zip(axes, panels):
        for line in drawn.lines:
            colour = COLOURS[1:][names.index(line.name) % len(COLOURS[1:])]
            x, y = [order.index(layer) for layer in line.layers], [scale * value for value in line.values]
            label = None if line.dashed else line.name
            panel.plot(x, y, color=colour, lw=1.4, ls="--" if line.dashed else "-", marker="o", ms=3, label=label)
            if line.low and not line.dashed:
                bounds = [[scale * value for value in side] for side in (line.low, line.high)]
                panel.fill_between(x, *bounds, color=colour, alpha=0.1, lw=0)
        for number, (what, value) in enumerate(drawn.levels):
            panel.axhline(scale * value, color=INK, ls=":", lw=0.8, alpha=0.7)
            panel.annotate(what, (0.99 if number % 2 else 0.01, scale * value), (0, 2), fontsize=7, alpha=0.8,
                           xycoords=("axes fraction", "data"), textcoords="offset points",
                           ha="right" if number % 2 else "left")  # fmt: skip
        panel.set_title(drawn.title, fontsize=10)
        panel.set_xticks(range(len(order)), order, fontsize=8)
        panel.grid(color=INK, alpha=0.12)
    figure.supxlabel(along, fontsize=10)
    figure.supylabel(f"{measure}{f' ({unit(measure).strip()})' if unit(measure) else ''}", fontsize=10)
    handles = {str(line.get_label()): line for panel in axes for line in panel.get_lines()}
    shown = {name: line for name, line in handles.items() if not name.startswith("_")}
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=4, fontsize=9)
    return _svg(figure, title)


@_style()
def heat(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, title: str) -> str:
    """A map of shares, whose rows sum to 1: the per cent in each cell, shaded from a row's least to its largest."""
    figure, axes = _figure(0.7 + 0.34 * len(rows), width=max(4.0, 2.6 + 0.42 * len(columns)))
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            shade = 0.05 + 0.5 * (value - min(row)) / max(max(row) - min(row), 1e-12)
            axes.fill_between([x - 0.5, x + 0.5], y - 0.5, y + 0.5, color=COLOURS[1], alpha=shade, lw=0)
            axes.text(x, y, f"{100 * value:.0f}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("layer")
    axes.tick_params(length=0)
    return _svg(figure, title)


@_style()
def shades(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, title: str, of_rows: str
) -> str:
    """A map of numbers with two decimals, shaded from the least to the largest of all; NaN leaves a cell empty.

    of_rows: what the rows are, written beside them.
    """
    finite = [value for row in values for value in row if math.isfinite(value)]
    if not finite:
        return ""
    least, span = min(finite), max(max(finite) - min(finite), 1e-12)
    figure, axes = _figure(0.8 + 0.3 * len(rows), width=max(2.6, 0.8 + 0.6 * len(columns)))
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if math.isfinite(value):
                alpha = 0.04 + 0.66 * (value - least) / span
                axes.fill_between([x - 0.5, x + 0.5], y - 0.5, y + 0.5, color=COLOURS[1], alpha=alpha, lw=0)
                axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_ylabel(of_rows)
    axes.tick_params(length=0)
    return _svg(figure, title)


@_style()
def reliability(panels: Sequence[tuple[str, Sequence[tuple[str, Sequence[ReliabilityBin]]]]], *, title: str) -> str:
    """Small multiples of accuracy by confidence, per cent: a title and its named curves; a bin's size is its share."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = _new_figure(3.0 * rows + 0.6, width=3.6 * columns)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for panel in axes[len(panels) :]:
        panel.axis("off")
    for panel, (heading, lines) in zip(axes, panels):
        panel.plot([0, 100], [0, 100], color=INK, ls="--", lw=0.8, alpha=0.6)
        for number, (name, curve) in enumerate(lines):
            x, y = [100 * part.confidence for part in curve], [100 * part.accuracy for part in curve]
            n = [part.n for part in curve]
            colour = COLOURS[number % len(COLOURS)]
            panel.plot(x, y, color=colour, lw=1.2, label=name)
            panel.scatter(x, y, [6 + 60 * count / sum(n) for count in n], color=colour, marker=_MARKERS[number], lw=0)
        panel.set_title(heading, fontsize=9)
        panel.set(xlim=(0, 102), ylim=(-3, 103))
        panel.grid(color=INK, alpha=0.12)
    figure.supxlabel("confidence (%)", fontsize=10)
    figure.supylabel("right answers (%)", fontsize=10)
    handles = {str(line.get_label()): line for panel in axes for line in panel.get_lines()}
    shown = {name: line for name, line in handles.items() if not name.startswith("_")}
    figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=4, fontsize=9)
    return _svg(figure, title)


def standalone(svg: str) -> str:
    """A drawing as a file of its own, in a grey that reads on light and dark pages."""
    return svg.replace("currentColor", "#6e7781")


def _has_values(values: Iterable[float], least: int = 1) -> bool:
    """Whether so many values are numbers, and not NaN or infinite."""
    return sum(map(math.isfinite, values)) >= least


def _figure(height: float, width: float = 7.2) -> tuple[Figure, Axes]:
    figure = _new_figure(height, width)
    return figure, figure.subplots()


def _new_figure(height: float, width: float = 7.2) -> Figure:
    """An empty figure; its size is in inches."""
    import matplotlib.figure

    return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure, title: str) -> str:
    """The drawing as an <svg> element with ids of its own and `title` as its description."""
    text = _drawn(figure).replace(INK, "currentColor")
    prefix = f"f{zlib.crc32(title.encode()):08x}-"  # titles differ within a page; ids must
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    escaped = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    opening = re.match(r"<svg[^>]*>", text)
    assert opening, "matplotlib wrote no <svg>"
    box = re.search(r'viewBox="[^"]*"', opening[0])
    assert box, "matplotlib wrote no viewBox"
    width = float(box[0].split()[2])
    head = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} xmlns="http://www.w3.org/2000/svg" version="1.1" '
        f'role="img" aria-label="{escaped}" style="width:{width:.0f}pt">'
    )
    return head + text[opening.end() :]


def _drawn(figure: Figure) -> str:
    """matplotlib's <svg> element of a figure."""
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a script that the measuring font lacks is still text in the page
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
