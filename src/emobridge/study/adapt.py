"""From manifests to an adapted recogniser: features, layer, folds and seeds, scores, bundle, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.bundle import Recognizer, columns, made_head
from emobridge.data.audio import AudioError, read_audio
from emobridge.data.speech import Speech, budget, folds_of
from emobridge.encoders import load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.features.store import FeatureStore
from emobridge.files import cache_folder
from emobridge.methods.base import BASELINE
from emobridge.options import options_of, read_options
from emobridge.progress import progress
from emobridge.settings import FOUND, Settings, layers_of
from emobridge.study.auto import AUTO, Candidate, best, methods_of, run_candidates
from emobridge.study.guard import THRESHOLD, speakers_tell
from emobridge.study.reading import budgeted, emotions, read_speech
from emobridge.study.run import Predicted, Runner, Work, made_method, systems_of, unweighted
from emobridge.training.checkpoints import LogPoint
from emobridge.training.stages import hardware_of, sees_frames, staged

DROPOUT = 0.8  # of what linear heads see: ours, and strong, lest they lean on few directions of wide features
BESIDE = 1  # layers on each side of the middle one
KEPT = 100  # features at least that dropout leaves at a time


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training begins with."""

    settings: Settings  # with the layer and statistics that were chosen
    speech: Speech  # with features, where no encoder is trained
    encoder: Encoder
    layer_scores: tuple[tuple[str, float], ...]
    skipped: tuple[tuple[str, str], ...]
    left_out: int  # target utterances of other emotions

    @property
    def width(self) -> int:
        """Of the vectors that heads see."""
        return self.encoder.width * len(self.settings.statistics) * len(layers_of(self.settings.layer))


@dataclass(frozen=True, slots=True)
class Adapted:
    """All that a run made; `report.run` turns it into pages."""

    settings: Settings  # with the layer and statistics that were chosen
    speech: Speech
    predicted: tuple[Predicted, ...]
    log: tuple[tuple[str, LogPoint], ...]  # "method, seed 0, fold 1" and a point
    layer_scores: tuple[tuple[str, float], ...]
    skipped: tuple[tuple[str, str], ...]
    left_out: int  # target utterances of other emotions
    recognizer: Recognizer
    speakers_tell: tuple[tuple[str, float], ...] = ()  # I(speaker; emotion) of each corpus, nats; see harm
    candidates: tuple[Candidate, ...] = ()  # of method "auto", the chosen one among them

    @property
    def systems(self) -> tuple[str, ...]:
        """The methods that were run, the baseline first."""
        return systems_of(self.settings)


def adapt(settings: Settings, *, strict: bool = False) -> Adapted:
    """Run `settings`. What was finished by an interrupted run of the same settings is read, not done again.

    Utterances that cannot be read are left out and told; with `strict` the first one raises.
    Errors: UserError for whatever is wrong with the settings or the speech.
    """
    settings = budgeted(settings)
    cells = [with_head(replace(settings, method=name)) for name in methods_of(settings)]
    for cell in cells:
        for method in systems_of(cell):
            made_method(method, cell)
    ready = prepare(cells[0], strict=strict)
    speech, encoder = ready.speech, ready.encoder
    known, told = guarded(dropping(ready.settings, ready.width), speech)
    cells = [
        dropping(replace(known, method=cell.method, head=cell.head, head_options=cell.head_options), ready.width)
        for cell in cells
    ]
    candidates: tuple[Candidate, ...] = ()
    chosen = cells[0]
    with progress("training") as report:
        if settings.method == AUTO:
            candidates = run_candidates(cells, speech, encoder.digest, report)
            chosen = best(candidates, settings.validator).settings
        runner = Runner(chosen, speech, Work(Path(settings.out) / "work", chosen, speech, encoder.digest))
        predicted, log = () if candidates else runner.run(report), tuple(runner.log)
    for one in candidates:
        if one.method in systems_of(chosen):
            predicted, log = predicted + one.predicted, log + one.log
    return Adapted(
        chosen,
        speech,
        predicted,
        log,
        ready.layer_scores,
        ready.skipped,
        ready.left_out,
        runner.final(encoder),
        told,
        candidates,
    )


