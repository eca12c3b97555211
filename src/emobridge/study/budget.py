"""Methods x label budgets x normalisations on one pair of languages: what the n-th labelled utterance is worth.

Everything that the cells share is done once: the features, the choice of a layer and, for each seed, the folds. A
finished fit is written down, so that a grid which was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge import registry
from emobridge.data.speech import UNLABELLED, Speech, largest_budget
from emobridge.errors import UserError, unknown
from emobridge.methods.base import BASELINE
from emobridge.options import options_of, read_options
from emobridge.progress import progress
from emobridge.settings import CHOICES, Settings
from emobridge.study.adapt import Prepared, dropping, guarded, prepare, with_head
from emobridge.study.run import Predicted, made_method
from emobridge.study.workers import Bench, Unit, run_units
from emobridge.training.cost import Cost, costs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """What `budget` is asked to do.

    base: what all cells share; its method, target labels and normalisation mean nothing here. Options of a method or a
    head are given to each that has them. Errors: UserError for an empty list, a word that stands twice, or an unknown
    one, and for attributes.
    """

    base: Settings
    methods: tuple[str, ...] = ("soft-pseudo-labels",)  # as `adapt`; the baseline is run in any case
    budgets: tuple[str, ...] = ("0", "25", "50", "100", "all")  # numbers of labelled target utterances, and "all"
    normalise: tuple[str, ...] = ("speaker",)
    jobs: int = 1  # processes
    subsets: int = 0  # of the test utterances, by which Welch's test compares systems; 0 makes none
    kept: str = ""  # folder where methods, and other grids, find the stages that they begin with; "" is of this grid

    def __post_init__(self) -> None:
        for word in self.budgets:
            if word != "all" and not (word.isascii() and word.isdecimal()):
                raise UserError(f"budgets: expected numbers or 'all', by comma, got {word!r}")
        for key, words in (
            ("methods", self.methods),
            ("budgets", tuple(word if word == "all" else str(int(word)) for word in self.budgets)),
            ("normalise", self.normalise),
        ):
            if not words:
                raise UserError(f"{key}: expected at least one")
            for word in words:
                if words.count(word) > 1:
                    raise UserError(f"{key}: {word} stands twice")
        for word in self.normalise:
            if word not in CHOICES["normalise"]:
                raise unknown("normalise", word, CHOICES["normalise"])
        if self.subsets < 0 or self.subsets == 1:
            raise UserError(f"subsets: expected 2 or more, or 0 for no test, got {self.subsets}")
        if self.jobs < 1:
            raise UserError(f"jobs: expected 1 or more, got {self.jobs}")

    @property
    def systems(self) -> tuple[str, ...]:
        """The methods that are run, the baseline first."""
        return tuple(dict.fromkeys((BASELINE, *self.methods)))

    @property
    def amounts(self) -> tuple[str, ...]:
        """The budgets in ascending order, "all" last."""
        return tuple(sorted({b if b == "all" else str(int(b)) for b in self.budgets}, key=size_of))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one method said with one budget and normalisation, over all seeds."""

    settings: Settings  # of the cell: method, head, target_labels, normalise
    predicted: tuple[Predicted, ...]
    costs: tuple[Cost, ...] = ()  # of each stage of each fit that an encoder took part in


@dataclass(frozen=True, slots=True)
class Grid:
    """All that was run; `report.budget` turns it into pages."""

    asked: BudgetSettings
    ready: Prepared
    outcomes: tuple[Outcome, ...]
    largest: int  # target labels that every fold has
    told: tuple[tuple[str, float], ...] = ()  # I(speaker; emotion) of each corpus, nats; see harm

    @property
    def speech(self) -> Speech:
        """The utterances of both sides."""
        return self.ready.speech


