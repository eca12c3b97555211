"""Figures of a paper that are drawn from the scores of a recipe: scores by the number of labelled target utterances.

In TOML, a table a figure; its plot becomes figures/NAME.svg in the folder of the run:

    [[figures]]
    name                  "Figure 3"
    studies               whose scores it draws
    methods               optional: of these alone; by default all that the studies compare, and the baseline
    panels                optional: "target", or "target" and "encoder" (the default): what a panel is of
    measure               optional: by default the last of the recipe

Lines are what a panel has several of. The source's scores stand beside the target's, dashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emobridge.errors import UserError, unknown
from emobridge.report import plots
from emobridge.report.blocks import Section, Table, figure, interval
from emobridge.report.systems import size_of

if TYPE_CHECKING:
    from emobridge.recipes.report import SummaryRow

KEYS = ("name", "studies", "methods", "panels", "measure")
PANEL_KEYS = ("target", "encoder")
LINES = "Solid: the target. Dashed, same colour: the source. Numbers of labels are evenly spaced, whatever their size."
ALONG = "labelled target utterances"


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """A figure of a paper, and the scores that it is drawn from."""

    name: str
    studies: tuple[str, ...]
    methods: tuple[str, ...] = ()  # () is all
    panels: tuple[str, ...] = PANEL_KEYS
    measure: str = ""

    @property
    def file(self) -> str:
        """The name of its plot, without .svg.

        >>> DrawnFigure("Figure 3", ()).file
        'figure-3'
        """
        return self.name.casefold().replace(" ", "-")


def read_figures(where: str, tables: Any, studies: Sequence[str], measures: Sequence[str]) -> tuple[DrawnFigure, ...]:
    """The figures of a recipe. Errors: UserError for a key, a study or a measure that there is not."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{where}: figures: expected [[figures]], got {tables!r}")
    figures = []
    for table in tables:
        for key in table:
            if key not in KEYS:
                raise UserError(f"{where}: figures: {unknown('key', key, KEYS)}")
        name, measure = (table.get(key, default) for key, default in (("name", ""), ("measure", measures[-1])))
        if not isinstance(name, str) or not name:
            raise UserError(f"{where}: figures: name: expected a text, got {name!r}")
        lists = {key: tuple(_words(where, name, key, table.get(key, []))) for key in ("studies", "methods", "panels")}
        for key, kind, choices in (("studies", "study", studies), ("panels", "panel", PANEL_KEYS)):
            for word in lists[key]:
                if word not in choices:
                    raise UserError(f"{where}: {name}: {unknown(kind, word, choices)}")
        if measure not in measures:
            raise UserError(f"{where}: {name}: {unknown('measure', str(measure), measures)}")
        if not lists["studies"]:
            raise UserError(f"{where}: {name}: the key 'studies' is missing")
        panels = lists["panels"] or PANEL_KEYS
        figures.append(DrawnFigure(name, lists["studies"], lists["methods"], panels, measure))
    return tuple(figures)


def figure_section(figures: Sequence[DrawnFigure], rows: Sequence[SummaryRow]) -> Section | None:
    """The figures of which any score is there; None where there is none."""
    blocks = []
    for drawn in figures:
        cells = [row for row in rows if _is_drawn(drawn, row)]
        if cells:
            title = f"{drawn.name}: {drawn.measure} by number of {ALONG}"
            svg = plots.layer_curves(_panels(drawn, cells), title=title, measure=drawn.measure, along=ALONG)
            blocks.append(figure(svg, _table(drawn, title, cells), drawn.file))
    return Section("Figures", (LINES,), blocks=tuple(blocks)) if blocks else None


def _words(where: str, name: str, key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"{where}: {name}: {key}: expected a list of words, got {value!r}")
    return value


def _is_drawn(drawn: DrawnFigure, row: SummaryRow) -> bool:
    of_method = not drawn.methods or row.method in drawn.methods
    return row.study in drawn.studies and of_method and row.measure == drawn.measure


def _panel(drawn: DrawnFigure, row: SummaryRow) -> str:
    return ", ".join(getattr(row, key) for key in drawn.panels)


def _line(drawn: DrawnFigure, row: SummaryRow) -> str:
    return ", ".join([*(getattr(row, key) for key in PANEL_KEYS if key not in drawn.panels), row.method])


def _panels(drawn: DrawnFigure, rows: Sequence[SummaryRow]) -> list[plots.Panel]:
    groups: dict[str, dict[str, list[SummaryRow]]] = {}
    for row in sorted(rows, key=lambda row: size_of(row.target_labels)):
        groups.setdefault(_panel(drawn, row), {}).setdefault(_line(drawn, row), []).append(row)
    return [
        plots.Panel(
            title,
            tuple(
                plots.Line(
                    name,
                    tuple(row.target_labels for row in cells),
                    tuple(getattr(row, f"{side}_value") for row in cells),
                    tuple(getattr(row, f"{side}_low") for row in cells),
                    tuple(getattr(row, f"{side}_high") for row in cells),
                    dashed=side == "source",
                )
                for side in ("target", "source")
                for name, cells in lines.items()
            ),
        )
        for title, lines in groups.items()
    ]


def _table(drawn: DrawnFigure, title: str, rows: Sequence[SummaryRow]) -> Table:
    lines = tuple(
        (
            _panel(drawn, row), _line(drawn, row), row.target_labels,
            interval(row.measure, row.target_value, row.target_low, row.target_high),
            interval(row.measure, row.source_value, row.source_low, row.source_high),
        )
        for row in sorted(rows, key=lambda row: (_panel(drawn, row), _line(drawn, row), size_of(row.target_labels)))
    )  # fmt: skip
    return Table(f"Measured. {title}.", ("panel", "line", "target labels", "target", "source"), lines)