def with_head(settings: Settings) -> Settings:
    """The settings with the method's own head for "auto". Errors: UserError for an unknown head, option or method."""
    if settings.head == "auto":
        settings = replace(settings, head=registry.load("methods", settings.method).head)
    if made_head(settings.head, settings.head_options, 1, settings.classes).all_layers:
        raise UserError(f"head {settings.head}: takes all layers of an encoder at once, which `emobridge probe` trains")
    return _staged(settings) if staged(settings) else settings


def _staged(settings: Settings) -> Settings:
    """The settings of a method that trains an encoder in stages: no alignment, which works on stored features.

    Errors: UserError for what else works on stored features only.
    """
    if settings.normalise == "speaker+text" or settings.by_corpus:
        raise UserError(f"normalise: 'speaker+text' and by_corpus work on frozen features, not with {settings.method}")
    if "+" in settings.layer:
        raise UserError(f"layer: {settings.layer!r} works on frozen features; name one layer for {settings.method}")
    return replace(settings, align="none", layer="middle" if settings.layer == "auto" else settings.layer)


def prepare(
    settings: Settings, check: Callable[[Speech, Settings], None] | None = None, *, strict: bool = False
) -> Prepared:
    """All that comes before training: speech, folds, features, layer. `settings` have a head.

    check: what else is looked at before anything long begins, and once more when it is known what can be read; without
    it, that there are as many labels as the settings ask for. Errors: UserError as `adapt` has them.
    """
    encoder = load_encoder(settings.encoder, **read_options(settings.encoder_options))
    settings = _completed(replace(settings, labels=emotions(settings.labels)), encoder)
    speech, left_out = read_speech(settings)
    (check or _enough)(speech, settings)
    speech, layers, skipped = _with_features(speech, settings, encoder, strict)
    chosen: tuple[tuple[str, float], ...] = ()
    if layers is not None:
        chosen = layer_scores(speech, layers, settings)
        settings = replace(settings, layer=max(chosen, key=lambda pair: pair[1])[0])
        speech = replace(speech, features=layers[:, [int(settings.layer)]])
        del layers
    if check and skipped:
        check(speech, settings)
    return Prepared(settings, speech, encoder, chosen, skipped, left_out)


def guarded(settings: Settings, speech: Speech) -> tuple[Settings, tuple[tuple[str, float], ...]]:
    """The settings without speaker normalisation of corpora that it would harm; and what speakers tell, by corpus.

    It goes by emotions: where attributes are learnt alone nothing is told.
    """
    stored = settings.train == "frozen" and not staged(settings)
    if not (settings.guard and settings.normalise.startswith("speaker") and stored) or settings.alone:
        return settings, ()
    told = tuple(speakers_tell(speech, settings).items())
    found = [corpus for corpus, nats in told if nats > THRESHOLD and corpus not in settings.by_corpus]
    return replace(settings, by_corpus=(*settings.by_corpus, *found)), told


def _enough(speech: Speech, settings: Settings) -> None:
    """Too few speakers or labels are told before anything long begins."""
    for fold in folds_of(speech, settings, 0):
        budget(speech, fold, settings.target_labels, 0)


def _completed(settings: Settings, encoder: Encoder) -> Settings:
    """The settings with the encoder's first statistic where none was asked for, and its only layer."""
    statistics = settings.statistics or encoder.statistics[:1]
    for statistic in statistics:
        if statistic not in encoder.statistics:
            raise unknown(f"statistic of encoder {encoder.name}", statistic, encoder.statistics)
    own = registry.load("methods", settings.method).stages
    kinds = {stage.train for stage in own} or {settings.train}
    if kinds != {"frozen"} and not any(True for _ in encoder.parameters()):
        way = "choose another --method" if own else "give --train frozen"
        raise UserError(f"encoder {encoder.name} has nothing to train: {way}")
    if sees_frames(settings) and settings.normalise != "none":
        raise UserError(f"normalise: head {settings.head} sees single frames, which are not; give --normalise none")
    layers = encoder.layers
    if "adapters" in kinds:
        fitted = Adapters(encoder, settings.adapters, settings.adapter_options)  # a mistake is told here
        layers = layers if own else encoder.layers
        fitted.detach()
    names = tuple(map(str, range(layers)))
    for name in () if settings.layer in FOUND else layers_of(settings.layer):
        if name not in names:
            raise unknown(f"layer of encoder {encoder.name}", name, (*names, *FOUND))
    layer = "0" if settings.layer == "auto" and encoder.layers == 1 else settings.layer
    if own and layer == "middle":
        layer = names[-1]
    if layer == "middle":
        middle = (encoder.layers - 1) // 2
        layer = "+".join(names[max(0, middle - BESIDE) : middle + BESIDE + 1])
    return replace(settings, statistics=statistics, layer=layer)


