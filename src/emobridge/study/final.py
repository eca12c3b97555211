"""The recogniser of a case, trained with nothing held out: what users get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emobridge.bundle import UNKNOWN, Recognizer, Spec
from emobridge.bundle.places import lasting_place
from emobridge.corpora.demo import is_synthetic
from emobridge.data.speech import everything
from emobridge.encoders.base import Encoder
from emobridge.features.normalisation import Domain
from emobridge.study.run import Runner, method_name
from emobridge.training.case import Case
from emobridge.training.stages import Fitted


def train_recognizer(runner: Runner, case: Case, encoder: Encoder) -> Recognizer:
    """The case, seed 0, on everything.

    Where the source's encoder stayed as it was under the target's adapters, it still answers for the source.
    """
    fold = everything(runner.speech, runner.split, 0, case.validation)
    fitted = runner.train(case, 0, fold, runner.key(case, 0, fold))
    domains = fitted.built.learner.domains
    trained_encoder = encoder if fitted.encoder is None or fitted.trained == "frozen" else fitted.encoder.cpu()
    layer = "0" if trained_encoder.layers == 1 else case.layer  # gating leaves a single layer
    spec = replace(_spec(runner, case, encoder, fitted.trained, domains), layer=layer)
    target = Recognizer(spec, trained_encoder, domains, fitted.head, regressor=fitted.regressor)
    if fitted.trained != "end-to-end+adapters" or layer != case.layer:
        return target
    return _with_source(runner, case, encoder, fitted, target)


def _with_source(runner: Runner, case: Case, encoder: Encoder, fitted: Fitted, target: Recognizer) -> Recognizer:
    """The recogniser of the target joined to that of the source, where their languages are known and differ."""
    head, regressor, domains = fitted.before[0]
    own = domains[-2:-1]  # the last of the source's corpora
    spec = replace(_spec(runner, case, encoder, "end-to-end", own), target_labels="all")
    source = Recognizer(spec, target.encoder, own, head, regressor=regressor)
    languages = {domain.language for domain in (*own, domains[-1])}
    return source.join(target) if len(languages - {UNKNOWN}) == 2 else target


def _spec(runner: Runner, case: Case, encoder: Encoder, trained: str, domains: Sequence[Domain]) -> Spec:
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
        synthetic=any(is_synthetic(utterance.corpus) for utterance in runner.speech.utterances),
        attributes=case.attributes,
        attribute_range=case.attribute_range,
        frames=case.sees_frames,
    )
