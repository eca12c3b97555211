"""The results of a recipe's listening tests: each test's own page, and one with the published numbers beside.

The page is recipe.html, .md and .json; published.csv has the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.corpora.demo import is_synthetic
from emobridge.errors import UserError
from emobridge.listening.results import listening_results, results_record
from emobridge.listening.settings import ResultsRequest
from emobridge.listening.study import STUDY_FILE, read_study, study_digest
from emobridge.literature.record import Published, PublishedConfusion
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
from emobridge.report.blocks import Page, Section, Table, bounds, count, number, stamp_of, stamped
from emobridge.report.listeners import ListenerCell, ListeningFindings
from emobridge.report.write import write_page
from emobridge.scores.paired import Mean
from emobridge.study.matrices import matrix_table
from emobridge.types import Score

_MATRICES = (
    "Per cent of each true emotion's answers, of all listeners of a group together; in brackets the published matrix, "
    "of other items. mono are natives, trans listeners of a second language, cross who does not know the language."
)
_QUESTIONS = (
    "Negation counts as anger and expectation as happiness, as in the paper; a question has no emotion, and the paper "
    "does not say which answer is right. Both rules are ours: neutral is right (as above), or questions are left out."
)


@dataclass(frozen=True, slots=True)
class ScoredTest:
    """A test that has answers, and what they show."""

    part: PreparedTest
    findings: ListeningFindings
    without_questions: ListeningFindings | None  # where a dialect has questions: with these left out
    lines: tuple[str, ...]  # what a terminal shows


def score_tests(
    prepared: Sequence[PreparedTest], answers: Mapping[str, Path], models: Sequence[str]
) -> Iterator[ScoredTest]:
    """Each test that has answers; its own page is in STUDY/results.

    answers: by the name of a test, the folder of its study or a table. models: as `listening results --model` has them;
    for the tests of utterances. Errors: UserError for the folder of another study.
    """
    for part in prepared:
        if part.test.name not in answers:
            continue
        answers_path = answers[part.test.name]
        is_study = (answers_path / STUDY_FILE).is_file()
        if is_study and study_digest(read_study(answers_path)) != study_digest(part.study):
            raise UserError(f"{answers_path}: holds other items than {part.folder}; expected answers to these")
        request = ResultsRequest(
            study=str(answers_path),
            items="" if is_study else str(part.folder),
            out=str(part.folder / "results"),
            model=() if part.study.wants_segment else tuple(models),
        )
        results = listening_results(request)
        has_questions = any(item.emotion == "question" for item in part.study.items)
        other = (
            results_record(replace(request, question_rule="left-out", model=())).listening if has_questions else None
        )
        yield ScoredTest(part, results.findings, other, results.lines)


def measured_scores(part: PreparedTest, findings: ListeningFindings) -> dict[ScoreKey, Score]:
    """The scores of a test that published numbers stand beside: UA of each group and corpus; with segments EDER.

    Of a group of which some know the language and others do not, those who are more: the paper has no such group.
    """
    scores = {}
    for name, language in part.languages.items():
        for cell in sorted(findings.cells, key=lambda cell: len(cell.values)):
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
    scored: Sequence[ScoredTest],
    missing: Sequence[str],
    folder: Path,
    command: str,
) -> Path:
    """Write published.csv and the page of the recipe; returns the path of recipe.html."""
    measured = {key: score for test in scored for key, score in measured_scores(test.part, test.findings).items()}
    comparison = compare_numbers(recipe, measured)
    write_comparison(folder, comparison)
    sections = comparison_sections(comparison, over="listeners")
    sections += [Section("What is missing", items=tuple(missing))] if missing else []
    matrices = [table for test in scored for table in _matrices(recipe, test.part, test.findings)]
    sections += [Section("Confusion matrices", (_MATRICES,), blocks=tuple(matrices))] if matrices else []
    dialects = [table for test in scored for table in _dialect(recipe, test)]
    sections += [Section("Questions of the dialect", (_QUESTIONS,), blocks=tuple(dialects))] if dialects else []
    sections.append(Section("Tests between groups", items=tuple(_pages(scored, folder))))
    ours = tuple(f"{choice}: {text}" for choice, text in recipe.ours)
    sections.append(Section("What the paper leaves open, and was chosen here", items=ours))
    how = (recipe.citation, "Each test has a page of its own in the folder `results` of its study.")
    sections.append(Section("How to run it again", how, code=command))
    synthetic = any(is_synthetic(item.corpus) for test in scored for item in test.part.study.items)
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


def _listeners(scored: Sequence[ScoredTest]) -> int:
    """The most listeners that any test has: they may be the same people."""
    return max((sum(not row.excluded for row in test.findings.rows) for test in scored), default=0)


def _pages(scored: Sequence[ScoredTest], folder: Path) -> Iterator[str]:
    for test in scored:
        page = (test.part.folder / "results" / "results.html").relative_to(folder).as_posix()
        kinds = Counter(pair.test for pair in test.findings.tests)
        counts = ", ".join(count(total, f"{kind} test") for kind, total in kinds.items())
        yield f"{test.part.test.name}: {counts or 'no test'}, in {page}"


def _dialect(recipe: Recipe, test: ScoredTest) -> Iterator[Table]:
    """UA of the dialect by what is right for a question, beside what is published."""
    if test.without_questions is None:
        return
    printed = {key: numbers for key, numbers in numbers_at(recipe).items() if key.study == test.part.test.name}
    rows = []
    for name, language in test.part.languages.items():
        if name not in test.part.test.request.dialect:
            continue
        for rule, findings in (("neutral", test.findings), ("left out", test.without_questions)):
            for cell in (cell for cell in findings.cells if cell.language == language):
                key = ScoreKey(test.part.test.name, cell.who, "", "", name, "", "target", "UA")
                values = ", ".join(row.printed for row in printed.get(key, ()) if isinstance(row, Published))
                mean = cell.mean
                ours = f"{number('UA', mean.value)} ({bounds('UA', mean.low, mean.high)})"
                rows.append((rule, cell.who, name, ours, values or "-"))
    yield Table("UA in per cent, with 95 % intervals over listeners.",
                ("right for a question", "who", "corpus", "measured", "published"), tuple(rows))  # fmt: skip


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
