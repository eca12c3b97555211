"""The account of published numbers: each stands beside exactly one score of a paper's recipes, or is listed as not run.

The recipes of one paper share its numbers. A variant shows them beside its scores, and does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emobridge.literature.published import numbers_of
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.rows import PublishedRow, RowsEntry, ScoreKey, idle_entries, stand_beside


@dataclass(frozen=True, slots=True)
class Account:
    """By the ids of a paper's numbers."""

    cells: dict[str, tuple[ScoreKey, ...]]  # those beside which a number stands
    reasons: dict[str, tuple[str, ...]]  # why a number is not run


def account(recipe: Recipe) -> Account:
    """Where the numbers of its paper stand in one recipe; those that others show are in neither part."""
    cells = scores_by_number(recipe)
    reasons: dict[str, list[str]] = {}
    for filtered in (True, False):  # an entry without filters takes what remains
        before = set(reasons)
        for entry in recipe.not_run:
            if bool(entry.filters) != filtered:
                continue
            for row in numbers_of(recipe.paper):
                if entry.takes(row) and (filtered or (row.id not in cells and row.id not in before)):
                    reasons.setdefault(row.id, []).append(entry.reason)
    return Account(cells, {key: tuple(texts) for key, texts in reasons.items()})


def scores_by_number(recipe: Recipe) -> dict[str, tuple[ScoreKey, ...]]:
    """The scores of a recipe by the id of the published number that stands beside them, in the recipe's order."""
    cells: dict[str, list[ScoreKey]] = {}
    taken: set[tuple[int, RowsEntry, str, str]] = set()
    for study in recipe.accounted:
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


def numbers_at(recipe: Recipe) -> dict[ScoreKey, list[PublishedRow]]:
    """The published numbers that stand beside each score of a recipe."""
    rows = {row.id: row for row in numbers_of(recipe.paper)}
    numbers: dict[ScoreKey, list[PublishedRow]] = {}
    for key, cells in scores_by_number(recipe).items():
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
    for row in numbers_of(recipes[0].paper):
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
        for study in recipe.accounted:
            scopes = [recipe.scope(other) for other in recipe.accounted if other.number == study.number]
            idle = idle_entries(study.rows, scopes, recipe.paper)
            lines += [f"{recipe.name}: study {study.name}: {line}" for line in idle]
        made, claimed = tables_made(recipe), list(recipe.tables)
        if sorted(made) != sorted(claimed):
            lines.append(f"{recipe.name}: tables: {', '.join(claimed) or 'none'}; it makes {', '.join(made) or 'none'}")
    return lines


def table_lines(recipes: Sequence[Recipe]) -> list[str]:
    """A Markdown table of recipe x table x numbers: how many stand beside a score, how many are not run, and why.

    recipes: all of one paper.
    """
    lines = []
    for recipe in recipes:
        numbers, rows = account(recipe), numbers_of(recipe.paper)
        variant = f" (as in {recipe.variant_of}, not counted)" if recipe.variant_of else ""
        for table in dict.fromkeys(row.table for row in rows):
            inside = [row for row in rows if row.table == table]
            shown = sum(row.id in numbers.cells for row in inside)
            reasons = Counter(numbers.reasons[row.id][0] for row in inside if row.id in numbers.reasons)
            if shown or reasons:
                why = "; ".join(f"{n}: {reason}" for reason, n in reasons.items()) or "-"
                skipped = reasons.total()
                lines.append(f"| {recipe.name}{variant} | {table} | {len(inside)} | {shown} | {skipped} | {why} |")
        lines += [f"| {recipe.name} | {output.name} | - | {output.files} | - | - |" for output in recipe.outputs]
    head = ["| recipe | table | numbers | beside a score | not run | why |", "|---|---|---|---|---|---|"]
    return [*head, *lines] if lines else []


def output_lines(recipe: Recipe, folder: Path) -> tuple[list[str], list[str]]:
    """Where the outputs of a recipe stand in the folder of a run, and a line for each that no file holds."""
    made, missing = [], []
    for output in recipe.outputs:
        files = [
            path for path in sorted(folder.glob(output.files)) if output.holds in path.read_text("utf-8", "ignore")
        ]
        if files:
            names = ", ".join(path.relative_to(folder).as_posix() for path in files)
            made.append(f"{output.name}: {names} ({output.holds})")
        else:
            missing.append(f"{output.name}: no {output.files} that holds {output.holds!r} is there")
    return made, missing


def tables_made(recipe: Recipe) -> list[str]:
    """The tables of which a number stands beside a score, and the outputs, by name."""
    cells = scores_by_number(recipe)
    tables = [row.table for row in numbers_of(recipe.paper) if row.id in cells]
    return list(dict.fromkeys((*tables, *(output.name for output in recipe.outputs))))
