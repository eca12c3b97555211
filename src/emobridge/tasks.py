"""From two sides of speech to what a method may see of them, and to what it is scored on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from emobridge.data.splits import Part, by_fold, by_ratio, label_budgets
from emobridge.encoders._base import Encoder
from emobridge.errors import UserError
from emobridge.inputs import Frozen, Inputs, Recordings, domains_of, person, without_label
from emobridge.methods._base import Labelled, Method, Task, Trait
from emobridge.normalisation import Domain, coral_by_layer, normalised, recoloured, with_texts
from emobridge.settings import Settings
from emobridge.types import Utterance

UNLABELLED = -1
Matrices = dict[tuple[object, ...], tuple[Tensor, ...]]  # of CORAL, by source, target, normalisation and corpus
TRAITS = ("gender", "naturalness")  # of an Utterance


@dataclass(frozen=True, slots=True)
class Speech:
    """All utterances of a run: those of the sources, corpus by corpus, then those of the target."""

    utterances: tuple[Utterance, ...]  # N
    label: np.ndarray  # (N,) int64 in [0, C), or UNLABELLED
    domain_of: np.ndarray  # (N,) int64: the place of its source corpus, or `target`
    target: int  # the number of source corpora
    features: Tensor | None = None  # (N, V, D) of V layers or (N, D), pooled, not normalised; None of a trained encoder
    given: frozenset[str] | None = None  # ids: the only target labels that may be seen; None: any within the budget

    @property
    def is_target(self) -> np.ndarray:
        """(N,) bool."""
        return self.domain_of == self.target

    @property
    def corpora(self) -> tuple[tuple[str, str], ...]:
        """Name and language of the corpora, in the order of `domain_of`."""
        firsts = [self.utterances[row] for row in np.unique(self.domain_of, return_index=True)[1]]
        return tuple((one.corpus, one.language) for one in firsts)


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of a Speech: what is trained on and what is scored, without common speakers."""

    source: Part
    source_test: Part
    target: Part  # its audio adapts; its labels only within the budget
    target_test: Part
    validation: Part = ()  # speakers of the source, or of both sides, that tell the best epoch


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


def folds_of(speech: Speech, settings: Settings, seed: int) -> tuple[Fold, ...]:
    """The folds of one seed; a target without labels adapts whole and is not scored.

    Errors: UserError where a side has too few speakers, or none that are known.
    """
    source = np.flatnonzero(~speech.is_target)
    target = np.flatnonzero(speech.is_target)
    scored = _scored(speech, target, settings)
    rest = np.setdiff1d(target, scored)  # adapts only, and only in folds where its speaker is not scored
    count = settings.folds or 5
    if settings.folds and not settings.share_speakers:
        count = min(count, _speakers(speech, source), _speakers(speech, scored) if len(scored) else count)
    source_parts = _parts(speech, source, count, settings, seed)
    target_parts = _parts(speech, scored, count, settings, seed) if len(scored) else ((),) * count
    folds = []
    for place in range(count if settings.folds else 1):
        test = set(source_parts[place])
        target_test = set(target_parts[place])
        heard = {person(speech.utterances[row]) for row in target_test} - {None}
        held = set() if settings.share_speakers or settings.transductive else heard
        adapts = [row for row in scored if settings.transductive or row not in target_test]
        adapts += [row for row in rest if person(speech.utterances[row]) not in held]
        train = tuple(int(row) for row in source if row not in test)
        fold = Fold(train, tuple(sorted(test)), tuple(map(int, sorted(adapts))), tuple(sorted(target_test)))
        folds.append(_apart(speech, fold, settings, seed))
    return tuple(folds)


def _scored(speech: Speech, target: np.ndarray, settings: Settings) -> np.ndarray:
    """The labelled ones; none where a person gave all labels, and of speakers who cannot be told apart or are one."""
    scored = target[speech.label[target] != UNLABELLED]
    if settings.share_speakers or speech.given is None or {speech.utterances[row].id for row in scored} - speech.given:
        return scored
    people = {person(speech.utterances[row]) for row in scored}
    return scored[:0] if None in people or len(people) < 2 else scored


def everything(speech: Speech, settings: Settings, seed: int) -> Fold:
    """The fold that scores nothing and so holds nothing out: what the bundle is made from."""
    source, target = np.flatnonzero(~speech.is_target), np.flatnonzero(speech.is_target)
    return _apart(speech, Fold(tuple(source.tolist()), (), tuple(target.tolist()), ()), settings, seed)


