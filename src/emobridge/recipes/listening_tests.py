"""Listening tests of a recipe: in its file [listening] has what they share, and a [[study]] is one test.

listeners              native languages of the groups, BCP 47
corpora                of the recipe, that items are drawn from
all else               options of `listening new`
[[rules]]              who takes part, for all tests of the recipe: as in a file of `listening new --rules`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from emobridge.errors import UserError, unknown
from emobridge.listening.making import RulesFile
from emobridge.listening.questions import QUESTIONS, RULES, known_tag
from emobridge.listening.settings import NewStudy
from emobridge.listening.study import check_questions, rules_of
from emobridge.recipes.rows import RowsEntry, Scope, read_rows
from emobridge.settings import flat_values, from_mapping, options_of_record

NOT_IN_RECIPES = ("manifests", "out", "rules", "exclude", "exclude_speakers", "name")  # of `listening new`


@dataclass(frozen=True, slots=True)
class ListeningTest:
    """One listening test of a recipe."""

    name: str
    request: NewStudy  # its manifests are names of corpora
    listeners: tuple[str, ...]
    rows: tuple[RowsEntry, ...] = ()
    number: int = 0  # of the [[study]] in the file
    unstated: tuple[str, ...] = ()  # options that the recipe does not state, which have their defaults

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora that it plays, by their names in the recipe."""
        return self.request.manifests

    @property
    def scored(self) -> tuple[str, ...]:
        """The groups of listeners, as published rows name them."""
        return tuple(f"listeners, native {tag}" for tag in self.listeners)

    def scope(self, measures: tuple[str, ...]) -> Scope:
        """What it scores, by what published numbers are compared by: each group on each corpus."""
        encoders = dict.fromkeys(self.scored, ("",))
        return Scope(self.name, encoders, (), self.corpora, (), (), measures, is_heard=True)


def read_listening_test(values: Mapping[str, Any], where: str, number: int, paper: str) -> ListeningTest:
    """A test from the values of its [[study]] and of [listening]. Errors: UserError that begins with `where`."""
    values = dict(values)
    name, rows = values.pop("name", ""), values.pop("rows", [])
    corpora, listeners = (_words(values.pop(key, None), f"{where}: {key}") for key in ("corpora", "listeners"))
    for key in NOT_IN_RECIPES:
        if key in values:
            raise UserError(f"{where}: {key}: is no setting of a recipe's listening test")
    try:
        for tag in listeners:
            known_tag(tag)
        request = from_mapping({**values, "manifests": list(corpora), "out": name}, where, NewStudy)
        for corpus in request.dialect:
            if corpus not in corpora:
                raise UserError(f"dialect: {unknown('corpus', corpus, corpora)}")
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
    options = options_of_record(NewStudy)
    unstated = tuple(option for option in options if option not in (*values, *NOT_IN_RECIPES))
    test = ListeningTest(name, request, listeners, number=number, unstated=unstated)
    return replace(test, rows=read_rows(where, rows, paper, test.scored))


def values_of_test(test: ListeningTest) -> dict[str, Any]:
    """What defines a test, as a recipe states it."""
    values = {key: value for key, value in flat_values(test.request).items() if key not in NOT_IN_RECIPES}
    return {"corpora": test.corpora, "listeners": test.listeners, **values}


def read_recipe_rules(values: Any, where: str) -> RulesFile:
    """The [[rules]] of a recipe; without any the usual ones. Errors: UserError that begins with `where`."""
    rules = RULES if values is None else rules_of(values, where)
    check_questions(QUESTIONS, rules, where)
    return RulesFile(rules=rules)


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise UserError(f"{where}: expected a list of words, got {value!r}")
    if len(set(value)) < len(value):
        raise UserError(f"{where}: {', '.join(value)} names one twice")
    return tuple(value)
