"""Published numbers against measured ones: the finding of a recipe's page, its picture, and what was not run.

A published number is reproduced where it lies within the 95 % interval of the score that it stands beside. An interval
is over the speakers who were scored, so that a wide one reproduces much; the table shows it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.files import write_cells
from emobridge.literature.published import numbers_of
from emobridge.literature.record import Published
from emobridge.probe.pairs import SETTING_MEANINGS
from emobridge.recipes.accounting import account
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.rows import ScoreKey
from emobridge.recipes.stars import StarRule, star, star_words
from emobridge.report.agreement import ComparedPoint, agreement_plot
from emobridge.report.blocks import Section, Table, bounds, count, figure, number
from emobridge.scores.measures.base import measure_of
from emobridge.types import Score

WITHIN, ABOVE, BELOW, OPEN = "within", "ours is higher", "ours is lower", "no interval"
PLAIN, UNWEIGHTED = "WA", "UA"
NO_SCORE = "no score in this run: a corpus, an encoder or a grid is missing, or left out"
_EXPLANATION = (
    "Each published number beside the score of ours that it stands beside: same corpora, encoder, labels, scored side, "
    "measure and number of target labels, as far as the paper states them. Reproduced: the published value lies within "
    "the 95 % interval of ours (over {over}; wide where they are few). Stars are the paper's."
)


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One published number, and the score that it stands beside. Values are in [0, 1]; CCC in [-1, 1]."""

    id: str
    table: str
    method: str  # as printed
    study: str
    system: str
    encoder: str
    source: str
    target: str
    target_labels: str
    side: str
    measure: str  # ours
    printed: str  # with the paper's decimals and stars
    published: float
    measured: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances
    verdict: str
    our_stars: str
    ua: float  # beside a plain accuracy; NaN elsewhere
    note: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All numbers of a recipe's paper that this run accounts for."""

    rows: tuple[ComparedRow, ...]
    not_run: tuple[tuple[str, str, int], ...]  # a table, a reason, and how many of its numbers
    stars: StarRule | None = None

    @property
    def verdicts(self) -> Counter[str]:
        """How many rows have each verdict."""
        return Counter(row.verdict for row in self.rows)


NOTHING_COMPARED = Comparison((), ())


def compare_numbers(
    recipe: Recipe, measured: Mapping[ScoreKey, Score], seeds: Mapping[ScoreKey, Sequence[float]] | None = None
) -> Comparison:
    """The published numbers beside the scores of a run, and the others by the reason for which they are not run.

    seeds: the values of each seed, for stars. Numbers that another recipe of the paper shows, or that --only left out,
    are of no concern here.
    """
    accounts = account(recipe)
    rows, missing = [], Counter[tuple[str, str]]()
    for row in numbers_of(recipe.paper):
        reasons = accounts.reasons.get(row.id, ())
        missing.update((row.table, reason) for reason in reasons[:1])
        for cell in accounts.cells.get(row.id, ()):
            score = measured.get(cell)
            if not isinstance(row, Published):
                continue
            if score is None:
                missing[row.table, NO_SCORE] += 1
            else:
                rows.append(_compared(row, cell, score, measured))
    if recipe.stars:
        rows = _starred(recipe.stars, rows, seeds or {})
    return Comparison(tuple(rows), tuple((table, reason, n) for (table, reason), n in missing.items()), recipe.stars)


def _starred(
    rule: StarRule, rows: Sequence[ComparedRow], seeds: Mapping[ScoreKey, Sequence[float]]
) -> list[ComparedRow]:
    """The rows with marks against the row of the reference that has the same table, encoder, corpora and measure."""

    def values(row: ComparedRow) -> Sequence[float]:
        key = ScoreKey(row.study, row.system, row.encoder, row.source, row.target, row.target_labels, row.side,
                       row.measure)  # fmt: skip
        return seeds.get(key, ())

    def compared_with(row: ComparedRow) -> tuple[str, ...]:
        return row.table, row.encoder, row.source, row.target, row.side, row.measure

    reference = {compared_with(row): values(row) for row in rows if row.method == rule.against}
    return [
        row
        if row.method == rule.against
        else replace(row, our_stars=star(rule, values(row), reference.get(compared_with(row), ())))
        for row in rows
    ]


