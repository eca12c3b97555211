"""From a fold of speech to what a method may see of it, and to what it is scored on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from emobridge.data.speech import Fold, Speech
from emobridge.data.splits import Part
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.normalisation import Domain, add_texts, coral_by_layer, normalise_features, recolour
from emobridge.methods.base import Inputs, Labelled, Method, Task, Trait
from emobridge.settings import Settings
from emobridge.training.hardware import ALONE, Hardware
from emobridge.training.inputs import Frozen, Recordings, domains_of, without_label
from emobridge.types import person

Matrices = dict[tuple[object, ...], tuple[Tensor, ...]]  # of CORAL, by source, target, normalisation and corpus
TRAITS = ("gender", "naturalness")  # of an Utterance


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Domains of features that do not change."""

    domains: tuple[Domain, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """A task, and how to get at the utterances that are scored."""

    task: Task
    learner: Recordings | _Fixed  # its `domains` are in the order of `Speech.domain_of`
    test: Inputs  # rows: source_test, then target_test
    validation: tuple[Inputs, Labelled] | None


def build(
    speech: Speech,
    fold: Fold,
    method: Method,
    classes: int,
    settings: Settings,
    encoder: Encoder | None,
    few: Part,
    matrices: Matrices | None = None,
    *,
    frames: bool = False,
    hardware: Hardware = ALONE,
) -> Built:
    """What `method` may see of a fold. What it names neither in `needs` nor in `takes` is not in what it receives.

    matrices: what CORAL found before for the same speech, looked up and added to: all methods and budgets share it.
    frames: whether the head sees single frames of `encoder`, which runs on `hardware`.
    """
    seen = method.needs | method.takes
    source = fold.source if "source_labels" in seen else ()
    labelled = few if "target_labels" in seen else ()
    known_rows = set(labelled)
    unlabelled = tuple(row for row in fold.target if row not in known_rows) if "target_audio" in seen else ()
    if "target_audio" in method.needs and not fold.target:
        raise UserError(f"method {method.name} needs unlabelled target audio, and there is none")
    rows = [*source, *labelled, *unlabelled]
    tests = [*fold.source_test, *fold.target_test]
    learner, make = _maker(speech, fold, settings, encoder, frames, hardware)
    place = np.cumsum([0, len(source), len(labelled), len(unlabelled)])
    inputs = make(rows, leads=True)
    known = _labelled(speech, rows, place[0], place[1]) if source else None
    copies: Sequence[int] = ()
    if settings.align == "coral" and known is not None and fold.target:
        copies = source
        target = make(fold.target)
        assert isinstance(inputs, Frozen) and isinstance(target, Frozen)  # Settings refuses others
        inputs, known = _recoloured(speech, fold, settings, inputs, known, target, matrices)
    task = Task(
        inputs=inputs,
        classes=classes,
        source=known,
        labelled_target=_labelled(speech, rows, place[1], place[2]) if labelled else None,
        target=torch.arange(place[2], place[3]) if "target_audio" in seen else None,
        class_weights=settings.class_weights,
        traits=_traits(speech, rows, copies) if "traits" in seen else (),
        attributes=_attributes(speech, source, labelled, len(unlabelled), len(copies)),
    )
    held = list(fold.validation)
    validation = (make(held), _labelled(speech, held, 0, len(held))) if held else None
    if validation is not None:
        side = torch.from_numpy(speech.is_target[held].astype(np.int64))
        attributes = _attributes(speech, held, (), 0, 0)
        validation = validation[0], replace(validation[1], corpus=side, attributes=attributes)
    return Built(task, learner, make(tests), validation)


def _traits(speech: Speech, rows: Sequence[int], copies: Sequence[int]) -> tuple[Trait, ...]:
    """What the manifests say of the speech in `rows`, and behind them of that in `copies`."""
    traits = []
    for name in TRAITS:
        said = [getattr(speech.utterances[row], name) for row in (*rows, *copies)]
        values = sorted(set(said) - {None})
        if len(values) > 1:
            places = [-1 if one is None else values.index(one) for one in said]
            traits.append(Trait(name, torch.tensor(places), len(values)))
    return tuple(traits)


def _attributes(
    speech: Speech, source: Sequence[int], few: Sequence[int], unlabelled: int, copies: int
) -> Tensor | None:
    """(N, K) of the task's inputs in their order: source, few, unlabelled, and copies of the source.

    NaN for every unlabelled one, whatever is known of it.
    """
    if speech.attributes is None:
        return None
    known = torch.from_numpy(speech.attributes[[*source, *few]]).float()
    hidden = torch.full((unlabelled, known.shape[1]), torch.nan)
    return torch.cat([known, hidden, known[:copies]])


def _labelled(speech: Speech, rows: Sequence[int], first: int, last: int) -> Labelled:
    some = rows[first:last]
    corpus = torch.from_numpy(speech.domain_of[some])
    return Labelled(torch.arange(first, last), torch.from_numpy(speech.label[some]), corpus)


def _maker(
    speech: Speech, fold: Fold, settings: Settings, encoder: Encoder | None, frames: bool, hardware: Hardware
) -> tuple[Recordings | _Fixed, Callable[..., Inputs]]:
    """Who knows the domains that a fold's unlabelled audio tells; and from rows to inputs normalised by them."""
    learn = [*fold.source, *fold.target]
    if encoder is not None:
        trained = Recordings(
            encoder,
            int(settings.layer),
            settings.statistics,
            [without_label(speech.utterances[row]) for row in learn],
            domain_of=speech.domain_of[learn],
            corpora=speech.corpora,
            target=speech.target,
            normalise=settings.normalise,
            crop=settings.crop,
            frames=frames,
            hardware=hardware,
        )
        trained.refresh()
        return trained, lambda rows, leads=False: _recordings(speech, rows, trained, settings, leads)
    features = speech.features
    assert features is not None  # they are, where no encoder is trained
    domains = domains_of(
        features[learn],
        speech.domain_of[learn],
        speech.corpora,
        settings.normalise,
        speech.target,
    )
    domains = tuple(replace(domain, by_speaker=domain.corpus not in settings.by_corpus) for domain in domains)
    if settings.normalise == "speaker+text":
        domains = tuple(_with_texts(speech, features, learn, place, domain) for place, domain in enumerate(domains))
    x, place = normalised_rows(speech, features, learn, domains, settings), {row: at for at, row in enumerate(learn)}

    def make(rows: Sequence[int], leads: bool = False) -> Inputs:
        """What is learnt from by all that was heard of its speakers, though only some be labelled."""
        if place.keys() >= set(rows):
            return Frozen(x[[place[row] for row in rows]])
        return Frozen(normalised_rows(speech, features, rows, domains, settings))

    return _Fixed(domains), make


def _with_texts(speech: Speech, features: Tensor, learn: Sequence[int], place: int, domain: Domain) -> Domain:
    rows = [row for row in learn if speech.domain_of[row] == place]
    if not rows:
        return domain
    some = [speech.utterances[row] for row in rows]
    return add_texts(domain, features[rows], [person(one) for one in some], [one.text for one in some])


def _recordings(
    speech: Speech, rows: Sequence[int], trained: Recordings, settings: Settings, leads: bool
) -> Recordings:
    return Recordings(
        trained.encoder,
        trained.layer,
        trained.statistics,
        [without_label(speech.utterances[row]) for row in rows],
        domain_of=speech.domain_of[list(rows)],
        corpora=speech.corpora,
        target=speech.target,
        normalise=settings.normalise,
        learner=trained,
        leads=leads,
        crop=settings.crop,
        frames=trained.frames,
        hardware=trained.hardware,
    )


def _recoloured(
    speech: Speech,
    fold: Fold,
    settings: Settings,
    inputs: Frozen,
    known: Labelled,
    target: Frozen,
    matrices: Matrices | None,
) -> tuple[Frozen, Labelled]:
    """The inputs with the source utterances once more behind them, each corpus with the covariance of the target."""
    copies = inputs.x[known.rows].clone()
    corpora = torch.from_numpy(speech.domain_of[list(fold.source)])
    matrices = {} if matrices is None else matrices
    for corpus in corpora.unique():
        mine = corpora == corpus
        key = fold.source, fold.target, settings.normalise, settings.by_corpus, int(corpus)
        if key not in matrices:
            matrices[key] = coral_by_layer(copies[mine], target.x, inputs.layers)
        copies[mine] = recolour(copies[mine], matrices[key])
    rows = torch.cat([known.rows, torch.arange(len(inputs.x), len(inputs.x) + len(copies))])
    return Frozen(torch.cat([inputs.x, copies])), Labelled(rows, known.label.repeat(2), corpora.repeat(2))


def normalised_rows(
    speech: Speech, features: Tensor, rows: Sequence[int], domains: Sequence[Domain], settings: Settings
) -> Tensor:
    """Rows of the features (N, V, D) as `settings` normalise them, each by its domain of those of the speech."""
    x = torch.empty(len(rows), *features.shape[1:])
    wanted = np.asarray(rows, dtype=np.int64)
    for place, domain in enumerate(domains):
        mine = np.flatnonzero(speech.domain_of[wanted] == place)
        some = [speech.utterances[row] for row in wanted[mine]]
        speakers = [person(one) for one in some] if settings.normalise.startswith("speaker") else None
        own = features[torch.from_numpy(wanted[mine])]
        x[torch.from_numpy(mine)] = normalise_features(own, domain, speakers, [one.text for one in some])
    return x
