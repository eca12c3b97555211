"""`recipe run` of a recipe of listening tests: it draws items, and lays published numbers beside people's answers."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobridge.cli.requests import check_folder
from emobridge.errors import UserError, unknown

if TYPE_CHECKING:
    from emobridge.recipes.listening_run import PreparedTest
    from emobridge.recipes.recipe import Recipe

USELESS = ("only", "encoders", "encoder", "items", "seeds", "epochs", "cluster", "other_sizes")  # for people


def run_listening_recipe(
    recipe: Recipe, request: Any, corpus_paths: Mapping[str, Path], out: Path, strict: bool
) -> None:
    """Write the studies of a recipe into `out`; with answers score them and lay the published numbers beside.

    corpus_paths: the folder or manifest of each corpus.
    """
    from emobridge.progress import report_skipped
    from emobridge.recipes.listening_run import estimate_lines, prepare_tests, request_lines
    from emobridge.recipes.replication import find_corpora

    check_folder("--out", out)
    skipped: list[tuple[str, str]] = []
    on_skip = None if strict else lambda name, reason: skipped.append((name, reason))
    with tempfile.TemporaryDirectory() as scratch:
        corpora = find_corpora(recipe, corpus_paths, Path(scratch) if request.dry_run else out / "manifests")
        if request.dry_run:
            print("\n".join([*(f"missing: {line}" for _, line in corpora.missing), *estimate_lines(recipe, corpora)]))
            return
        prepared, missing = prepare_tests(recipe, corpora, out, on_skip=on_skip)
    report_skipped(skipped)
    for line in missing:
        print(f"missing: {line}", file=sys.stderr, flush=True)
    if not prepared:
        more = f"; and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"recipe {recipe.name}: nothing can run: {missing[0].rstrip('.')}{more}")
    answers = _simulated(prepared) if request.toy else _answers(prepared, request.answers)
    if not answers:
        print("\n".join(request_lines(prepared)))
        return
    waiting = [part for part in prepared if part.test.name not in answers]
    missing += [f"study {part.test.name}: nobody has answered yet; serve {part.folder}" for part in waiting]
    _report(recipe, request, prepared, answers, missing, out)


def _report(
    recipe: Recipe,
    request: Any,
    prepared: list[PreparedTest],
    answers: Mapping[str, Path],
    missing: list[str],
    out: Path,
) -> None:
    from emobridge.recipes.listening_report import score_tests, write_listening_page
    from emobridge.recipes.toy import LISTENERS_NOTE

    if request.toy:
        print(LISTENERS_NOTE, flush=True)
        missing = [LISTENERS_NOTE, *missing]
    scored = []
    for test in score_tests(prepared, answers, request.models):
        print("\n".join(test.lines), flush=True)
        scored.append(test)
    page = write_listening_page(recipe, scored, missing, out, shlex.join(["emobridge", *sys.argv[1:]]))
    print(f"table: {out / 'published.csv'}\nsummary: {page}")


def _simulated(prepared: list[PreparedTest]) -> dict[str, Path]:
    """Answers of simulated listeners to each test, as tables."""
    from emobridge.recipes.toy_listeners import write_answers

    return {
        part.test.name: write_answers(part.folder / "simulated.csv", part.study, part.test.listeners)
        for part in prepared
    }


def _answers(prepared: list[PreparedTest], pairs: list[str]) -> dict[str, Path]:
    """Where the answers to each test are: as --answers says, or in the study's folder if people were there.

    Errors: UserError for an unknown test, and for a place that does not exist.
    """
    from emobridge.listening.study import ANSWERS_FILE

    folders = {part.test.name: part.folder for part in prepared}
    answers = {name: folder for name, folder in folders.items() if (folder / ANSWERS_FILE).exists()}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not path:
            raise UserError(f"--answers {pair!r}: expected STUDY=FOLDER, or STUDY=TABLE")
        if name not in folders:
            raise UserError(f"--answers: {unknown('study', name, folders)}")
        answers_path = Path(path).expanduser()
        if not answers_path.exists():
            raise UserError(f"--answers: {answers_path}: no such folder or table")
        answers[name] = answers_path
    return answers


def refuse_flags_of_models(recipe: Recipe, request: Any) -> None:
    """Errors: UserError for an option that does nothing with a recipe of people, or only with one."""
    if recipe.listening:
        for flag in USELESS:
            if getattr(request, flag):
                raise UserError(f"--{flag.replace('_', '-')}: does nothing with a recipe of listening tests")
        for flag in ("answers", "models"):
            if request.toy and getattr(request, flag):
                raise UserError(f"--{flag}: does nothing with --toy, which simulates listeners")
        return
    for flag in ("answers", "models"):
        if getattr(request, flag):
            raise UserError(f"--{flag}: does nothing with recipe {recipe.name}, which has no listening test")