def _apart(speech: Speech, fold: Fold, settings: Settings, seed: int) -> Fold:
    """The fold with a fifth of its training speakers as validation: none without early stopping.

    Of the target, where asked for, their labelled utterances validate, and nothing of theirs adapts.
    """
    if not settings.patience:
        return fold
    source, validation = _fifth(speech, fold.source, settings, seed)
    labelled = budget(speech, fold, "all", seed) if settings.validate == "both" else ()
    if not labelled:
        return replace(fold, source=source, validation=validation)
    _, apart = _fifth(speech, labelled, settings, seed)
    held = set() if settings.share_speakers else {person(speech.utterances[row]) for row in apart} - {None}
    adapts = [row for row in fold.target if row not in apart and person(speech.utterances[row]) not in held]
    return replace(fold, source=source, target=tuple(adapts), validation=(*validation, *apart))


def _fifth(speech: Speech, rows: Part, settings: Settings, seed: int) -> tuple[Part, Part]:
    """The rows without, and of, a fifth of their speakers."""
    some = [speech.utterances[row] for row in rows]
    kept, apart = by_ratio(some, (0.8, 0.2), seed=seed, share_speakers=settings.share_speakers)
    return tuple(rows[place] for place in kept), tuple(rows[place] for place in apart)


def budget(speech: Speech, fold: Fold, amount: str, seed: int) -> Part:
    """The rows of the target whose labels may be seen: `amount` of those that adapt, or "all" of them.

    Smaller budgets lie inside larger ones. Where a person gave labels, only these are seen, and all of them when
    `amount` is their number: those whose speaker is not scored. Errors: UserError where there are not so many labels.
    """
    held = set(fold.target_test)  # in a transductive fold these adapt too, and never with their labels
    rows = [row for row in fold.target if speech.label[row] != UNLABELLED and row not in held]
    if speech.given is not None:
        rows = [row for row in rows if speech.utterances[row].id in speech.given]
    if amount == "all" or (speech.given is not None and int(amount) >= len(speech.given)):
        return tuple(rows)
    if not int(amount):
        return ()
    try:
        chosen = label_budgets([speech.utterances[row] for row in rows], (int(amount),), seed=seed)[int(amount)]
    except UserError as error:
        raise UserError(f"target_labels: {error}") from error
    return tuple(rows[place] for place in chosen)


def largest_budget(speech: Speech, settings: Settings, seeds: Sequence[int]) -> int:
    """The largest number of target labels that every fold of these seeds has."""
    folds = [(fold, seed) for seed in seeds for fold in folds_of(speech, settings, seed)]
    return min(len(budget(speech, fold, "all", seed)) for fold, seed in folds)


def build(
    speech: Speech,
    fold: Fold,
    method: Method,
    classes: int,
    settings: Settings,
    encoder: Encoder | None,
    few: Part,
    matrices: Matrices | None = None,
) -> Built:
    """What `method` may see of a fold. What it names neither in `needs` nor in `takes` is not in what it receives.

    matrices: what CORAL found before for the same speech, looked up and added to: all methods and budgets share it.
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
    learner, make = _maker(speech, fold, settings, encoder)
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
        few=_labelled(speech, rows, place[1], place[2]) if labelled else None,
        target=torch.arange(place[2], place[3]) if "target_audio" in seen else None,
        class_weights=settings.class_weights,
        traits=_traits(speech, rows, copies) if "traits" in seen else (),
    )
    held = list(fold.validation)
    validation = (make(held), _labelled(speech, held, 0, len(held))) if held else None
    if validation is not None:
        side = torch.from_numpy(speech.is_target[held].astype(np.int64))
        validation = validation[0], replace(validation[1], corpus=side)
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


def _labelled(speech: Speech, rows: Sequence[int], first: int, last: int) -> Labelled:
    some = rows[first:last]
    corpus = torch.from_numpy(speech.domain_of[some])
    return Labelled(torch.arange(first, last), torch.from_numpy(speech.label[some]), corpus)


def _maker(
    speech: Speech, fold: Fold, settings: Settings, encoder: Encoder | None
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

    def make(rows: Sequence[int], leads: bool = False) -> Frozen:
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
    return with_texts(domain, features[rows], [person(one) for one in some], [one.text for one in some])


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
        copies[mine] = recoloured(copies[mine], matrices[key])
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
        x[torch.from_numpy(mine)] = normalised(own, domain, speakers, [one.text for one in some])
    return x


def _speakers(speech: Speech, rows: np.ndarray) -> int:
    return len({person(speech.utterances[row]) for row in rows})


def _parts(speech: Speech, rows: np.ndarray, count: int, settings: Settings, seed: int) -> tuple[Part, ...]:
    """The test parts of the folds."""
    some = [speech.utterances[row] for row in rows]
    if settings.share_speakers:
        parts = by_ratio(some, (1 / count,) * count, seed=seed, share_speakers=True)
    else:
        parts = by_fold(some, max(count, 2), seed=seed)
    return tuple(tuple(int(rows[place]) for place in part) for part in parts)
