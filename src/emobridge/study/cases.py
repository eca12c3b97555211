"""From what a user asked for to what is trained: the only place that resolves `auto`, `middle` and defaults.

`draft` decides all that the request and the encoder tell; `decide` adds what only the speech can tell: the layer of
`auto`, and the corpora that must not be normalised by speaker. The baseline is the same system in every command: it
depends on what was asked of data, encoder and training, and not on the method beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emobridge import registry
from emobridge.adapters import Adapters
from emobridge.cache import Cache
from emobridge.data.prosody import prosody_width
from emobridge.data.speech import Speech
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError, unknown
from emobridge.features.pooling import views_of
from emobridge.methods.base import BASELINE
from emobridge.options import Plugin, options_of, read_options, unknown_option
from emobridge.progress import in_passes
from emobridge.settings import (
    LAYER_RULES,
    Adapt,
    Budget,
    Features,
    Split,
    System,
    Training,
    changed_values,
    default_of,
    flat_values,
    from_mapping,
    layer_names,
    refuse_useless,
    unmet_needs,
)
from emobridge.study.evaluations import ua_of
from emobridge.study.guard import CorpusVariety, varieties
from emobridge.study.run import Runner, Unit
from emobridge.training.case import Case
from emobridge.training.hardware import resolve_precision
from emobridge.types import SPEECH_PREFIX, short_repr

AUTO = "auto"
DROPOUT = 0.8  # of what linear heads see: ours, and strong, lest they lean on few directions of wide features
TRAINED_HEAD = "single"  # of methods whose own head has a closed form, where an encoder takes part
NEIGHBOURS = 1  # layers on each side of the middle one
LEAST_FEATURES = 100  # features at least that dropout leaves at a time
# Why an option does nothing in a run, and what would make it do something.
REASONS = {
    "attributes": "no attributes are learnt: give --attributes",
    "speaker normalisation": "nothing is normalised by speaker: give --normalise speaker, with stored features",
    "frozen encoder": "no other frozen encoder is beside it: give --train frozen, or another --method or --encoder",
    "end-to-end": "no encoder is trained end to end: give --train end-to-end, or a method such as fine-tuned",
    "adapters": "no adapters are trained: give --train adapters, or a method such as lora",
    "trained encoder": "no encoder is trained: give --train end-to-end, or a method such as fine-tuned",
    "recordings": "no audio goes through an encoder while training: give --train end-to-end, or a method such as "
    "fine-tuned",
    "gradients": "nothing is trained by gradients: give --head single, or a method such as soft-pseudo-labels",
    "patience": "training never stops early: give --patience",
    "phones": "no method goes by phones: give --method phonetic-constraint, or layer-anchoring",
    "adaptation": "there is no adapted system: give adapt a --method other than source-only",
    "adapting a bundle": "only `adapt` adapts a bundle",
    "folds of a budget": "only `budget` reports on utterances that are kept apart",
    "report of the target": "only the report of `adapt` has clips of the target",
}
BUDGET_LISTS = {"method": "methods", "target_labels": "budgets", "normalise": "normalisations"}  # of adapt, of budget


@dataclass(frozen=True, slots=True)
class Choice:
    """A system as the request names it."""

    method: str
    target_labels: str
    normalise: str


@short_repr
@dataclass(frozen=True, slots=True)
class Decision:
    """The cases of a request, and what was measured on the speech to decide them."""

    cases: tuple[Case, ...]  # in the order of the choices
    layer_scores: tuple[tuple[str, float], ...] = ()  # UA of each layer on the source, where one was chosen
    varieties: tuple[CorpusVariety, ...] = ()  # of the speakers and texts of each corpus, where the guard looked


def choices_of_request(request: Adapt | Budget) -> tuple[Choice, ...]:
    """The systems that a request runs, the baseline first.

    Errors: UserError for an unknown method, and for one that none of the budgets suits.
    """
    if isinstance(request, Adapt):
        amount, methods = request.data.target_labels, _with_baseline((_chosen_method(request),))
        return tuple(Choice(name, amount, request.features.normalise) for name in methods)
    choices = []
    for normalise in request.normalisations:
        for method in _with_baseline(request.methods):
            suited = [amount for amount in request.amounts if suits(method, amount)]
            if not suited:
                remedy = (
                    "cannot use target labels: give 0" if suits(method, "0") else "needs them: give a number above 0"
                )
                raise UserError(f"budgets: {','.join(request.budgets)}: method {method} {remedy} among them")
            choices += [Choice(method, amount, normalise) for amount in suited]
    return tuple(choices)


def suits(method: str, amount: str) -> bool:
    """Whether a method can be run with so many target labels. Errors: UserError for an unknown method."""
    plugin = registry.load("methods", method)
    return "target_labels" not in plugin.needs if amount == "0" else "target_labels" in plugin.needs | plugin.takes


def draft(request: Adapt | Budget, encoder: Encoder) -> tuple[Case, ...]:
    """A case of each choice of a request, before the speech is read: its layer may still be "auto".

    The labels of the request are resolved. Errors: UserError for whatever is wrong with the request.
    """
    choices = choices_of_request(request)
    methods = {choice.method: registry.load("methods", choice.method) for choice in choices}
    heads = {name: _head_name(request, plugin) for name, plugin in methods.items()}
    return tuple(_case(request, encoder, choice, methods, heads) for choice in choices)


def check_useful(request: Adapt | Budget, names: Iterable[str] | None = None) -> None:
    """Refuse an option that would do nothing in this run.

    names: of the options that were asked for, by field; by default those that differ from their defaults.
    Errors: UserError that names the option and what would make it do something.
    """
    requested = tuple(changed_values(request) if names is None else names)
    refuse_useless(request, unmet_needs(type(request), requested, conditions_of_request(request)), REASONS)
    if isinstance(request, Budget):
        for name, several in BUDGET_LISTS.items():
            if name in requested:
                raise UserError(f"{name}: does nothing here; budget takes {several}, a list")


def without_useless(request: Budget) -> Budget:
    """The request with the defaults of options that would do nothing, for settings that several requests share."""
    names = unmet_needs(Budget, changed_values(request), conditions_of_request(request))
    defaults = {name: default_of(Budget, name) for name in names}
    return from_mapping(flat_values(request) | defaults, "budget", Budget)


def conditions_of_request(request: Adapt | Budget) -> dict[str, bool]:
    """Which needs of options hold in this run, by the keys of REASONS."""
    methods = [registry.load("methods", choice.method) for choice in choices_of_request(request)]
    compared = [plugin for plugin in methods if plugin.name != BASELINE] or methods
    trained = {stage.train for plugin in methods for stage in plugin.stages} | {
        request.system.train for plugin in methods if not plugin.stages
    }
    normalisations = request.normalisations if isinstance(request, Budget) else (request.features.normalise,)
    return {
        "attributes": bool(request.data.attributes),
        "speaker normalisation": any(word.startswith("speaker") for word in normalisations) and "frozen" in trained,
        "frozen encoder": request.system.train == "frozen"
        and not all(plugin.stages for plugin in compared)
        and request.features.encoder != "prosody",
        "end-to-end": "end-to-end" in trained,
        "adapters": "adapters" in trained,
        "trained encoder": bool(trained & {"end-to-end", "adapters"}),
        "recordings": trained != {"frozen"},
        "gradients": any(not registry.load("heads", _head_name(request, plugin)).closed_form for plugin in methods),
        "patience": request.training.patience > 0,
        "phones": any("phones" in plugin.needs | plugin.takes for plugin in methods),
        "adaptation": isinstance(request, Adapt) and len(choices_of_request(request)) > 1,
        "adapting a bundle": isinstance(request, Adapt),
        "folds of a budget": isinstance(request, Budget),
        "report of the target": isinstance(request, Adapt),
    }


def decide(
    request: Adapt | Budget,
    drafts: Sequence[Case],
    encoder: Encoder,
    runner: Runner,
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> Decision:
    """The cases of a request, complete: with layer, guarded corpora and the dropout of their heads.

    A choice of a layer trains the baseline, and nothing else: what it and the guard say does not depend on the method.
    """
    speech = runner.speech
    for name in (*request.features.by_corpus, *request.split.by_utterance):
        corpora = [corpus for corpus, _ in speech.corpora]
        if name not in corpora:
            raise unknown("corpus of this run", name, corpora)
    cases: list[Case] = []
    scores: dict[str, tuple[tuple[str, float], ...]] = {}  # by normalisation
    normalisations = dict.fromkeys(case.normalise for case in drafts if case.layer == "auto")
    passes = dict(zip(normalisations, in_passes(progress, [len(speech.layers)] * len(normalisations))))
    measured: dict[str, tuple[CorpusVariety, ...]] = {}  # by layer
    for case in drafts:
        baseline = _baseline_of(case, drafts)
        if case.layer == "auto":
            if case.normalise not in scores:
                scores[case.normalise] = layer_scores(speech, baseline, runner.split, passes[case.normalise])
            case = replace(case, layer=max(scores[case.normalise], key=lambda pair: pair[1])[0])
        if request.features.guard and case.normalise.startswith("speaker") and case.labels and not case.uses_recordings:
            if case.layer not in measured:
                measured[case.layer] = varieties(speech, case, runner.guard_map(case))
            case = _guarded(case, measured[case.layer])
        cases.append(with_dropout(case, width_of(case, encoder)))
    first_scores: tuple[tuple[str, float], ...] = next(iter(scores.values()), ())
    first_varieties: tuple[CorpusVariety, ...] = next(iter(measured.values()), ())
    return Decision(tuple(cases), first_scores, first_varieties)


def _guarded(case: Case, measured: Sequence[CorpusVariety]) -> Case:
    """The case without the normalisation by speaker, or by text, that would take the emotion out of a corpus."""
    low = [(row.group, row.corpus) for row in measured if row.is_low]
    by_corpus = dict.fromkeys((*case.by_corpus, *(corpus for group, corpus in low if group == "speaker")))
    texts = [corpus for group, corpus in low if group == "text" and case.normalise == "speaker+text"]
    return replace(case, by_corpus=tuple(by_corpus), without_texts=tuple(texts))


def layer_scores(
    speech: Speech, baseline: Case, split: Split, progress: Callable[[int, int], None]
) -> tuple[tuple[str, float], ...]:
    """UA of each layer on held-out speakers of the SOURCE, trained on its others; the target is not looked at."""
    source = replace(speech.of(np.flatnonzero(~speech.is_target)), attributes=None)
    runner = Runner(source, replace(split, seeds=1), Cache(None))
    scores = []
    assert source.features is not None  # a layer is chosen among stored ones
    width = source.features.shape[2]
    for index, layer in enumerate(speech.layers):
        case = replace(_plain(baseline), layer=layer, align="none")
        answers = runner.unit(Unit(with_dropout(case, width), 0))
        predicted = [part for part in answers.predicted if part.side == "source"]
        scores.append((layer, ua_of(source, predicted, case.labels)))
        progress(index + 1, len(speech.layers))
    return tuple(scores)


def with_dropout(case: Case, width: int) -> Case:
    """The case with the dropout of a head that has one of its input, `width` wide, where none was asked for.

    How it was chosen stands in docs/results/semi-supervised.md.
    """
    options = options_of(registry.load("heads", case.head.name))
    if case.is_staged or "input_dropout" not in options or "input_dropout" in dict(case.head.options):
        return case
    share = max(0.0, min(DROPOUT, 1 - LEAST_FEATURES / width))
    return replace(case, head=Plugin(case.head.name, (*case.head.options, ("input_dropout", float(f"{share:g}")))))


def width_of(case: Case, encoder: Encoder) -> int:
    """The width of the vectors that the head sees."""
    width = encoder.width * len(case.statistics) + prosody_width(case.prosody) * case.views
    return width * len(layer_names(case.layer))


def _baseline_of(case: Case, drafts: Sequence[Case]) -> Case:
    """The baseline beside a case."""
    return next(other for other in drafts if other.method.name == BASELINE and other.normalise == case.normalise)


def _plain(case: Case) -> Case:
    """The case without target labels, early stopping and attributes."""
    training = replace(case.training, patience=0, validate="source")
    return replace(case, target_labels="0", attributes=(), attribute_range="", training=training)


def _with_baseline(methods: Iterable[str]) -> tuple[str, ...]:
    """The methods without repetition, the baseline first; names of plug-ins in their usual spelling."""
    names = registry.names("methods")
    usual = ((method, method.replace("_", "-").casefold()) for method in methods)
    return tuple(dict.fromkeys((BASELINE, *(name if name in names else method for method, name in usual))))


def _chosen_method(request: Adapt) -> str:
    """The method of a request; auto is the default. Errors: UserError for options of auto."""
    system = request.system
    if system.method != AUTO:
        return system.method
    if system.method_options:
        raise UserError(f"method auto: has no options; give {system.method_options[0]} to a method by its name")
    return str(default_of(Adapt, "method"))


def _head_name(request: Adapt | Budget, method: Any) -> str:
    """The head that was asked for, or the method's own; where an encoder takes part, one that is trained with it."""
    if request.system.head != AUTO:
        return request.system.head
    takes_part = bool(method.stages) or request.system.train != "frozen"
    return TRAINED_HEAD if takes_part and registry.load("heads", method.head).closed_form else str(method.head)


