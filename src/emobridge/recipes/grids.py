"""The adaptation studies of a recipe on this machine: a grid of label budgets for each target and encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emobridge import registry
from emobridge.data.attributes import has_attributes
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import Fold, Speech, budget, folds_of
from emobridge.encoders import is_here, load_encoder
from emobridge.encoders.base import Encoder
from emobridge.errors import UserError
from emobridge.methods.base import BASELINE
from emobridge.options import options_of, read_options
from emobridge.probe.estimate import size_in_words, span_in_words
from emobridge.probe.splits import total_seconds
from emobridge.probe.timing import encoder_cost
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import CorpusCounts, RecipeStudy
from emobridge.settings import Budget, Output
from emobridge.study.cases import choices_of_request, draft, without_useless
from emobridge.study.grid import check_budgets
from emobridge.study.prepare import resolve
from emobridge.study.reading import labels_of, read_speech
from emobridge.training.case import Case

TRAINING_PASSES = 3  # passes of an encoder that a step of training it is taken for: forward, and two for the gradient
FLOAT_BYTES = 4
CHECKPOINT_COPIES = 4  # of the weights in a checkpoint: themselves, Adam's two moments, the best so far


def narrow_grids(
    study: RecipeStudy, settings: AdaptStudy, selected: Mapping[str, Sequence[str]]
) -> Iterable[RecipeStudy]:
    """The study with only the corpora, encoders, methods and budgets that are selected; nothing where one is empty."""
    request = settings.request
    source = tuple(name for name in settings.source if name in selected["corpora"])
    targets = tuple(name for name in settings.targets if name in selected["corpora"])
    encoders = tuple(name for name in settings.encoders if name in selected["encoders"])
    methods = tuple(name for name in settings.methods if name in selected["methods"])
    budgets = tuple(amount for amount in request.budgets if amount in selected["budgets"])
    if not source or not targets or not encoders or not methods or not budgets:
        return
    options = {option for name in (BASELINE, *methods) for option in options_of(registry.load("methods", name))}
    pairs = tuple(pair for pair in request.system.method_options if options & set(read_options([pair])))
    request = replace(
        request,
        methods=methods,
        budgets=budgets,
        data=replace(request.data, source=source, target=targets[0]),
        features=replace(request.features, encoder=encoders[0]),
        system=replace(request.system, method_options=pairs),
    )
    yield replace(study, settings=replace(settings, request=request, targets=targets, encoders=encoders))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where the grids of a study go."""

    out: Path
    store: str = ""
    seeds: int | None = None  # None: as many as the study has
    stages: str = ""  # the folder of training stages that grids share
    jobs: int = 1
    cluster: str = ""  # the address of a Ray cluster that works
    other_sizes: bool = False  # whether corpora whose counts are not the published ones run all the same


def grids_of(
    study: AdaptStudy,
    manifests: Mapping[str, str],
    encoders: Mapping[str, str],
    counts: Sequence[CorpusCounts],
    options: RunOptions,
    *,
    unsampled: Mapping[str, str] | None = None,
) -> tuple[dict[tuple[str, str], Budget], list[str]]:
    """The grids that can run, by target and encoder, and a line for each thing that differs from the study.

    manifests, encoders: paths of those that are here. unsampled: manifests whose utterances are counted, where those of
    `manifests` hold a sample. A target whose counts are not the paper's is left out, and a
    source whose counts are not leaves no grid: what runs is what was published, as far as it is here.
    """
    request = study.request
    labels = labels_of(request.data)
    whole = manifests if unsampled is None else unsampled
    wrong, problems = miscounted_corpora(
        study.corpora, whole, counts, labels, other_sizes=options.other_sizes, rated=request.data.attributes_only
    )
    here = [name for name in study.source if name in manifests]
    by_speaker = not (request.split.share_speakers or request.split.predefined)
    alone = request.split.by_utterance
    nameless = [name for name in here if by_speaker and name not in alone and not _has_speakers(manifests[name])]
    problems += [f"corpus {name}: no source here, for some of its speakers are not known" for name in nameless]
    source = [name for name in here if name not in nameless]
    excluded = set() if options.other_sizes else set(wrong)
    if not source or excluded & set(source):
        return {}, problems
    absent = [name for name in study.source if name not in source]
    if absent:
        difference = f"{', '.join(source)} without {', '.join(absent)}"
        problems.append(f"the source is {difference}: published numbers are of {', '.join(study.source)}")
    split = request.split if options.seeds is None else replace(request.split, seeds=options.seeds)
    paths = tuple(manifests[name] for name in source)
    grids = {}
    for target in (name for name in study.targets if name in manifests and name not in excluded):
        data = replace(request.data, labels=labels, source=paths, target=manifests[target])
        own_split = replace(split, by_utterance=corpus_names(alone, (*source, target), manifests))
        grid = replace(request, data=data, split=own_split, stages=options.stages)
        try:
            speech, _ = read_speech(data, labels, share_speakers=split.share_speakers)
            check_budgets(grid, speech)
        except UserError as error:
            problems.append(f"corpus {target}: {error}")
            continue
        for name, path in encoders.items():
            out = str(options.out / f"{target}-{name}")
            output = Output(out=out, store=options.store, jobs=options.jobs, cluster=options.cluster)
            narrowed = replace(grid, features=replace(request.features, encoder=path), output=output)
            grids[target, name] = without_useless(narrowed)  # the studies of a recipe share settings
    return grids, problems


