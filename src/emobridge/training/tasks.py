"""From a fold of speech to what a method may see of it, and to what it is scored on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from emobridge.data.prosody import prosody_width
from emobridge.data.speech import Fold, Speech
from emobridge.data.splits import Part
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import (
    Domain,
    add_texts,
    coral_by_layer,
    covariance_roots,
    fit_domain,
    normalise_features,
    recolour,
)
from emobridge.features.source_moments import SourceMoments
from emobridge.methods.base import Inputs, Labelled, Method, Phones, Task, Trait
from emobridge.settings import layer_names
from emobridge.training.case import Case
from emobridge.training.hardware import ALONE, Hardware
from emobridge.training.inputs import FrontEnd, Frozen, Recordings, domains_of, take_rows, without_label
from emobridge.training.phones import normalised_means, phone_classes_of, recorded_phones, stored_phones
from emobridge.types import person

SharedValue = TypeVar("SharedValue")
MakeInputs = Callable[[Sequence[int], bool], Inputs]  # rows of a speech -> what is drawn from; whether it leads
TRAITS = ("gender", "naturalness")  # of an Utterance


class Computed:
    """What fits on the same rows of one speech share: normalised features, roots of covariances, CORAL's copies.

    Only what belongs to the rows of the latest fold stays, so that memory does not grow with folds and seeds.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[object, ...], tuple[tuple[Part, ...], Any]] = {}

    def enter(self, fold: Fold) -> None:
        """Drop what neither this fold nor a part of it shares."""
        parts = ((fold.source,), (fold.target,), (fold.source, fold.target))
        self._values = {key: (rows, value) for key, (rows, value) in self._values.items() if rows in parts}

    def get(self, rows: tuple[Part, ...], key: tuple[object, ...], compute: Callable[[], SharedValue]) -> SharedValue:
        """The value of a key that is computed from these rows: the fold's source, its target, or both."""
        full_key = (*rows, *key)
        if full_key not in self._values:
            self._values[full_key] = rows, compute()
        value: SharedValue = self._values[full_key][1]
        return value