def _case(
    request: Adapt | Budget, encoder: Encoder, choice: Choice, methods: dict[str, Any], heads: dict[str, str]
) -> Case:
    """One case of a request. Errors: UserError for parts that do not go together."""
    data, features, system = request.data, request.features, request.system
    method, head = methods[choice.method], heads[choice.method]
    train = "stages" if method.stages else system.train
    kinds = {stage.train for stage in method.stages} or {system.train}
    head_plugins = {name: registry.load("heads", name) for name in heads.values()}
    is_solved = bool(registry.load("heads", head).closed_form)
    statistics = _statistics(features, encoder, is_solved=is_solved)
    _check_method(request, choice, method, head)
    _check_training(request, choice, encoder, kinds)
    layer = _layer(features.layer, encoder, kinds, system, bool(method.stages))
    case = Case(
        labels=data.labels or (),
        attributes=data.attributes,
        attribute_range=data.attribute_range,
        encoder=features.encoder,
        encoder_options=features.all_encoder_options,
        digest=encoder.digest,
        layer=layer,
        statistics=statistics,
        prosody=features.prosody and train == "frozen" and encoder.name != "prosody",
        normalise=choice.normalise,
        by_corpus=features.by_corpus,
        align="none" if train != "frozen" else features.align,
        method=_own("methods", system.method_options, choice.method, methods),
        head=_own(
            "heads",
            (*system.head_options, *_own_options(layer, statistics, head_plugins[head], system.head_options)),
            head,
            head_plugins,
        ),
        train=train,
        blocks=system.blocks if "end-to-end" in kinds else "",
        adapters=system.adapters if "adapters" in kinds else "",
        adapter_options=(
            (*system.adapter_options, *_blocks_up_to(layer, encoder, system)) if "adapters" in kinds else ()
        ),
        target_labels=choice.target_labels,
        training=_training(request.training, kinds, request.output.device, is_solved=is_solved),
    )
    if case.phone_classes:
        _check_phones(case)
    if case.head.make("heads", width=width_of(case, encoder), classes=case.classes).all_layers:
        raise UserError(f"head {head}: takes all layers of an encoder at once, which `emobridge probe` trains")
    if case.sees_frames and case.normalise != "none":
        raise UserError(f"normalise: head {head} sees single frames, which are not; give --normalise none")
    return case


