"""The results of a recipe's listening tests: each test's own page, and one with the published numbers beside.

The page is recipe.html, .md and .json; published.csv has the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.listening.results import listening_results
from emobridge.listening.settings import ResultsRequest
from emobridge.literature.record import PublishedConfusion
from emobridge.recipes.accounting import numbers_at
from emobridge.recipes.comparison import (
    compare_numbers,
    comparison_sections,
    published_finding,
    write_comparison,
)
from emobridge.recipes.listening_run import PreparedTest
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.rows import CONFUSION, ScoreKey
from emobridge.report.blocks import Page, Section, Table, count, stamp_of, stamped
from emobridge.report.listeners import ListenerCell, ListeningFindings
from emobridge.report.write import write_page
from emobridge.scores.paired import Mean
from emobridge.study.matrices import matrix_table
from emobridge.types import Score

_MATRICES = (
    "Per cent of each true emotion's answers, of all listeners of a group together; in brackets the published matrix, "
    "of other items. mono are natives, trans listeners of a second language, cross who does not know the language."
)


def score_tests(
    prepared: Sequence[PreparedTest], answers: Mapping[str, Path], models: Sequence[str]
) -> Iterator[tuple[PreparedTest, ListeningFindings, tuple[str, ...]]]:
    """Each test that has answers, with its findings and the lines that say them; its page is in STUDY/results.

    answers: by the name of a test, the folder of its study or a table. models: as `listening results --model` has them;
    for the tests of utterances.
    """
    for part in prepared:
        if part.test.name not in answers:
            continue
        place = answers[part.test.name]
        is_study = place == part.folder
        request = ResultsRequest(
            study=str(place),
            items="" if is_study else str(part.folder),
            out=str(part.folder / "results"),
            model=() if part.study.wants_segment else tuple(models),
        )
        results = listening_results(request)
        yield part, results.findings, results.lines


def measured_scores(part: PreparedTest, findings: ListeningFindings) -> dict[ScoreKey, Score]:
    """The scores of a test that published numbers stand beside: UA of each group and corpus; with segments EDER."""
    scores = {}
    for name, language in part.languages.items():
        for cell in findings.cells:
            if cell.language == language:
                for measure, mean in _means(part, cell):
                    key = ScoreKey(part.test.name, cell.who, "", "", name, "", "target", measure)
                    scores[key] = _score(cell, measure, mean)
    return scores


def _means(part: PreparedTest, cell: ListenerCell) -> Iterator[tuple[str, Mean]]:
    if not part.study.wants_segment:
        yield "UA", cell.mean
    elif cell.marks is not None:
        yield "EDER", cell.marks.eder
        yield from ((f"EDER {emotion}", mean) for emotion, mean in cell.marks.by_emotion)


def _score(cell: ListenerCell, measure: str, mean: Mean) -> Score:
    return Score(
        run="listening", method=cell.who, encoder="", layer="", normalisation="", source="", target=cell.language,
        target_labels="", seed="all", split="items of the listening test", side="target", measure=measure,
        labels=",".join(cell.labels), value=mean.value, low=mean.low, high=mean.high, n=cell.items,
        setting=cell.setting,
    )  # fmt: skip


def write_listening_page(
    recipe: Recipe,
    scored: Sequence[tuple[PreparedTest, ListeningFindings]],
    missing: Sequence[str],
    folder: Path,
    command: str,
) -> Path:
    """Write published.csv and the page of the recipe; returns the path of recipe.html."""
    measured = {key: score for part, findings in scored for key, score in measured_scores(part, findings).items()}
    comparison = compare_numbers(recipe, measured)
    write_comparison(folder, comparison)
    sections = comparison_sections(comparison, over="listeners")
    sections += [Section("What is missing", items=tuple(missing))] if missing else []
    matrices = [table for part, findings in scored for table in _matrices(recipe, part, findings)]
    sections += [Section("Confusion matrices", (_MATRICES,), blocks=tuple(matrices))] if matrices else []
    sections.append(Section("Tests between groups", items=tuple(_pages(scored, folder))))
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections.append(Section("What the paper leaves open, and was chosen here", items=ours))
    how = (recipe.citation, "Each test has a page of its own in the folder `results` of its study.")
    sections.append(Section("How to run it again", how, code=command))
    synthetic = any(is_synthetic(item.corpus) for part, _ in scored for item in part.study.items)
    stamp = stamp_of(synthetic, False)
    lead = f"{count(len(scored), 'listening test')}, {count(_listeners(scored), 'listener')}."
    words = ("SYNTHETIC speech, simulated listeners." if synthetic else "", published_finding(comparison), lead)
    page = Page(
        f"{recipe.name}: {recipe.paper}",
        "; ".join((", ".join(recipe.tables), recipe.measure)),
        " ".join(filter(None, words)),
        (),
        stamped(sections, stamp) if stamp else tuple(sections),
    )
    return write_page(folder, "recipe", page, {"command": command})


def _listeners(scored: Sequence[tuple[PreparedTest, ListeningFindings]]) -> int:
    """The most listeners that any test has: they may be the same people."""
    return max((sum(not row.excluded for row in findings.rows) for _, findings in scored), default=0)


def _pages(scored: Sequence[tuple[PreparedTest, ListeningFindings]], folder: Path) -> Iterator[str]:
    for part, findings in scored:
        page = (part.folder / "results" / "results.html").relative_to(folder).as_posix()
        kinds = Counter(test.test for test in findings.tests)
        tests = ", ".join(count(number, f"{kind} test") for kind, number in kinds.items())
        yield f"{part.test.name}: {tests or 'no test'}, in {page}"


def _matrices(recipe: Recipe, part: PreparedTest, findings: ListeningFindings) -> Iterator[Table]:
    """The matrix of each group and corpus beside which a published one stands."""
    numbers = numbers_at(recipe)
    for name, language in part.languages.items():
        for cell in (cell for cell in findings.cells if cell.language == language):
            key = ScoreKey(part.test.name, cell.who, "", "", name, "", "target", CONFUSION)
            for matrix in numbers.get(key, ()):
                if isinstance(matrix, PublishedConfusion):
                    printed = f"published: listeners, native {matrix.native}, {matrix.setting}"
                    title = f"{cell.who} on {name} ({cell.setting or 'language not told'}) [{printed}]."
                    yield matrix_table(title, _counts(cell), matrix)


def _counts(cell: ListenerCell) -> dict[tuple[str, str], int]:
    return {
        (true, answer): cell.counts[row][column]
        for row, true in enumerate(cell.labels)
        for column, answer in enumerate(cell.labels)
    }