def corpus_names(names: Sequence[str], used: Sequence[str], manifests: Mapping[str, str]) -> tuple[str, ...]:
    """What the utterances of some corpora of a recipe call their corpus, of those that are used."""
    chosen = (name for name in names if name in used and name in manifests)
    return tuple(dict.fromkeys(row.corpus for name in chosen for row in read_manifest(manifests[name])))


def miscounted_corpora(
    corpora: Sequence[str],
    manifests: Mapping[str, str],
    published: Sequence[CorpusCounts],
    labels: Sequence[str],
    *,
    other_sizes: bool,
    rated: bool = False,
) -> tuple[dict[str, str], list[str]]:
    """Corpora whose counts are not the paper's, each with how they differ; and a line for each thing that differs.

    other_sizes: whether these corpora run all the same, which the lines say. rated: as of `miscounts`. Lines are also
    for what was not checked.
    """
    wrong: dict[str, str] = {}
    problems = []
    for counts in published:
        present = [name for name in counts.corpora if name in corpora and name in manifests]
        absent = [name for name in counts.corpora if name not in present]
        if present and absent:
            problems.append(
                f"counts of {', '.join(counts.corpora)}: not checked, because {', '.join(absent)} is not here"
            )
        elif present:
            differences = miscounts(counts, [manifests[name] for name in present], labels, rated=rated)
            if not differences:
                continue
            text = f"not as many utterances as published: {', '.join(differences)}"
            wrong |= dict.fromkeys(present, text)
            end = "it runs all the same" if other_sizes else "--other-sizes runs it all the same"
            problems.append(f"corpus {', '.join(present)}: {text}; {end}")
    return wrong, problems


def miscounts(
    counts: CorpusCounts, manifests: Sequence[str], labels: Sequence[str], *, rated: bool = False
) -> list[str]:
    """The differences between the counts and some manifests: of each emotion, of all utterances, of the emotions, of
    the predefined splits.

    labels: the only emotions that count; () is all. rated: utterances with attributes count, whatever their emotion. No
    audio is read. Where a paper misprints its counts, as Agarla et al. 2024 do of neutral and sadness in two languages,
    the recipe has those of the corpora themselves.
    """
    rows = [
        utterance
        for path in manifests
        for utterance in read_manifest(path)
        if (has_attributes(utterance) if rated else utterance.emotion) and (not labels or utterance.emotion in labels)
    ]
    emotions = Counter(row.emotion for row in rows if row.emotion)
    splits = Counter(row.split for row in rows)
    pairs = [
        (emotion, count, emotions[emotion]) for emotion, count in counts.emotions if not labels or emotion in labels
    ]
    pairs += [("utterances", counts.utterances, len(rows))] if counts.utterances else []
    pairs += [("emotions", counts.classes, len(emotions))] if counts.classes else []
    pairs += [(f"split {split}", count, splits[split]) for split, count in counts.splits]
    return [f"{name}: expected {count}, found {counted}" for name, count, counted in pairs if count != counted]