def _check_phones(case: Case) -> None:
    """Errors: UserError for features that the means of phones could not stand beside."""
    name = case.method.name
    if case.statistics != ("mean",):
        raise UserError(f"method {name} goes by means of phones' frames: give --statistic mean")
    if case.prosody:
        raise UserError(f"method {name} goes by means of phones' frames, which have no prosody: give --no-prosody")
    if case.normalise == "speaker+text":
        raise UserError(f"method {name} goes by phones, which have no text: give --normalise speaker, corpus or none")


def _check_method(request: Adapt | Budget, choice: Choice, method: Any, head: str) -> None:
    """Errors: UserError for labels that the method needs or cannot use, and a head that it cannot shape."""
    data, system, name = request.data, request.system, choice.method
    if choice.target_labels != "0" and "target_labels" not in method.needs | method.takes:
        raise UserError(f"method {name} cannot use target labels: give --target-labels 0")
    if choice.target_labels == "0" and "target_labels" in method.needs:
        raise UserError(f"method {name} needs labels of the target: give --target-labels a number, or all")
    if data.attributes_only and "emotions" in method.needs:
        raise UserError(f"method {name} goes by emotions, and labels are none: give --method source-only, or dann")
    is_solved = registry.load("heads", head).closed_form
    is_frozen = system.train == "frozen" and not method.stages
    if data.from_bundle and not (is_solved and is_frozen and method.closed_form):
        raise UserError(f"method {name} with head {head} needs source speech, which --from does without: give blend")
    if is_solved and not (is_frozen and method.closed_form):
        why = "has a loss of its own" if is_frozen else "trains an encoder"
        raise UserError(
            f"head {head} is solved and not trained by gradients, and method {name} {why}: give --head auto"
        )
    if method.needs_closed_form and not is_solved:
        remedy = "give --head discriminant" if is_frozen else "give --method soft-pseudo-labels, or --train frozen"
        raise UserError(f"method {name} needs a head that is solved, on stored features: {remedy}")
    if is_frozen and not method.closed_form and method.head != TRAINED_HEAD == head:
        raise UserError(
            f"method {name} shapes what lies before the output, where head single has nothing to train: "
            f"give --head {method.head}, or --train end-to-end"
        )


