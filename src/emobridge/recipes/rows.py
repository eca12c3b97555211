"""Where published numbers stand: beside which scores of a recipe, and which of them no study of it reaches.

In TOML a study has [[study.rows]], and a recipe [[not_run]] and [outputs]:

    [[study.rows]]        numbers that stand beside scores of this study
    table                 of the paper
    method                what the study scores: a method, a head, or "scratch" for encoders from scratch
    budget                optional: the target labels of those scores; without it those that the table has
    side                  optional: "source" or "target", where only the numbers of one are meant
    printed               optional: the method as the paper has it, where a table has several

    [[not_run]]           numbers that stand beside nothing
    table, reason         of the paper, and why
    printed, encoder, target, measure   optional: only the numbers of these

    [outputs]             a figure, or a table without stored numbers: the files that hold it
    "Figure 5" = { files = "*/budget.html", holds = "Accuracy over epochs" }

A number belongs to a score by its key: source and target corpora, encoder, label set, side, measure and budget agree as
far as the paper states them. A number of one language, trained and tested on the same corpora, belongs to the source's
score of a model that has seen no target label, of the study's first target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emobridge.errors import UserError, count_noun, unknown
from emobridge.literature.published import corpus_key, corpus_keys, numbers_of
from emobridge.literature.record import NOT_STATED, Published, PublishedConfusion
from emobridge.settings import is_budget

PublishedRow = Published | PublishedConfusion
SIDE_NAMES = ("source", "target")
FROM_SCRATCH = "scratch"  # in place of a head, for encoders that are trained from scratch
CONFUSION = "confusion"  # the measure of a matrix
ROW_KEYS = ("table", "method", "budget", "side", "printed")
FILTERS: dict[str, Callable[[PublishedRow], str]] = {
    "printed": lambda row: printed_method(row),
    "encoder": lambda row: row.encoder,
    "target": lambda row: row.target,
    "measure": lambda row: row.measure if isinstance(row, Published) else CONFUSION,
}


@dataclass(frozen=True, slots=True)
class RowsEntry:
    """One [[study.rows]]: the numbers of a table that stand beside a system of a study."""

    table: str
    system: str
    budget: str = ""
    side: str = ""
    printed: str = ""


@dataclass(frozen=True, slots=True)
class NotRun:
    """One [[not_run]]: numbers of a table that stand beside nothing, and why."""

    table: str
    reason: str
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()  # a key of FILTERS, and its values

    def takes(self, row: PublishedRow) -> bool:
        """Whether it names a number."""
        same = all(FILTERS[key](row) in values for key, values in self.filters)
        return row.table == self.table and same


@dataclass(frozen=True, slots=True)
class PaperOutput:
    """A figure or a table of the paper that stands in files of a run."""

    name: str
    files: str  # a glob, in the folder of the run
    holds: str  # text that stands in each of them


@dataclass(frozen=True, slots=True)
class ScoreKey:
    """One score that a recipe makes, by what numbers are compared by."""

    study: str
    system: str
    encoder: str
    source: str  # corpora of the recipe, joined by "+"
    target: str
    budget: str  # a number, or "all"
    side: str
    measure: str

    def __str__(self) -> str:
        where = f"{self.source} > {self.target} ({self.side})"
        return ", ".join(filter(None, (self.study, self.system, self.encoder, where, self.budget, self.measure)))


@dataclass(frozen=True, slots=True)
class Scope:
    """What a study scores: the cells are all combinations."""

    study: str
    encoders: Mapping[str, tuple[str, ...]]  # by system
    source: tuple[str, ...]  # corpora that are trained on together; () where each is trained on by itself
    targets: tuple[str, ...]
    labels: tuple[str, ...]  # () is all that the corpora have
    budgets: tuple[str, ...]
    measures: tuple[str, ...]
    is_heard: bool = False  # of a listening test, where nothing is trained on


def printed_method(row: PublishedRow) -> str:
    """The method as the paper has it; of a matrix who answered in which setting."""
    return row.method if isinstance(row, Published) else f"{row.who} {row.native} {row.setting}"


def read_rows(where: str, tables: Any, paper: str, systems: Sequence[str]) -> tuple[RowsEntry, ...]:
    """The [[study.rows]] of a study. Errors: UserError for a key, table, method or budget that is not there."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{where}: rows: expected [[study.rows]], got {tables!r}")
    entries = []
    for table in tables:
        values: Any = _read_texts(f"{where}: rows", table, ROW_KEYS, ("table", "method"))
        name = f"{where}: rows of {values['table']}"
        _check_table(name, values["table"], paper)
        if values["method"] not in systems:
            raise UserError(f"{name}: {unknown('method', values['method'], systems)}")
        if "side" in values and values["side"] not in SIDE_NAMES:
            raise UserError(f"{name}: {unknown('side', values['side'], SIDE_NAMES)}")
        if "budget" in values and not is_budget(values["budget"]):
            raise UserError(f"{name}: budget: expected a number in quotes, or 'all', got {values['budget']!r}")
        _check_value(name, "printed", values.get("printed"), paper, values["table"])
        system = values.pop("method")
        entries.append(RowsEntry(system=system, **values))
    return tuple(entries)