def run_grid(asked: BudgetSettings, *, strict: bool = False) -> Grid:
    """Run every cell of every seed. What an interrupted grid has finished is read, not done again.

    A method that cannot use target labels is run without any only, one that needs them never without. The layer is
    chosen once, by the head of the baseline with the first normalisation.
    Errors: UserError for whatever is wrong with the settings or the speech, before anything long begins.
    """
    cells = cells_of(asked)
    for cell in cells:
        made_method(cell.method, cell)
    first = with_head(_cell(asked, BASELINE, "0", asked.normalise[0]))
    ready = prepare(first, lambda speech, settings: check_budgets(asked, speech, settings), strict=strict)
    known = ready.settings
    plain = dropping(known, ready.width)
    norms = {norm: guarded(replace(plain, normalise=norm), ready.speech) for norm in asked.normalise}
    told = max((nats for _, nats in norms.values()), key=len)
    cells = tuple(
        dropping(
            replace(
                cell,
                labels=known.labels,
                layer=known.layer,
                statistics=known.statistics,
                by_corpus=norms[cell.normalise][0].by_corpus,
            ),
            ready.width,
        )
        for cell in cells
    )
    seeds = range(asked.base.seeds)
    units = [Unit(cell, seed) for seed in seeds for norm in asked.normalise for cell in cells if cell.normalise == norm]
    bench = Bench(ready.speech, ready.encoder.digest, asked.kept or str(Path(asked.base.out) / "work" / "stages"))
    with progress("training") as report:
        done = run_units(bench, units, asked.jobs, report)
    outcomes = []
    for cell in cells:
        mine = [one for unit, one in zip(units, done) if unit.settings == cell]
        predicted = tuple(said for one in mine for said in one.predicted)
        outcomes.append(Outcome(cell, predicted, costs_of(point for one in mine for point in one.log)))
    return Grid(
        asked,
        ready,
        tuple(outcomes),
        largest_budget(ready.speech, ready.settings, seeds),
        told,
    )


def cells_of(asked: BudgetSettings) -> tuple[Settings, ...]:
    """The settings of each cell, before layer and statistics are known.

    Errors: UserError for an unknown method, and for one that none of the budgets suits.
    """
    found = []
    for norm in asked.normalise:
        for method in asked.systems:
            suited = [amount for amount in asked.amounts if suits(method, amount)]
            if not suited:
                wanted = "cannot use target labels: give 0" if suits(method, "0") else "needs them: give one above 0"
                raise UserError(f"budgets: {','.join(asked.budgets)}: method {method} {wanted} among them")
            found += [with_head(_cell(asked, method, amount, norm)) for amount in suited]
    return tuple(found)


def suits(method: str, amount: str) -> bool:
    """Whether a method can be run with so many target labels. Errors: UserError for an unknown method."""
    plugin = registry.load("methods", method)
    return "target_labels" not in plugin.needs if amount == "0" else "target_labels" in plugin.needs | plugin.takes


def check_budgets(asked: BudgetSettings, speech: Speech, settings: Settings) -> None:
    """That the target has labels, and every fold of every seed as many as the largest budget.

    Errors: UserError naming the largest that is possible.
    """
    if (speech.label[speech.is_target] == UNLABELLED).all():
        names = ", ".join(settings.labels or settings.attributes)
        raise UserError(
            f"{settings.target}: no utterance is labelled {names}, so there is no score of the "
            "target to draw over label budgets; emobridge adapt works without target labels"
        )
    largest = largest_budget(speech, settings, range(settings.seeds))
    for amount in asked.amounts:
        if amount != "all" and int(amount) > largest:
            raise UserError(
                f"budgets: {amount}: expected {largest} at most, which is what the training speakers of every fold "
                "have labelled, or all"
            )


def size_of(amount: str) -> float:
    """A budget as a number, "all" as infinity.

    >>> size_of("25"), size_of("all")
    (25.0, inf)
    """
    return float("inf") if amount == "all" else float(amount)


def _cell(asked: BudgetSettings, method: str, amount: str, norm: str) -> Settings:
    """The settings of one cell, its head still "auto" where it is the method's own."""
    base = asked.base
    methods = {name: registry.load("methods", name) for name in asked.systems}
    names = {name: plugin.head if base.head == "auto" else base.head for name, plugin in methods.items()}
    heads = {name: registry.load("heads", names[name]) for name in methods}
    return replace(
        base,
        method=method,
        target_labels=amount,
        normalise=norm,
        method_options=_own("method", base.method_options, method, methods),
        head_options=_own("head", base.head_options, method, heads),
    )


def _own(thing: str, words: Sequence[str], name: str, plugins: dict[str, type]) -> tuple[str, ...]:
    """Of the options given for all those that the plug-in of `name` has. Errors: UserError for one that none has."""
    has = {key: options_of(plugin) for key, plugin in plugins.items()}
    for option in read_options(words):
        if not any(option in options for options in has.values()):
            raise unknown(f"{thing} option", option, {one for options in has.values() for one in options})
    return tuple(word for word in words if next(iter(read_options([word]))) in has[name])
