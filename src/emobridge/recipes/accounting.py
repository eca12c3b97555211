"""The account of published numbers: each stands beside exactly one score of a paper's recipes, or is listed as not run.

The recipes of one paper share its numbers. A variant shows them beside its scores, and does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emobridge.literature.published import rows_of
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.rows import Cell, Row, RowsEntry, idle_entries, stand_beside


@dataclass(frozen=True, slots=True)
class Account:
    """By the ids of a paper's numbers."""

    cells: dict[str, tuple[Cell, ...]]  # those beside which a number stands
    reasons: dict[str, tuple[str, ...]]  # why a number is not run


def account(recipe: Recipe) -> Account:
    """Where the numbers of its paper stand in one recipe; those that others show are in neither part."""
    cells = places(recipe)
    reasons: dict[str, list[str]] = {}
    for filtered in (True, False):  # an entry without filters takes what remains
        before = set(reasons)
        for entry in recipe.not_run:
            if bool(entry.filters) != filtered:
                continue
            for row in rows_of(recipe.paper):
                if entry.takes(row) and (filtered or (row.id not in cells and row.id not in before)):
                    reasons.setdefault(row.id, []).append(entry.reason)
    return Account(cells, {key: tuple(texts) for key, texts in reasons.items()})


def places(recipe: Recipe) -> dict[str, tuple[Cell, ...]]:
    """The scores of a recipe by the id of the published number that stands beside them, in the recipe's order."""
    cells: dict[str, list[Cell]] = {}
    taken: set[tuple[int, RowsEntry, str, str]] = set()
    for study in recipe.studies:
        for entry in study.rows:
            for row, cell in stand_beside([entry], recipe.scope(study), recipe.paper):
                if row.source == row.target and cell.source != cell.target:
                    key = study.number, entry, row.id, cell.encoder
                    if key in taken:
                        continue  # a number of one language stands at the first pair of its source
                    taken.add(key)
                stands = cells.setdefault(row.id, [])
                stands += [] if cell in stands else [cell]
    return {key: tuple(stands) for key, stands in cells.items()}


def numbers_at(recipe: Recipe) -> dict[Cell, list[Row]]:
    """The published numbers that stand beside each score of a recipe."""
    rows = {row.id: row for row in rows_of(recipe.paper)}
    numbers: dict[Cell, list[Row]] = {}
    for key, cells in places(recipe).items():
        for cell in cells:
            numbers.setdefault(cell, []).append(rows[key])
    return numbers


def open_points(recipes: Sequence[Recipe]) -> list[str]:
    """A line for each number of a paper that does not stand at exactly one place, and each claim that is not kept.

    recipes: all of one paper; variants among them do not count.
    """
    counted = [recipe for recipe in recipes if not recipe.variant_of]
    accounts = [account(recipe) for recipe in counted]
    lines = []
    for row in rows_of(recipes[0].paper):
        stands = [
            f"{recipe.name}: {cell}"
            for recipe, numbers in zip(counted, accounts)
            for cell in numbers.cells.get(row.id, ())
        ]
        reasons = [
            f"{recipe.name}, not run: {reason}"
            for recipe, numbers in zip(counted, accounts)
            for reason in numbers.reasons.get(row.id, ())
        ]
        if len(stands) + len(reasons) != 1:
            lines.append(f"{row.id}: {'; '.join(stands + reasons) or 'at no score, and not listed as not run'}")
    for recipe in recipes:
        for study in recipe.studies:
            scopes = [recipe.scope(other) for other in recipe.studies if other.number == study.number]
            idle = idle_entries(study.rows, scopes, recipe.paper)
            lines += [f"{recipe.name}: study {study.name}: {line}" for line in idle]
        made, claimed = tables_made(recipe), list(recipe.tables)
        if sorted(made) != sorted(claimed):
            lines.append(f"{recipe.name}: tables: {', '.join(claimed) or 'none'}; it makes {', '.join(made) or 'none'}")
    return lines


def tables_made(recipe: Recipe) -> list[str]:
    """The tables of which a number stands beside a score, and the outputs, by name."""
    cells = places(recipe)
    tables = [row.table for row in rows_of(recipe.paper) if row.id in cells]
    return list(dict.fromkeys((*tables, *(output.name for output in recipe.outputs))))