def dropping(settings: Settings, width: int) -> Settings:
    """The settings with the dropout of a head that has one of its input, `width` wide, where none was asked for.

    How it was chosen stands in docs/results/semi-supervised.md.
    """
    has = options_of(registry.load("heads", settings.head))
    if staged(settings):
        return settings
    if "input_dropout" not in has or "input_dropout" in read_options(settings.head_options):
        return settings
    share = max(0.0, min(DROPOUT, 1 - KEPT / width))
    return replace(settings, head_options=(*settings.head_options, f"input_dropout={share:g}"))


def _with_features(
    speech: Speech, settings: Settings, encoder: Encoder, strict: bool
) -> tuple[Speech, Tensor | None, tuple[tuple[str, str], ...]]:
    """The speech with the pooled features of its layers, or of all of them (N, L, D), and what could not be read."""
    if settings.train != "frozen":
        skipped = _unreadable(speech, strict)
        return _without(speech, skipped), None, skipped
    store = FeatureStore(settings.store or cache_folder(), encoder)
    layer = None if settings.layer == "auto" else layers_of(settings.layer)
    with hardware_of(settings).first(), progress(f"features of {encoder.name}") as report:
        found = store.extract(speech.utterances, layer=layer, on_progress=report, strict=strict)
    speech = _without(speech, found.skipped)
    values = torch.from_numpy(found.values[..., columns(encoder, settings.statistics)])
    if layer is None:
        return speech, values, found.skipped
    return replace(speech, features=values), None, found.skipped


def _unreadable(speech: Speech, strict: bool) -> tuple[tuple[str, str], ...]:
    """Id and reason of each utterance that cannot be read, found before training comes upon it."""
    skipped = []
    for one in speech.utterances:
        try:
            read_audio(one.path, one.start, one.end)
        except AudioError as error:
            if strict:
                raise
            skipped.append((one.id, str(error)))
    return tuple(skipped)


def _without(speech: Speech, skipped: Sequence[tuple[str, str]]) -> Speech:
    """The speech without what could not be read. Errors: UserError where nothing is left of a corpus."""
    reasons = dict(skipped)
    rows = [row for row, one in enumerate(speech.utterances) if one.id not in reasons]
    for corpus in sorted(set(speech.domain_of.tolist()) - set(speech.domain_of[rows].tolist())):
        first = speech.utterances[int(np.flatnonzero(speech.domain_of == corpus)[0])]
        raise UserError(f"no audio of one side can be read; the first reason: {reasons[first.id]}")
    return speech.of(rows)


def layer_scores(speech: Speech, layers: Tensor, settings: Settings) -> tuple[tuple[str, float], ...]:
    """UA of each layer on held-out speakers of the SOURCE, trained on its others; the target is not looked at."""
    rows = np.flatnonzero(~speech.is_target)
    alone = replace(settings, align="none", method=BASELINE, method_options=(), target_labels="0", seeds=1)
    alone = replace(alone, patience=0, validate="source", attributes=(), attribute_range="")
    alone = dropping(alone, layers.shape[2])
    scores = []
    with progress("choosing a layer") as report:
        for layer in range(layers.shape[1]):
            source = replace(speech.of(rows), features=layers[rows, layer], attributes=None)
            said = [one for one in Runner(alone, source).run() if one.side == "source"]
            scores.append((str(layer), unweighted(source, said, settings.labels)))
            report(layer + 1, layers.shape[1])
    return tuple(scores)
