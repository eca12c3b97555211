"""Tables of a page of results, row by row: what was measured anew takes the place of its row, the others stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Table:
    """A title in bold, a line of column names, and rows found by their first cell, and their second if it names too."""

    title: str
    header: str
    rows: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, *cells: str) -> None:
        """A row, in place of an earlier one of that name."""
        second = "" if cells[1][:1].isdigit() else cells[1]  # a score, which is another when it is measured anew
        self.rows[cells[0], second] = f"| {' | '.join(cells)} |"

    def over(self, old: Table | None, order: Callable[[tuple[str, str]], int]) -> Table:
        """Both: the old rows, those measured anew in their place. Of other columns the old table goes."""
        if old is None or old.header != self.header:
            return self
        rows = old.rows | self.rows
        return Table(self.title, self.header, {key: rows[key] for key in sorted(rows, key=order)})

    def __str__(self) -> str:
        rule = "|---" * (self.header.count(" | ") + 1) + "|"
        return "\n".join(["", self.title, "", self.header, rule, *self.rows.values()])


def read(text: str) -> Iterator[Table]:
    """The tables of a page, as `str` wrote them."""
    table = None
    for line in text.splitlines():
        if line.startswith("**"):
            title = line
        elif line.startswith("| ") and table is None:
            table = Table(title, line)
        elif line.startswith("| ") and table is not None:
            table.add(*line.removeprefix("| ").removesuffix(" |").split(" | "))
        elif not line and table is not None:
            yield table
            table = None
    if table is not None:
        yield table
