"""A recipe of listening tests on this machine: its studies with their items, and what people must do then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.errors import UserError
from emobridge.listening.making import make_study, session_minutes, summary_lines
from emobridge.listening.records import ListeningStudy
from emobridge.recipes.grids import corpus_names
from emobridge.recipes.listening_tests import ListeningTest
from emobridge.recipes.recipe import Recipe
from emobridge.recipes.replication import Available

_Skip = Callable[[str, str], None]
ITEMS_FOLDER = "items"  # of manifests of what is played, a corpus each


@dataclass(frozen=True, slots=True)
class PreparedTest:
    """A listening test whose study is written."""

    test: ListeningTest
    folder: Path  # of the study
    study: ListeningStudy
    manifests: Mapping[str, str]  # by the recipe's name of a corpus

    @property
    def languages(self) -> dict[str, str]:
        """The language of each corpus's items, by the recipe's name of the corpus."""
        by_corpus = {item.corpus: item.language for item in self.study.items if item.kind == "item"}
        names = {name: next(iter(read_manifest(path))).corpus for name, path in self.manifests.items()}
        return {name: by_corpus[corpus] for name, corpus in names.items() if corpus in by_corpus}


def prepare_tests(
    recipe: Recipe, corpora: Available, out: Path, *, on_skip: _Skip | None = None
) -> tuple[list[PreparedTest], list[str]]:
    """Write the study of each test whose corpora are here into `out`/NAME; and a line for each thing that is missing.

    A test goes on without some of its corpora. on_skip: as of `make_study`; without it what cannot be made is an error.
    """
    missing = dict(corpora.missing)
    paths = dict(corpora.paths) | dict(corpora.items)
    prepared, lines = [], list(missing.values())
    for test in recipe.listening:
        manifests = {name: paths[name] for name in test.corpora if name in paths}
        absent = [name for name in test.corpora if name not in paths]
        if not manifests:
            lines.append(f"study {test.name}: none of its corpora is here")
            continue
        if absent:
            lines.append(f"study {test.name}: without {', '.join(absent)}, whose published numbers have no score")
        try:
            prepared.append(_prepare(recipe, test, manifests, out, on_skip))
        except UserError as error:
            if on_skip is None:
                raise
            lines.append(f"study {test.name}: {error}")
    return prepared, lines


def _prepare(
    recipe: Recipe, test: ListeningTest, manifests: Mapping[str, str], out: Path, on_skip: _Skip | None
) -> PreparedTest:
    folder = out / test.name
    request = replace(
        test.request,
        manifests=tuple(manifests.values()),
        out=str(folder),
        name=f"{recipe.name} {test.name}",
        dialect=corpus_names(test.request.dialect, tuple(manifests), manifests),
    )
    study = make_study(request, recipe.rules, on_skip=on_skip)
    _write_manifests(study, manifests, out / ITEMS_FOLDER)
    return PreparedTest(test, folder, study, manifests)


def _write_manifests(study: ListeningStudy, manifests: Mapping[str, str], folder: Path) -> None:
    """Write what is played of each corpus as NAME-items.jsonl, for models; with segments also NAME-reference.jsonl.

    Items of a test of segments are whole recordings, and the reference has the stretches in which emotions are heard.
    """
    played = {(item.corpus, item.utterance) for item in study.items if item.kind == "item"}
    for name, path in manifests.items():
        rows = [row for row in read_manifest(path) if (row.corpus, row.id) in played]
        if study.wants_segment:
            write_manifest(folder / f"{name}-reference.jsonl", rows)
            rows = [replace(row, start=0.0, end=None) for row in rows]
        write_manifest(folder / f"{name}-items.jsonl", rows)


def request_lines(prepared: Sequence[PreparedTest]) -> Iterator[str]:
    """What was drawn for each test, and what needs people."""
    for part in prepared:
        yield f"{part.folder}: {part.test.name}, about {session_minutes(part.study):.0f} min a listener"
        yield from (f"  {line}" for line in summary_lines(part.study, part.folder))
    folders = " ".join(str(part.folder) for part in prepared)
    yield f"Nobody has answered yet, and no number stands beside the published ones: people must listen ({folders})."
    yield "Run the same command again when they have: it reads answers.sqlite of each study, or --answers NAME=TABLE."


def estimate_lines(recipe: Recipe, corpora: Available) -> Iterator[str]:
    """What would be drawn, without a look at any recording."""
    here = dict(corpora.paths) | dict(corpora.items)
    for test in recipe.listening:
        names = [name for name in test.corpora if name in here]
        yield (
            f"{recipe.name} {test.name}: {test.request.count} items of each emotion "
            f"({', '.join(test.request.emotions)}) from {', '.join(names) or 'no corpus that is here'}; "
            "answers need people"
        )