@dataclass(frozen=True, slots=True)
class FixedDomains:
    """Domains of features that do not change."""

    domains: tuple[Domain, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A task, and how to get at the utterances that are scored."""

    task: Task
    learner: Recordings | FixedDomains  # its `domains` are in the order of `Speech.domain_of`
    test: Inputs  # rows: source_test, then target_test, then items
    validation: tuple[Inputs, Labelled] | None
    inputs_of: MakeInputs | None = None  # from rows that were learnt from, and False, to their inputs


def build(
    speech: Speech,
    fold: Fold,
    case: Case,
    method: Method,
    labelled_target: Part,
    *,
    encoder: Encoder | None = None,
    computed: Computed | None = None,
    hardware: Hardware = ALONE,
) -> Built:
    """What `method` may see of a fold. What it names neither in `needs` nor in `takes` is not in what it receives.

    labelled_target: the rows of the target whose labels are within the budget. encoder: takes part in training, on
    `hardware`; without it features are stored. computed: what fits on the same speech computed before, looked up and
    added to, so that methods and budgets share it.
    Errors: UserError where the target audio that the method needs is missing.
    """
    seen = method.needs | method.takes
    classes = phone_classes_of(method.phone_classes) if "phones" in seen else ()
    if classes and speech.phones is None:
        raise UserError(f"method {method.name} needs phones: give --alignments, or manifests with a column phones")
    source = fold.source if "source_labels" in seen else ()
    labelled = labelled_target if "target_labels" in seen else ()
    visible = set(labelled)
    unlabelled = tuple(row for row in fold.target if row not in visible) if "target_audio" in seen else ()
    if "target_audio" in method.needs and not fold.target:
        raise UserError(f"method {method.name} needs unlabelled target audio, and there is none")
    rows = [*source, *labelled, *unlabelled]
    tests = [*fold.source_test, *fold.target_test, *fold.items]
    learner: Recordings | FixedDomains
    computed = computed or Computed()
    computed.enter(fold)
    if encoder is None:
        key = (*_normalised_by(case), "inputs")
        learner, make = computed.get((fold.source, fold.target), key, lambda: _frozen_inputs(speech, fold, case))
    else:
        learner, make = _recorded_inputs(speech, fold, case, encoder, hardware)
    first_labelled, first_unlabelled, end = np.cumsum([len(source), len(labelled), len(unlabelled)]).tolist()
    inputs = make(rows, True)
    known_source = _labelled(speech, rows, 0, first_labelled) if source else None
    if speech.source_moments is not None and "source_labels" in seen:
        assert isinstance(inputs, Frozen)  # `decide` gives moments to no encoder that is trained
        inputs, known_source = _with_points(inputs, speech.source_moments)
    copies: Sequence[int] = ()
    if case.align == "coral" and known_source is not None and fold.target:
        copies = source
        target = make(fold.target, False)
        assert isinstance(inputs, Frozen) and isinstance(target, Frozen)  # `decide` aligns stored features alone
        inputs, known_source = _with_coral_copies(fold, case, inputs, known_source, target, computed)
    task = Task(
        inputs=inputs,
        classes=case.classes,
        source=known_source,
        labelled_target=_labelled(speech, rows, first_labelled, first_unlabelled) if labelled else None,
        target=torch.arange(first_unlabelled, end) if "target_audio" in seen else None,
        class_weights=case.training.class_weights,
        traits=_traits(speech, rows, copies) if "traits" in seen else (),
        attributes=_attributes(speech, [*source, *labelled], len(unlabelled), len(copies)),
        layers=layer_names(case.layer),
        phones=_phones(speech, fold, case, rows, classes, inputs, learner, computed) if classes else None,
    )
    validation = _validation(speech, list(fold.validation), make) if fold.validation else None
    return Built(task, learner, make(tests, False), validation, make)


def _validation(speech: Speech, rows: list[int], make: MakeInputs) -> tuple[Inputs, Labelled]:
    """The utterances that choose the epoch; their `corpus` is their side: 0 source, 1 target."""
    side = torch.from_numpy(speech.is_target[rows].astype(np.int64))
    labelled = _labelled(speech, rows, 0, len(rows))
    return make(rows, False), replace(labelled, corpus=side, attributes=_attributes(speech, rows, 0, 0))


def _phones(
    speech: Speech,
    fold: Fold,
    case: Case,
    rows: Sequence[int],
    classes: Sequence[str],
    inputs: Inputs,
    learner: Recordings | FixedDomains,
    computed: Computed,
) -> Phones:
    """The phones of a task's inputs, of which the first are these rows of the speech."""
    if isinstance(inputs, Recordings):
        return recorded_phones(speech, rows, classes, inputs)
    assert isinstance(inputs, Frozen)
    learn = [*fold.source, *fold.target]
    key = (*_normalised_by(case), "phones")

    def normalised() -> Tensor:
        return normalised_means(speech, learn, learner.domains, case.normalise)

    means = computed.get((fold.source, fold.target), key, normalised)
    index_of = {row: index for index, row in enumerate(learn)}
    return stored_phones(speech, rows, classes, take_rows(means, [index_of[row] for row in rows]), len(inputs.x))


def _traits(speech: Speech, rows: Sequence[int], copies: Sequence[int]) -> tuple[Trait, ...]:
    """What the manifests say of the speech in `rows`, and behind them of that in `copies`."""
    traits = []
    for name in TRAITS:
        values = [getattr(speech.utterances[row], name) for row in (*rows, *copies)]
        kinds = sorted(set(values) - {None})
        if len(kinds) > 1:
            indices = [-1 if value is None else kinds.index(value) for value in values]
            traits.append(Trait(name, torch.tensor(indices), len(kinds)))
    return tuple(traits)


def _attributes(speech: Speech, labelled: Sequence[int], unlabelled: int, copies: int) -> Tensor | None:
    """(N, K) of the task's inputs in their order: labelled rows, unlabelled ones, and copies of the source.

    NaN for every unlabelled row, whatever the manifest says of it.
    """
    if speech.attributes is None:
        return None
    values = torch.from_numpy(speech.attributes[list(labelled)]).float()
    hidden = torch.full((unlabelled, values.shape[1]), torch.nan)
    return torch.cat([values, hidden, values[:copies]])


def _labelled(speech: Speech, rows: Sequence[int], first: int, end: int) -> Labelled:
    part = rows[first:end]
    corpus = torch.from_numpy(speech.domain_of[part])
    return Labelled(torch.arange(first, end), torch.from_numpy(speech.label[part]), corpus)


def _recorded_inputs(
    speech: Speech, fold: Fold, case: Case, encoder: Encoder, hardware: Hardware
) -> tuple[Recordings, MakeInputs]:
    """The recordings whose unlabelled audio tells the moments of each domain, and a function from rows to inputs."""
    front = FrontEnd(
        encoder,
        tuple(map(int, layer_names(case.layer))),
        case.statistics,
        case.normalise,
        case.training.crop,
        case.sees_frames,
        hardware,
    )

    def make(rows: Sequence[int], leads: bool, learner: Recordings | None = None) -> Recordings:
        return Recordings(
            front,
            [without_label(speech.utterances[row]) for row in rows],
            domain_of=speech.domain_of[list(rows)],
            corpora=speech.corpora,
            target=speech.target,
            learner=learner,
            leads=leads,
        )

    learner = make([*fold.source, *fold.target], False)
    learner.refresh()
    return learner, lambda rows, leads: make(rows, leads, learner)


def _with_points(inputs: Frozen, moments: SourceMoments) -> tuple[Frozen, Labelled]:
    """The inputs with the points of the source's moments behind them."""
    rows = torch.arange(len(inputs.x), len(inputs.x) + len(moments.points))
    x = torch.cat([inputs.x, moments.points]).unflatten(1, (inputs.layers, -1))
    return Frozen(x), Labelled(rows, moments.label, moments.corpus)


def _frozen_inputs(speech: Speech, fold: Fold, case: Case) -> tuple[FixedDomains, MakeInputs]:
    """The domains that a fold's unlabelled audio tells, and a function from rows to inputs normalised by them."""
    learn = [*fold.source, *fold.target]
    features = speech.features
    assert features is not None  # they are, where no encoder takes part
    moments = speech.source_moments
    if moments is None:
        learnt = np.full(len(features), -1)  # of no domain
        learnt[learn] = speech.domain_of[learn]
        domains = domains_of(
            features, learnt, speech.corpora, case.normalise, speech.target, prosody=prosody_width(case.prosody)
        )
    else:
        domains = (*moments.domains, _target_domain(speech, take_rows(features, learn), case, moments.domains[0]))
    domains = tuple(replace(domain, by_speaker=domain.corpus not in case.by_corpus) for domain in domains)
    if case.normalise == "speaker+text":
        domains = tuple(
            domain if domain.corpus in case.without_texts else _with_texts(speech, features, learn, index, domain)
            for index, domain in enumerate(domains)
        )
    # CORAL's copies of the source find room behind; until then it takes no memory.
    whole = torch.empty(len(learn) + len(fold.source), *features.shape[1:])
    x = normalised_rows(speech, learn, domains, case.normalise, out=whole[: len(learn)])
    index_of = {row: index for index, row in enumerate(learn)}
    others: dict[tuple[int, ...], Tensor] = {}  # rows that are not learnt from: tests, validation

    def make(rows: Sequence[int], leads: bool) -> Inputs:
        """Speakers are normalised by all their utterances that are learnt from, although only some are labelled."""
        if list(rows) == learn:
            return Frozen(x, whole=whole)
        if index_of.keys() >= set(rows):
            return Frozen(take_rows(x, [index_of[row] for row in rows]))
        key = tuple(rows)
        if key not in others:
            others[key] = normalised_rows(speech, rows, domains, case.normalise)
        return Frozen(others[key])

    return FixedDomains(domains), make


def _target_domain(speech: Speech, x: Tensor, case: Case, source: Domain) -> Domain:
    """The target's domain beside those of source corpora that are there by their moments; see `domains_of`."""
    name, language = speech.corpora[-1]
    target = replace(source, corpus=name, language=language, texts=(), offsets=None)
    if case.normalise == "none" or not len(x):
        return target
    fitted = fit_domain(name, language, x)
    return replace(target, mean=fitted.mean, deviation=fitted.deviation)


def _with_texts(speech: Speech, features: Tensor, learn: Sequence[int], index: int, domain: Domain) -> Domain:
    """The domain of an index with what all readings of a sentence have in common."""
    rows = [row for row in learn if speech.domain_of[row] == index]
    if not rows:
        return domain
    utterances = [speech.utterances[row] for row in rows]
    people = [person(utterance) for utterance in utterances]
    return add_texts(domain, features[rows], people, [utterance.text for utterance in utterances])


def _normalised_by(case: Case) -> tuple[object, ...]:
    """All of a case that its normalised features depend on, beside the rows."""
    return case.layer, case.views, case.normalise, case.by_corpus, case.without_texts, case.prosody


def _with_coral_copies(
    fold: Fold, case: Case, inputs: Frozen, labelled: Labelled, target: Frozen, computed: Computed
) -> tuple[Frozen, Labelled]:
    """The inputs with the source utterances once more behind them, each corpus with the covariance of the target."""
    assert labelled.corpus is not None  # as all source utterances have it

    def recoloured() -> Tensor:
        return _recoloured(fold, case, inputs, labelled, target, computed)

    copies = computed.get((fold.source, fold.target), (*_normalised_by(case), "copies"), recoloured)
    rows = torch.cat([labelled.rows, torch.arange(len(inputs.x), len(inputs.x) + len(copies))])
    return inputs.with_copies(copies), Labelled(rows, labelled.label.repeat(2), labelled.corpus.repeat(2))


def _recoloured(
    fold: Fold, case: Case, inputs: Frozen, labelled: Labelled, target: Frozen, computed: Computed
) -> Tensor:
    """The labelled source (N, L * D), each corpus with the covariance of the target.

    Without normalisation by speaker or corpus the target's features depend on the source's moments: its roots then
    belong to both.
    """
    corpora, layers = labelled.corpus, inputs.layers
    assert corpora is not None
    copies = inputs.room(len(labelled.rows))
    of_target = (fold.source, fold.target) if case.normalise == "none" else (fold.target,)
    key = _normalised_by(case)
    target_roots = computed.get(of_target, (*key, "target"), lambda: covariance_roots(target.x, 0.5, layers))
    for corpus in corpora.unique():
        rows = (corpora == corpus).nonzero()[:, 0].numpy()
        x = take_rows(inputs.x, labelled.rows[rows].numpy())
        roots = functools.partial(covariance_roots, x, -0.5, layers)
        source_roots = computed.get((fold.source,), (*key, "source", int(corpus)), roots)
        copies[rows] = recolour(x, coral_by_layer(source_roots, target_roots))
    return copies


def normalised_rows(
    speech: Speech, rows: Sequence[int], domains: Sequence[Domain], normalise: str, *, out: Tensor | None = None
) -> Tensor:
    """Rows of the speech's features (N, V, D), each normalised by its domain and, where asked, its speaker.

    out: memory (N, V, D) that they are written to.
    """
    features = speech.features
    assert features is not None
    x = torch.empty(len(rows), *features.shape[1:]) if out is None else out
    chosen = np.asarray(rows, dtype=np.int64)
    for index, domain in enumerate(domains):
        of_domain = np.flatnonzero(speech.domain_of[chosen] == index)
        utterances = [speech.utterances[row] for row in chosen[of_domain]]
        by_speaker = normalise.startswith("speaker")
        people = [person(utterance) for utterance in utterances] if by_speaker else None
        own = take_rows(features, chosen[of_domain])
        normalised = normalise_features(own, domain, people, [utterance.text for utterance in utterances])
        if out is None and len(of_domain) == len(chosen):  # all are of this domain: no second copy
            return normalised
        x[torch.from_numpy(of_domain)] = normalised
    return x