def read_not_run(where: str, tables: Any, paper: str) -> tuple[NotRun, ...]:
    """The [[not_run]] of a recipe. Errors: UserError for a key, table or value that is not there."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{where}: not_run: expected [[not_run]], got {tables!r}")
    entries: list[NotRun] = []
    for table in tables:
        filters: list[tuple[str, tuple[str, ...]]] = []
        for key in FILTERS:
            value = table.get(key)
            if value is None:
                continue
            words = value if isinstance(value, list) else [value]
            if not words or not all(isinstance(word, str) for word in words):
                raise UserError(f"{where}: not_run: {key}: expected a text or a list of texts, got {value!r}")
            filters.append((key, tuple(words)))
        rest = {key: value for key, value in table.items() if key not in FILTERS}
        values = _read_texts(f"{where}: not_run", rest, ("table", "reason", *FILTERS), ("table", "reason"))
        name = f"{where}: not_run of {values['table']}"
        _check_table(name, values["table"], paper)
        for key, meant in filters:
            for word in meant:
                _check_value(name, key, word, paper, values["table"])
        entries.append(NotRun(values["table"], values["reason"], tuple(filters)))
    return tuple(entries)


def read_outputs(where: str, table: Any) -> tuple[PaperOutput, ...]:
    """The [outputs] of a recipe. Errors: UserError for what is not a pair of texts."""
    if not isinstance(table, dict):
        raise UserError(f"{where}: outputs: expected a table, got {table!r}")
    outputs = []
    for name, value in table.items():
        if not isinstance(value, dict):
            raise UserError(f"{where}: outputs: {name}: expected {{ files = ..., holds = ... }}, got {value!r}")
        keys = ("files", "holds")
        outputs.append(PaperOutput(name, **_read_texts(f"{where}: outputs: {name}", value, keys, keys)))
    return tuple(outputs)


def _read_texts(where: str, table: Mapping[str, Any], keys: Sequence[str], needed: Sequence[str]) -> dict[str, str]:
    for key, value in table.items():
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', key, keys)}")
        if not isinstance(value, str) or not value:
            raise UserError(f"{where}: {key}: expected a text, got {value!r}")
    for key in needed:
        if key not in table:
            raise UserError(f"{where}: the key {key!r} is missing")
    return dict(table)


def _check_table(where: str, table: str, paper: str) -> None:
    tables = dict.fromkeys(row.table for row in numbers_of(paper))
    if not tables:
        raise UserError(f"{where}: no number of {paper} is stored")
    if table not in tables:
        raise UserError(f"{where}: {unknown(f'table of {paper}', table, tables)}")


def _check_value(where: str, key: str, value: str | None, paper: str, table: str) -> None:
    choices = dict.fromkeys(FILTERS[key](row) for row in numbers_of(paper) if row.table == table)
    if value is not None and value not in choices:
        raise UserError(f"{where}: {unknown(key, value, choices)}")


def stand_beside(entries: Sequence[RowsEntry], scope: Scope, paper: str) -> Iterator[tuple[PublishedRow, ScoreKey]]:
    """Each published number of a study's entries with each of its scores that it belongs to."""
    for entry in entries:
        for row in _rows_meant(entry, paper):
            yield from ((row, cell) for cell in _cells_of(entry, row, scope))