def _check_training(request: Adapt | Budget, choice: Choice, encoder: Encoder, kinds: set[str]) -> None:
    """Errors: UserError for what works on stored features only, and for an encoder without weights to train."""
    features, system = request.features, request.system
    if kinds == {"frozen"}:
        return
    way = f"--train {system.train}" if kinds == {system.train} else f"method {choice.method}"
    if choice.normalise == "speaker+text" or features.by_corpus:
        raise UserError(f"normalise: 'speaker+text' and by_corpus work on frozen features, not with {way}")
    if not any(True for _ in encoder.parameters()):
        remedy = "give --train frozen" if kinds == {system.train} else "choose another --method"
        raise UserError(f"encoder {encoder.name} has nothing to train: {remedy}")


def _statistics(features: Features, encoder: Encoder, *, is_solved: bool) -> tuple[str, ...]:
    """Those asked for, or the encoder's. A head that is solved also sees the frames with speech, where nothing is said
    of frames.
    """
    statistics = features.statistics or encoder.chosen_statistics or encoder.statistics[:1]
    speech_statistic = f"{SPEECH_PREFIX}{statistics[0]}"
    chooses_frames = any(word.startswith("frames=") for word in features.all_encoder_options)
    if is_solved and not features.statistics and not chooses_frames and speech_statistic in encoder.statistics:
        statistics = (statistics[0], speech_statistic)
    for statistic in statistics:
        if statistic not in encoder.statistics:
            raise unknown(f"statistic of encoder {encoder.name}", statistic, encoder.statistics)
    return tuple(statistics)


