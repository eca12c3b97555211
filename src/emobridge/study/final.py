"""The recogniser of a case, trained with nothing held out: what users get."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from emobridge.bundle import UNKNOWN, Recognizer, Spec, TrainingSpeech
from emobridge.bundle.places import lasting_place
from emobridge.bundle.training_speech import LABEL_SEEN
from emobridge.corpora.demo import is_synthetic
from emobridge.data.speech import Fold, budget, everything
from emobridge.encoders.base import Encoder
from emobridge.features.familiarity import Familiarity, fit_familiarity
from emobridge.features.normalisation import Domain
from emobridge.features.source_moments import SourceMoments, fit_source_moments
from emobridge.heads.base import ClosedFormHead
from emobridge.study.run import Runner, method_name
from emobridge.study.space import TrainedSample, trained_sample
from emobridge.training.case import Case
from emobridge.training.inputs import Recordings
from emobridge.training.stages import Fitted
from emobridge.training.tasks import normalised_rows
from emobridge.types import Utterance, person, short_repr

MEASURED = 4000  # utterances at most by whose features others are judged familiar: drawn at random, they stand for all


@short_repr
@dataclass(frozen=True, slots=True)
class Trained:
    """The recogniser of a case, and some of what it was trained on."""

    recognizer: Recognizer
    sample: TrainedSample | None  # of what it was trained on, see `study.space`


def train_recognizer(
    runner: Runner, case: Case, encoder: Encoder, *, temperatures: Sequence[float] = (1.0, 1.0), reason: str = ""
) -> Trained:
    """The case, seed 0, on everything. reason: why it was chosen, for `Spec.reason`.

    Where the source's encoder stayed as it was under the target's adapters, it still answers for the source.
    temperatures: of answers to the target and to the source, see `study.calibration`; they do not change the training.
    That branch of the source keeps 1: no answers of it were held out.
    """
    fold = everything(runner.speech, runner.split, 0, case.validation)
    fitted = runner.train(case, 0, fold, runner.key(case, 0, fold))
    sample = trained_sample(fold, fitted.built)
    if not isinstance(fitted.built.learner, Recordings):  # what follows needs no copy of all features
        runner.forget()
        fitted = fitted.without_inputs()
    domains = fitted.built.learner.domains
    familiarity = _familiarity(runner, case, fold, fitted)
    trained_encoder = encoder if fitted.encoder is None or fitted.trained == "frozen" else fitted.encoder.cpu()
    layer = "0" if trained_encoder.layers == 1 else case.layer  # a sum of layers leaves a single one
    spec = replace(_spec(runner, case, encoder, fitted.trained, domains), layer=layer, reason=reason)
    spec = replace(spec, temperature=temperatures[0], source_temperature=temperatures[1])
    target = Recognizer(
        spec, trained_encoder, domains, fitted.head, regressor=fitted.regressor, familiarity=familiarity
    )
    moments = _source_moments(runner, case, fold, fitted)
    target = target.with_training_speech(_training_speech(runner, case, fold), moments)
    if fitted.trained != "end-to-end+adapters" or layer != case.layer:
        return Trained(target, sample)
    return Trained(_with_source(runner, case, encoder, fitted, target), sample)


def _with_source(runner: Runner, case: Case, encoder: Encoder, fitted: Fitted, target: Recognizer) -> Recognizer:
    """The recogniser of the target joined to that of the source, where their languages are known and differ."""
    head, regressor, domains = fitted.before[0]
    own = domains[-2:-1]  # the last of the source's corpora
    spec = replace(_spec(runner, case, encoder, "end-to-end", own), target_labels="all")
    source = Recognizer(spec, target.encoder, own, head, regressor=regressor)
    fold = everything(runner.speech, runner.split, 0, case.validation)
    source = source.with_training_speech(TrainingSpeech.of(_utterances(runner, fold.source), ()))
    languages = {domain.language for domain in (*own, domains[-1])}
    return source.join(target) if len(languages - {UNKNOWN}) == 2 else target


def _source_moments(runner: Runner, case: Case, fold: Fold, fitted: Fitted) -> SourceMoments | None:
    """What `adapt --from` needs of the source; None where it adapts no head of this kind, and where attributes are
    learnt.
    """
    if runner.origin is not None:
        return runner.origin.moments
    if not isinstance(fitted.head, ClosedFormHead) or case.attributes:
        return None
    speech, rows = runner.speech.at(case.layer, case.views), list(fold.source)
    domains = fitted.built.learner.domains
    x = normalised_rows(speech, rows, domains, case.normalise).flatten(1)
    label, corpus = (torch.from_numpy(values[rows]) for values in (speech.label, speech.domain_of))
    moments = fit_source_moments(x, label, corpus, domains[:-1], case.classes)
    return replace(moments, guard=runner.guard_map(case)) if case.normalise.startswith("speaker") else moments


def _familiarity(runner: Runner, case: Case, fold: Fold, fitted: Fitted) -> Familiarity | None:
    """The familiarity of the speech that the case was trained on and adapted to; None where the head sees frames.

    What an encoder that was trained makes of the speech is computed here, once. Without source speech it stays that of
    the bundle that was adapted.
    """
    if runner.origin is not None:
        return runner.origin.familiarity
    if case.sees_frames:
        return None
    rows = [*fold.source, *fold.target]
    measured = sorted(random.Random(0).sample(range(len(rows)), min(MEASURED, len(rows))))
    speech = runner.speech.at(case.layer, case.views).of([rows[index] for index in measured])
    learner = fitted.built.learner
    if isinstance(learner, Recordings):
        speech = replace(speech, features=learner.pooled(measured))
    domains = [replace(domain, offsets=None) for domain in learner.domains]
    x = normalised_rows(speech, range(len(measured)), domains, "corpus").flatten(1)
    people = [person(utterance) or utterance.id for utterance in speech.utterances]
    return fit_familiarity(x, people, speech.domain_of)


def _spec(runner: Runner, case: Case, encoder: Encoder, trained: str, domains: Sequence[Domain]) -> Spec:
    corpora = {utterance.corpus for utterance in runner.speech.utterances} | {name for name, _ in runner.speech.absent}
    return Spec(
        labels=case.labels,
        encoder=lasting_place(case.encoder),
        encoder_options=case.encoder_options,
        digest=encoder.digest,
        trained=trained,
        layer=case.layer,
        statistics=case.statistics,
        normalise=case.normalise,
        by_corpus=case.by_corpus,
        texts=tuple(domain.texts for domain in domains),
        align=case.align,
        target_labels=case.target_labels,
        head=case.head.name,
        head_options=case.head.assignments,
        method=method_name(case),
        domains=tuple((domain.corpus, domain.language) for domain in domains),
        synthetic=any(is_synthetic(corpus) for corpus in corpora),
        attributes=case.attributes,
        attribute_range=case.attribute_range,
        frames=case.sees_frames,
        prosody=case.prosody,
    )


def _training_speech(runner: Runner, case: Case, fold: Fold) -> TrainingSpeech:
    """What the case sees of a fold, with and without labels; labels that choose the epoch count as seen."""
    method = case.make_method()
    seen = method.needs | method.takes
    labelled = set(fold.validation)
    if "source_labels" in seen:
        labelled |= set(fold.source)
    if "target_labels" in seen:
        labelled |= set(budget(runner.speech, fold, case.target_labels, 0))
    in_training = set(fold.source)
    if "target_audio" in seen or case.normalise != "none" or case.align != "none":
        in_training |= set(fold.target)
    speech = TrainingSpeech.of(_utterances(runner, labelled), _utterances(runner, in_training - labelled))
    before = None if runner.origin is None else runner.origin.training_speech
    return (
        speech
        if before is None
        else TrainingSpeech(torch.cat([before.rows[before.rows[:, LABEL_SEEN] == 1], speech.rows]))
    )


def _utterances(runner: Runner, rows: Iterable[int]) -> list[Utterance]:
    return [runner.speech.utterances[row] for row in sorted(rows)]