def _has_speakers(manifest: str) -> bool:
    """Whether the speaker of every labelled utterance is known, so that speech can be split by speaker."""
    return all(utterance.speaker for utterance in read_manifest(manifest) if utterance.emotion)


def estimate_grid(request: Budget) -> list[str]:
    """Lines on what a grid would take; its time is a rough estimate. Errors: UserError as `run_grid` has them."""
    request = resolve(request)
    speech, _ = read_speech(request.data, request.data.labels or (), share_speakers=request.split.share_speakers)
    choices = choices_of_request(request)
    folds = folds_of(speech, request.split, 0, request.training.validation)
    seconds, unread = total_seconds(speech.utterances)
    seeds, encoder = request.split.seeds, request.features.encoder
    names = dict.fromkeys(choice.method for choice in choices)
    lines = [f"  {', '.join(names)}; target labels {', '.join(request.amounts)}; {request.system.train} encoder"]
    sides = " and ".join(f"{(speech.is_target == is_target).sum():,} of the {side}" for is_target, side in _SIDES)
    lines.append(f"  {seconds / 3600:.2f} h of audio, {sides}{f'; {unread} cannot be read' if unread else ''}")
    lines.append(
        f"  {len(choices)} cells; x {seeds} seeds x {len(folds)} folds: {len(choices) * seeds * len(folds):,} fits"
    )
    if not is_here(encoder):
        return [*lines, f"  encoder {encoder}: not here, so that neither time nor disk is estimated"]
    opened = load_encoder(encoder, **read_options(request.features.all_encoder_options))
    cost = _estimate_cost(draft(request, opened), opened, speech, folds, seeds, seconds / len(speech.utterances))
    return [*lines, f"  {cost}"]


def _estimate_cost(
    cases: Sequence[Case], encoder: Encoder, speech: Speech, folds: Sequence[Fold], seeds: int, mean: float
) -> str:
    """Time and disk of a grid as text. mean: seconds per utterance.

    A pass of the encoder over a clip is timed on noise, on the CPU. For each clip and epoch, training the encoder takes
    TRAINING_PASSES, a head on frames one pass; a test takes one. A stage that several methods begin with is counted a
    single time. Heads on stored features take little in comparison and are not counted.
    """
    cost, weights = encoder_cost(encoder), sum(weight.numel() for weight in encoder.parameters())
    fits, fold = seeds * len(folds), folds[0]
    clip, whole = cost.of(min(mean, max(case.training.crop for case in cases))), cost.of(mean)
    tests = len(fold.source_test) + len(fold.target_test)
    seconds, disk, largest, stored, counted = 0.0, 0.0, 0.0, False, set()
    for case in cases:
        labelled = _count_labelled(speech, fold, case.target_labels)
        stages = [stage for stage in case.stages if stage.train != "frozen"]
        stored |= not stages
        seconds += fits * tests * whole if stages else 0.0
        before: tuple[object, ...] = ()
        for stage in stages:
            target = labelled if "target" in stage.sides else 0
            source = len(fold.source) if "source" in stage.sides else 0
            before = (*before, stage, target, case.normalise)
            if before not in counted:
                clips = source + (max(source, target) if target else 0)  # the target is oversampled to the source
                passes = 1 if stage.train == "head" else TRAINING_PASSES
                seconds += fits * case.training.epochs * clips * passes * clip
                share = weights if stage.train == "end-to-end" else 0
                disk += fits * FLOAT_BYTES * share
                largest = max(largest, FLOAT_BYTES * CHECKPOINT_COPIES * share)
            counted.add(before)
    if stored:
        count, layers = len(speech.utterances), encoder.layers
        seconds += count * whole
        disk += FLOAT_BYTES * count * layers * encoder.width * len(encoder.statistics)
    return f"about {span_in_words(seconds)} of one CPU; {size_in_words(disk + largest)} on disk at most"


def _count_labelled(speech: Speech, fold: Fold, amount: str) -> int:
    """The number of labelled target utterances in a budget."""
    return len(budget(speech, fold, "all", 0)) if amount == "all" else int(amount)


_SIDES = ((False, "source"), (True, "target"))