def _own_options(layer: str, statistics: Sequence[str], head: Any, words: Sequence[str]) -> tuple[str, ...]:
    """Options of a head that follow from what it sees, but for those in `words`.

    By `views` a head that is solved takes each view as a recogniser of its own; by `layers` a layered one knows how
    many lie side by side.
    """
    counts = {"views": len(views_of(statistics))}
    if head.layered:
        counts["layers"] = len(layer_names(layer))
    takes = set(options_of(head)) - set(read_options(words))
    return tuple(f"{name}={count}" for name, count in counts.items() if name in takes and count > 1)


def _layer(layer: str, encoder: Encoder, kinds: set[str], system: System, is_staged: bool) -> str:
    """The name of the layer, or "auto" where held-out source speakers will choose it."""
    layers, joined = encoder.layers, False
    layer = "+".join(map(str, encoder.block_layers)) if layer == "all" else layer
    if "adapters" in kinds:
        adapted = Adapters(encoder, system.adapters, system.adapter_options)  # a mistake in them shows here
        joined = encoder.layers < layers
        layers = layers if is_staged else encoder.layers
        adapted.detach()
    if joined and len(layer_names(layer)) > 1:
        raise UserError(f"layer: {layer}: adapters {system.adapters} leave the encoder a single layer: name one")
    names = tuple(map(str, range(layers)))
    if layer not in LAYER_RULES:
        for name in layer_names(layer):
            if name not in names:
                raise unknown(f"layer of encoder {encoder.name}", name, (*names, *LAYER_RULES))
        return layer
    if kinds != {"frozen"}:
        return names[-1]
    if layer == "auto":
        return "0" if layers == 1 else "auto"
    middle = (layers - 1) // 2
    return "+".join(names[max(0, middle - NEIGHBOURS) : middle + NEIGHBOURS + 1])


