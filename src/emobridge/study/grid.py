"""Methods x label budgets x normalisations on one pair of languages: what the n-th labelled utterance is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from emobridge.cache import Cache
from emobridge.data.speech import UNLABELLED, Speech, largest_budget
from emobridge.errors import UserError
from emobridge.progress import progress
from emobridge.scale import fitting
from emobridge.scores.harm import HarmSign
from emobridge.settings import Budget
from emobridge.study.cases import Decision
from emobridge.study.groups import check_groups
from emobridge.study.harm import compares_halves, measure_harm
from emobridge.study.prepare import Prepared, resolve, start
from emobridge.study.run import Answers, Runner, run
from emobridge.training.case import Case
from emobridge.types import short_repr


@short_repr
@dataclass(frozen=True, slots=True)
class Grid:
    """All that was run; `budget_record` turns it into the record of a study."""

    request: Budget  # its labels resolved
    prepared: Prepared
    decision: Decision
    answers: tuple[Answers, ...]  # one a case, in the order of the decision
    largest: int  # target labels that every fold has
    # The temperature by the agreement of halves of the target, of the systems whose halves were compared.
    agreed: Mapping[Case, float] = field(default_factory=dict)
    lines: tuple[str, ...] = ()  # a summary for the terminal, where a report was written

    @property
    def speech(self) -> Speech:
        """The utterances of both sides."""
        return self.prepared.speech


def run_grid(request: Budget, *, strict: bool = False) -> Grid:
    """Run every cell of every seed. What an interrupted grid has finished is read, not done again.

    A method that cannot use target labels is run without any only, one that needs them never without.
    Errors: UserError for whatever is wrong with the request or the speech, before anything long begins.
    """
    request = resolve(request)
    cache = Cache(Path(request.output.out) / "work")
    shared = Cache(request.stages or Path(request.output.out) / "work" / "stages")
    check = partial(check_budgets, request)
    started = start(request, check, cache=cache, shared=shared, strict=strict)
    trained = any(case.uses_recordings for case in started.decision.cases)
    workers = fitting(
        request.output.cluster, cache.folder, shared.folder, device=request.output.device if trained else "cpu"
    )
    with progress("training") as report:
        cases = started.decision.cases
        answers = run(started.runner, cases, jobs=request.output.jobs, workers=workers, progress=report)
        agreed = {case: sign.temperature for case in cases if (sign := _sign_of(started.runner, case))}
    largest = largest_budget(started.prepared.speech, request.split, request.training.validation)
    return Grid(request, started.prepared, started.decision, answers, largest, agreed)


def _sign_of(runner: Runner, case: Case) -> HarmSign | None:
    """The sign of harm where `adapt` compares halves too by default, so that both are as confident."""
    return measure_harm(runner, case, True) if compares_halves("auto", case) else None


def check_budgets(request: Budget, speech: Speech) -> None:
    """Check that the target has labels, every fold of every seed as many as the largest budget, and the groups.

    Errors: UserError naming the largest that is possible, or the column.
    """
    if (speech.label[speech.is_target] == UNLABELLED).all():
        names = ", ".join(request.data.labels or request.data.attributes)
        raise UserError(
            f"{request.data.target}: no utterance is labelled {names}, so there is no score of the "
            "target to draw over label budgets; emobridge adapt works without target labels"
        )
    check_groups(request.by_group, speech)
    largest = largest_budget(speech, request.split, request.training.validation)
    for amount in request.amounts:
        if amount != "all" and int(amount) > largest:
            raise UserError(
                f"budgets: {amount}: expected {largest} at most, which is what the training speakers of every fold "
                "have labelled, or all"
            )