def _compared(row: Published, cell: ScoreKey, score: Score, measured: Mapping[ScoreKey, Score]) -> ComparedRow:
    published = round(row.value / measure_of(cell.measure).scale, 6)  # 78.87 / 100 is not 0.7887
    verdict = WITHIN if score.low <= published <= score.high else ABOVE if score.low > published else BELOW
    beside = measured.get(replace(cell, measure=UNWEIGHTED)) if cell.measure == PLAIN else None
    return ComparedRow(
        id=row.id, table=row.table, method=row.method, study=cell.study, system=cell.system, encoder=cell.encoder,
        source=cell.source, target=cell.target, target_labels=cell.budget, side=cell.side, measure=cell.measure,
        printed=row.printed + row.stars, published=published, measured=score.value, low=score.low, high=score.high,
        n=score.n, verdict=OPEN if score.low != score.low else verdict, our_stars="",
        ua=beside.value if beside else float("nan"), note=row.note,
    )  # fmt: skip


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write published.csv: a row a published number that has a score beside it."""
    write_cells(folder / "published.csv", comparison.rows, ComparedRow)


def published_finding(comparison: Comparison) -> str:
    """The first sentences of a page; "" where the paper has no number that is stored."""
    verdicts, skipped = comparison.verdicts, Counter[str]()
    for _, reason, n in comparison.not_run:
        skipped[reason] += n
    if not comparison.rows and not skipped:
        return ""
    parts = [f"{count(len(comparison.rows), 'published number')} {_has(len(comparison.rows))} a score of ours beside"]
    if comparison.rows:
        parts[0] += (
            f": {verdicts[WITHIN]} reproduced (within the 95 % interval of ours), in {verdicts[ABOVE]} ours is higher, "
            f"in {verdicts[BELOW]} lower"
        )
        parts[0] += f", {verdicts[OPEN]} without an interval" if verdicts[OPEN] else ""
    total = sum(skipped.values())
    if total:
        absent = skipped.pop(NO_SCORE, 0)
        why = [f"{absent} have no score in this run"] if absent else []
        why += [f"{n}: {reason}" for reason, n in skipped.items()]
        parts.append(f"{total} {'is' if total == 1 else 'are'} not run ({'; '.join(why)})")
    return ". ".join(parts) + "."


def comparison_sections(comparison: Comparison, over: str = "speakers") -> list[Section]:
    """The picture over its table, then what was not run; each where there is something to show.

    over: whom intervals are over.
    """
    sections = []
    if comparison.rows:
        points = [
            ComparedPoint(
                ", ".join(filter(None, (row.table, row.encoder))),
                row.measure,
                row.published,
                row.measured,
                row.low,
                row.high,
            )
            for row in comparison.rows
        ]
        svg = agreement_plot(points, title="Published values against measured ones")
        marked = any(row.our_stars for row in comparison.rows)
        words = (_EXPLANATION.format(over=over), *star_words(comparison.stars, marked=marked))
        words += setting_words(row.note for row in comparison.rows)
        drawn = figure(svg, _table(comparison.rows), "published")
        sections.append(Section("Published against measured", words, blocks=(drawn,)))
    if comparison.not_run:
        items = tuple(f"{table}, {count(n, 'number')}: {reason}" for table, reason, n in comparison.not_run)
        sections.append(Section("Published, and not run", items=items))
    return sections


def figures_section(made: Sequence[str]) -> tuple[Section, ...]:
    """Where the figures of the paper stand, and its tables that have no stored numbers."""
    return (Section("Figures of the paper", items=tuple(made)),) if made else ()


def setting_words(texts: Iterable[str]) -> tuple[str, ...]:
    """What mono, trans and cross mean, for a section in which one of them stands; () where none does."""
    settings = {"mono", "trans", "cross"} & {word for text in texts for word in re.findall(r"[a-z]+", text)}
    meanings = (f"{name}: {SETTING_MEANINGS[name]}." for name in SETTING_MEANINGS if name in settings)
    return (f"Settings. {' '.join(meanings)}",) if settings else ()


def _table(rows: Sequence[ComparedRow]) -> Table:
    lines = tuple(
        (
            row.table, row.method, ", ".join(filter(None, (row.study, row.system, row.encoder))),
            " > ".join(dict.fromkeys(filter(None, (row.source, row.target)))),
            row.target_labels, row.side, row.measure, row.printed,
            f"{number(row.measure, row.measured)} ({bounds(row.measure, row.low, row.high)})",
            row.our_stars, "" if row.ua != row.ua else number(UNWEIGHTED, row.ua), row.verdict, row.note,
        )
        for row in rows
    )  # fmt: skip
    columns = (
        "table", "printed method", "beside", "corpora", "target labels", "side", "measure", "published", "measured",
        "stars", "UA", "published is within the interval", "what differs",
    )  # fmt: skip
    scales = ((True, "in per cent"), (False, "in [-1, 1]"))
    units = [
        f"{', '.join(names)} {text}"
        for shares, text in scales
        if (names := list(dict.fromkeys(row.measure for row in rows if bool(measure_of(row.measure).unit) == shares)))
    ]
    return Table(f"Published and measured: {'; '.join(units)}, with 95 % intervals.", columns, lines)


def _has(n: int) -> str:
    return "has" if n == 1 else "have"