def _rows_meant(entry: RowsEntry, paper: str) -> list[PublishedRow]:
    """The numbers of an entry's table and printed method."""
    return [row for row in numbers_of(paper) if row.table == entry.table and entry.printed in ("", printed_method(row))]


def idle_entries(entries: Sequence[RowsEntry], scopes: Sequence[Scope], paper: str) -> Iterator[str]:
    """A line for each entry of which no number belongs to a score of a study. scopes: of the study, or of its pairs."""
    for entry in entries:
        if any(True for scope in scopes for _ in stand_beside([entry], scope, paper)):
            continue
        rows = _rows_meant(entry, paper)
        key = "corpora, encoder, labels, side, measure and budget"
        why = f"none of {count_noun(len(rows), 'number')} has the {key} of a score of this study"
        if not entry.budget and any(isinstance(row, Published) and not is_budget(row.target_labels) for row in rows):
            why = "the table has no number of target labels: add budget = ..."
        yield f"rows of {entry.table}, method {entry.system}: {why}"


def _cells_of(entry: RowsEntry, row: PublishedRow, scope: Scope) -> Iterator[ScoreKey]:
    """The scores of a study that a number belongs to."""
    measure = _measure_of(row, scope.measures)
    if not measure or (row.labels and scope.labels and set(row.labels) != set(scope.labels)):
        return
    for encoder in scope.encoders.get(entry.system, ()):
        if row.encoder in (encoder, NOT_STATED):
            for source, target, budget, side in _cells(entry, row, scope):
                yield ScoreKey(scope.study, entry.system, encoder, source, target, budget, side, measure)


def _cells(entry: RowsEntry, row: PublishedRow, scope: Scope) -> Iterator[tuple[str, str, str, str]]:
    """Source, target, budget and side of the scores that a number belongs to."""
    if scope.is_heard:
        yield from (
            ("", corpus, "", "target") for corpus in scope.targets if corpus_key(corpus) == corpus_key(row.target)
        )
    else:
        yield from _grid_cells(entry, row, scope) if scope.source else _probe_cells(row, scope)


def _probe_cells(row: PublishedRow, scope: Scope) -> Iterator[tuple[str, str, str, str]]:
    """Source, target, budget and side of the scores in language that a number belongs to."""
    if row.source != row.target:
        return
    keys = corpus_keys(row.target)
    for corpus in scope.targets:
        if keys == {corpus_key(corpus)}:
            yield corpus, corpus, "all", "target"
    if len(keys) > 1 and keys == set(map(corpus_key, scope.targets)):
        together = "+".join(scope.targets)
        yield together, together, "all", "target"


def _grid_cells(entry: RowsEntry, row: PublishedRow, scope: Scope) -> Iterator[tuple[str, str, str, str]]:
    """Source, target, budget and side of the scores across languages that a number belongs to."""
    source, keys = "+".join(scope.source), set(map(corpus_key, scope.source))
    mono = isinstance(row, Published) and row.source == row.target
    if isinstance(row, PublishedConfusion):
        mono = row.source == row.target
        side, stated = "target", "0" if row.setting == "cross" else "all"
    else:
        side, stated = row.side, row.target_labels
    if mono and keys == corpus_keys(row.source):
        if entry.side in ("", "source") and (budget := entry.budget or "0") in scope.budgets:
            yield source, scope.targets[0], budget, "source"
        return
    if mono or (row.source != NOT_STATED and keys != corpus_keys(row.source)) or entry.side not in ("", side):
        return
    budget = entry.budget or stated
    for target in scope.targets:
        if corpus_keys(row.target) == {corpus_key(target)} and budget in scope.budgets:
            yield source, target, budget, side


def _measure_of(row: PublishedRow, measures: Sequence[str]) -> str:
    """The measure of a recipe that a number is compared by; "" where the recipe does not have it."""
    if isinstance(row, PublishedConfusion):
        return CONFUSION
    first = row.compared.partition(" ")[0]
    name = first if first in ("CCC", "EDER") else row.compared  # of an attribute, of an emotion
    return row.compared if name in measures else ""
