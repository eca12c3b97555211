"""From a request to an adapted recogniser and the answers of every system beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emobridge.bundle import Recognizer
from emobridge.cache import Cache
from emobridge.data.speech import Speech, budget, folds_of
from emobridge.progress import progress
from emobridge.scale import fitting
from emobridge.scores.harm import HarmSign
from emobridge.settings import Adapt
from emobridge.study.calibration import temperatures_of
from emobridge.study.cases import Decision
from emobridge.study.choice import choose_system
from emobridge.study.final import train_recognizer
from emobridge.study.groups import check_groups
from emobridge.study.harm import compares_halves, measure_harm
from emobridge.study.origin import read_origin
from emobridge.study.prepare import Prepared, resolve, start
from emobridge.study.run import Answers, run
from emobridge.study.space import TrainedSample
from emobridge.training.case import Case
from emobridge.types import short_repr


@short_repr
@dataclass(frozen=True, slots=True)
class Adapted:
    """All that a run made; `study.record` turns it into the record of a study."""

    request: Adapt  # its labels resolved
    prepared: Prepared
    decision: Decision
    answers: tuple[Answers, ...]  # of the baseline first
    system: Case  # the adapted one that the report is about
    chosen: Case  # what the recogniser was trained as: the system, or the baseline (see `study.choice`)
    recognizer: Recognizer
    sample: TrainedSample | None = None  # of what it was trained on
    harm: HarmSign | None = None  # of the adapted system; None where it adapts to no unlabelled audio
    lines: tuple[str, ...] = ()  # a summary for the terminal, where a report was written

    @property
    def speech(self) -> Speech:
        """The utterances of both sides."""
        return self.prepared.speech

    @property
    def agreed(self) -> dict[Case, float]:
        """The temperature by the agreement of halves of the target, of the system whose halves were compared."""
        return {} if self.harm is None else {self.system: self.harm.temperature}


def train(request: Adapt, *, strict: bool = False) -> Adapted:
    """Run a request. What an interrupted run of the same request has finished is read, not done again.

    Utterances that cannot be read are left out and listed; with `strict` the first one raises.
    Errors: UserError for whatever is wrong with the request or the speech.
    """
    origin = read_origin(request)
    request = resolve(request if origin is None else origin.settled(request))
    cache = Cache(Path(request.output.out) / "work")
    started = start(request, lambda speech: _check_budget(request, speech), cache=cache, strict=strict, origin=origin)
    prepared, decision, runner = started.prepared, started.decision, started.runner
    trained = any(case.uses_recordings for case in decision.cases)
    workers = fitting(request.output.cluster, cache.folder, device=request.output.device if trained else "cpu")
    with progress("training") as report:
        answers = run(runner, decision.cases, jobs=request.output.jobs, workers=workers, progress=report)
    adapted = answers[-1]
    with progress("comparing halves") as report:
        harm = measure_harm(runner, adapted.case, compares_halves(request.system.harm_sign, adapted.case), report)
    choice = choose_system(request.system.bundle, prepared.speech, answers[0], adapted, harm)
    chosen = next(system for system in answers if system.case == choice.case)
    agreed = harm.temperature if harm is not None and choice.case == adapted.case else 1.0
    temperatures = temperatures_of(runner, chosen, agreed)
    if origin is not None:  # no answer to the source was held out here
        temperatures = max(origin.temperatures[0], agreed), origin.temperatures[1]
    reason, encoder = choice.reason, prepared.encoder
    final = train_recognizer(runner, choice.case, encoder, temperatures=temperatures, reason=reason)
    return Adapted(
        request, prepared, decision, answers, adapted.case, choice.case, final.recognizer, final.sample, harm
    )


def _check_budget(request: Adapt, speech: Speech) -> None:
    """Refuse too few speakers or labels, and columns that nobody has, before anything long begins."""
    check_groups(request.by_group, speech)
    for fold in folds_of(speech, request.split, 0, request.training.validation):
        budget(speech, fold, request.data.target_labels, 0)
