"""All that comes before a case is decided: the encoder, the speech, its features, and what could not be read."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch

from emobridge.bundle import columns, select
from emobridge.cache import Cache
from emobridge.data.audio import AudioError, utterance_pieces
from emobridge.data.batching import pad
from emobridge.data.devices import choose_device, placed
from emobridge.data.speech import Speech
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.features.extraction import extract
from emobridge.features.finite import check_finite
from emobridge.features.pooling import views_of
from emobridge.features.store import FeatureStore, last_of
from emobridge.features.work import EncoderSource, fill_stores
from emobridge.files import cache_folder
from emobridge.options import read_options
from emobridge.progress import in_passes, progress, report_note
from emobridge.scale import encoding
from emobridge.settings import Adapt, Budget, layer_names
from emobridge.study.cases import Decision, check_useful, decide, draft
from emobridge.study.origin import SourceBundle
from emobridge.study.phones import with_phones
from emobridge.study.reading import Manifests, labels_of, read_speech, target_labels_of
from emobridge.study.run import Runner
from emobridge.training.case import Case
from emobridge.training.stages import hardware_of
from emobridge.types import SAMPLE_RATE, short_repr

Request = TypeVar("Request", Adapt, Budget)
Progress = Callable[[int, int], None]


@short_repr
@dataclass(frozen=True, slots=True)
class Prepared:
    """What a study begins with."""

    drafts: tuple[Case, ...]
    speech: Speech  # with features, where a case trains on stored ones
    encoder: Encoder
    skipped: tuple[tuple[str, str], ...]  # id and reason of utterances that could not be read
    left_out: int  # target utterances of other emotions
    origin: SourceBundle | None = None  # of `adapt --from`, in place of source speech
    manifests: Manifests = field(default_factory=Manifests)  # of the request, as they were read


@short_repr
@dataclass(frozen=True, slots=True)
class Started:
    """A study that is ready to train."""

    prepared: Prepared
    decision: Decision
    runner: Runner


def start(
    request: Adapt | Budget,
    check: Callable[[Speech], None],
    *,
    cache: Cache,
    shared: Cache | None = None,
    strict: bool = False,
    origin: SourceBundle | None = None,
) -> Started:
    """Read the speech of a resolved request, compute its features and decide its cases; see `prepare` and `decide`."""
    prepared = prepare(request, check, strict=strict, origin=origin)
    runner = Runner(prepared.speech, request.split, cache, shared, origin, device=request.output.device)
    with progress("deciding") as report:
        decision = decide(request, prepared.drafts, prepared.encoder, runner, report)
    return Started(prepared, decision, runner)


def resolve(request: Request) -> Request:
    """The request with its labels and its label budget spelled out.

    Errors: UserError as `reading` has them, and for an option that would do nothing in this run.
    """
    check_useful(request)
    data = request.data
    return replace(request, data=replace(data, labels=labels_of(data), target_labels=target_labels_of(data)))


def prepare(
    request: Adapt | Budget,
    check: Callable[[Speech], None],
    *,
    strict: bool = False,
    origin: SourceBundle | None = None,
) -> Prepared:
    """Read a resolved request's speech and compute its features. origin: a bundle in place of source speech.

    check: looks at the speech before anything long begins, and once more when it is known what can be read. strict:
    the first utterance that cannot be read raises. Errors: UserError for whatever is wrong with request or speech.
    """
    data, features, labels = request.data, request.features, request.data.labels or ()
    device = request.output.device
    workers = encoding(request.output.cluster, device=device)
    choose_device(device)
    options = read_options(features.all_encoder_options)
    encoder = load_encoder(features.encoder, **options)
    drafts = draft(request, encoder)
    if origin is not None:
        drafts = tuple(replace(case, source=origin.digest) for case in drafts)
    notes: list[str] = []
    shared = request.split.share_speakers
    moments = None if origin is None else origin.moments
    manifests = Manifests()
    speech, left_out = read_speech(
        data, labels, manifests=manifests, share_speakers=shared, on_note=notes.append, source_moments=moments
    )
    if origin is not None:
        origin.check(speech, share_speakers=shared)
    check(speech)
    for note in notes:
        report_note(note)
    frozen = [case for case in drafts if not case.uses_recordings]
    hardware = hardware_of(next((case for case in drafts if case.uses_recordings), drafts[0]), device)
    if frozen:
        with hardware.first(), placed(encoder, device), progress(f"features of {encoder.name}") as bar:
            (report,) = in_passes(bar, [len(speech.utterances)])
            layers = _layers_of(frozen, encoder)
            store = FeatureStore(request.output.store or cache_folder(), encoder, last_layer=last_of(layers))
            fill_stores(
                store,
                EncoderSource(features.encoder, tuple(options.items())),
                speech.utterances,
                jobs=request.output.jobs,
                workers=workers and workers.sharing(store.folder.parent),
                with_prosody=features.prosody,
                strict=strict,
                on_progress=report,
            )
            speech, skipped = _with_features(speech, frozen, store, layers, report, strict)
    else:
        with progress("reading") as report:
            skipped = _unreadable(speech, encoder, drafts[0], hardware.device, report, strict)
        speech = _without(speech, skipped)
    if skipped:
        check(speech)
    if classes := tuple(dict.fromkeys(name for case in drafts for name in case.phone_classes)):
        with progress("phones") as report:
            speech = with_phones(speech, classes, data.alignments, encoder, request.output, report)
    return Prepared(drafts, speech, encoder, skipped, left_out, origin, manifests)


def _layers_of(cases: Sequence[Case], encoder: Encoder) -> tuple[str, ...]:
    """The names of the layers that a case may see."""
    names = {name for case in cases for name in layer_names(case.layer)}
    return tuple(str(layer) for layer in range(encoder.layers) if names & {"auto", str(layer)})


def _with_features(
    speech: Speech,
    cases: Sequence[Case],
    store: FeatureStore,
    layers: tuple[str, ...],
    report: Progress,
    strict: bool,
) -> tuple[Speech, tuple[tuple[str, str], ...]]:
    """The speech with the pooled features of some layers, and what could not be read."""
    encoder = store.encoder
    prosody = cases[0].prosody
    extracted = extract(
        store, speech.utterances, layers=layers, with_prosody=prosody, on_progress=report, strict=strict
    )
    speech = _without(speech, extracted.skipped)
    most = max(cases, key=lambda case: case.views).statistics
    values = select(torch.from_numpy(extracted.values), columns(encoder, most, prosody=prosody))
    return replace(speech, features=values, layers=layers, views=len(views_of(most))), extracted.skipped


def _unreadable(
    speech: Speech, encoder: Encoder, case: Case, device: torch.device, report: Progress, strict: bool
) -> tuple[tuple[str, str], ...]:
    """Id and reason of each utterance that cannot be read, before training comes upon it.

    Nor may the untrained encoder make of its beginning, as much as a training step sees, what is not finite.
    """
    skipped = []
    size = round(case.training.crop * SAMPLE_RATE)
    encoder.to(device)
    for done, utterance in enumerate(speech.utterances, 1):
        try:
            pieces = utterance_pieces(utterance)
            wave, mask = pad([next(pieces)[:size]])
            collections.deque(pieces, maxlen=0)  # decoded to the end
            with torch.inference_mode():
                check_finite(encoder(wave.to(device), mask.to(device)).hidden, utterance, encoder.name)
        except AudioError as error:
            if strict:
                raise
            skipped.append((utterance.id, str(error)))
        report(done, len(speech.utterances))
    encoder.cpu()
    return tuple(skipped)


def _without(speech: Speech, skipped: Sequence[tuple[str, str]]) -> Speech:
    """The speech without what could not be read. Errors: UserError where nothing is left of a corpus."""
    if not skipped:
        return speech
    reasons = dict(skipped)
    rows = [row for row, utterance in enumerate(speech.utterances) if utterance.id not in reasons]
    for corpus in sorted(set(speech.domain_of.tolist()) - set(speech.domain_of[rows].tolist())):
        first = speech.utterances[int(np.flatnonzero(speech.domain_of == corpus)[0])]
        raise UserError(f"no audio of one side can be read; the first reason: {reasons[first.id]}")
    return speech.of(rows)