def _blocks_up_to(layer: str, encoder: Encoder, system: System) -> tuple[str, ...]:
    """The options by which adapters sit in the blocks up to the layer that is read, and not behind it.

    Adapters with blocks of their own keep these; all blocks count where layers are summed.
    Errors: UserError for layer 0, which no block changes.
    """
    trunk, names = encoder.trunk(), system.adapters.split("+")
    plugins = {name: registry.load("adapters", name) for name in names}
    own = read_options(system.adapter_options)
    open_names = [
        name
        for name in names
        if "blocks" in options_of(plugins[name])
        and f"{name}.blocks" not in own
        and not (len(names) == 1 and "blocks" in own)
    ]
    if trunk is None or not open_names or any(getattr(plugin, "joins_layers", False) for plugin in plugins.values()):
        return ()
    count = max(map(int, layer_names(layer)))
    if not count:
        raise UserError(f"layer: 0 is the input of the first block, which no {names[0]} changes: name one from 1")
    if count >= len(trunk.blocks):
        return ()
    blocks = "+".join(map(str, range(count)))
    return tuple(f"{name}.blocks={blocks}" for name in open_names)


def _training(training: Training, kinds: set[str], device: str, *, is_solved: bool) -> Training:
    """What was asked for, with the defaults of options that these stages do not use.

    Where an encoder takes part the precision is decided, so that fits in single precision and in bf16 have two keys.
    """
    defaults = Training()
    unused = set()
    if not kinds & {"end-to-end", "adapters"}:
        unused |= {"accumulate", "checkpointing", "precision"}
    if "end-to-end" not in kinds:
        unused |= {"encoder_rate"}
    if kinds == {"frozen"}:
        unused |= {"crop"}
    if is_solved:
        unused |= {"batch_size", "learning_rate", "decay", "weight_decay", "trace"}
    if not training.patience:
        unused |= {"validate", "validate_by"}
    chosen = replace(training, **{name: getattr(defaults, name) for name in unused})
    return chosen if kinds == {"frozen"} else replace(chosen, precision=resolve_precision(chosen.precision, device))


def _own(kind: str, words: Sequence[str], name: str, plugins: dict[str, Any]) -> Plugin:
    """The plug-in of `name` with the options, of those given to all, that it has.

    Errors: UserError for an option that no plug-in has, and for a value that the option cannot have.
    """
    has = {key: options_of(plugin) for key, plugin in plugins.items()}
    options = read_options(words)
    for option in options:
        if not any(option in names for names in has.values()):
            owners = [key for key in has if key != BASELINE] or [BASELINE]
            choices = sorted({choice for names in has.values() for choice in names})
            raise unknown_option(f"{registry.KINDS[kind].singular} {', '.join(owners)}", option, choices)
    return Plugin(name, tuple((option, value) for option, value in options.items() if option in has[name])).check(kind)
