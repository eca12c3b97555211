"""The numbers that other studies print, as records: shown beside the scores of a run, and never mixed with them.

A reader for each paper turns its CSV files, which are laid out as its tables, into rows of `Published`. Where a table
leaves something out (how many labels, which encoder), the record says "not stated" instead of guessing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache

from emobridge.languages import primary_language
from emobridge.literature import agarla2024, benchmarks, dasaro2024, goncalves2024, han2024, upadhyay2024
from emobridge.literature.record import NOT_STATED, UNDETERMINED, Published, PublishedConfusion
from emobridge.types import TOY_PREFIX

CorpusLanguage = tuple[str, str]  # name and language (BCP 47), as `Speech.corpora` has them


@cache
def published() -> tuple[Published, ...]:
    """All numbers of all tables, in the order of the tables."""
    return tuple(row for reader in _READERS for row in reader())


@cache
def published_confusions() -> tuple[PublishedConfusion, ...]:
    """All printed confusion matrices."""
    return han2024.confusions()


def applicable(
    sources: Collection[CorpusLanguage],
    targets: Collection[CorpusLanguage],
    labels: Collection[str],
    target_labels: str,
    *,
    sides: Collection[str] = ("target",),
    unstated: bool = False,
) -> tuple[Published, ...]:
    """The numbers that a report of such a run should show, those of the same label budget first.

    They are of the run's corpora and label set: all of its targets are among theirs, and one of its sources at least;
    where a table does not name its source, that is in the same language. What was measured on other speech of the same
    language is not shown. A run of attributes passes ATTRIBUTES as labels. Rows of budgets "0" and "all" are shown with
    every run, as its bounds, and few-shot rows with the budgets between. sides: which scored sides to show. unstated:
    whether rows of an unstated budget are shown. Error rates of diarization never are.
    """
    emotions = set(labels)
    budget = _kind_of_budget(target_labels)
    rows = [
        row
        for row in published()
        if row.side in sides
        and targets
        and all(_is_of(row.target, row.target_language, corpus) for corpus in targets)
        and any(_is_of(row.source, row.source_language, corpus) for corpus in sources)
        and set(row.labels) == emotions
        and _kind_of_budget(row.target_labels) in ("0", "all", budget, *([NOT_STATED] if unstated else []))
        and row.measure != "EDER"
    ]
    return tuple(sorted(rows, key=lambda row: _kind_of_budget(row.target_labels) != budget))


def _kind_of_budget(amount: str) -> str:
    return amount if amount in ("0", "all", NOT_STATED) else "few"


def _is_of(names: str, language: str, corpus: CorpusLanguage) -> bool:
    """Whether a corpus is one of those that a table names; where it names none, whether the language is the same.

    A corpus that says another language than the table has is another corpus of the same name.
    """
    name, spoken = corpus[0], primary_language(corpus[1])
    if names == NOT_STATED:
        return spoken == primary_language(language)
    return corpus_key(name) in corpus_keys(names) and spoken in (UNDETERMINED, primary_language(language))


def corpus_key(name: str) -> str:
    """A corpus by its letters and digits alone.

    What `recipe run --toy` fabricates in the place of a corpus has its key too: its pages, which say SYNTHETIC before
    every table, are filled as those of the corpus would be.

    >>> corpus_key("EMO-DB"), corpus_key("emodb"), corpus_key("toy-emodb")
    ('emodb', 'emodb', 'emodb')
    """
    return "".join(character for character in name.removeprefix(TOY_PREFIX).casefold() if character.isalnum())


def corpus_keys(names: str) -> frozenset[str]:
    """The keys of corpora whose names are joined by "+"."""
    return frozenset(map(corpus_key, names.split("+")))


def numbers_of(study: str) -> tuple[Published | PublishedConfusion, ...]:
    """The numbers and the confusion matrices of one study."""
    rows: tuple[Published | PublishedConfusion, ...] = (*published(), *published_confusions())
    return tuple(row for row in rows if row.study == study)


_READERS: tuple[Callable[[], Iterator[Published]], ...] = (
    agarla2024.read_agarla,
    dasaro2024.read_dasaro,
    goncalves2024.read_goncalves,
    han2024.read_han,
    upadhyay2024.read_upadhyay,
    benchmarks.read_emobox,
    benchmarks.read_cameo,
    benchmarks.read_anchors,
)
