"""The adaptation studies of a recipe on this machine: a grid of label budgets for each target and encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from emobridge import registry
from emobridge.data.manifest import read_manifest
from emobridge.data.speech import Fold, Speech, budget, folds_of
from emobridge.encoders import is_here, load_encoder
from emobridge.errors import UserError
from emobridge.methods.base import BASELINE
from emobridge.options import options_of, read_options
from emobridge.probe.estimate import size_in_words, span_in_words
from emobridge.probe.splits import seconds_of
from emobridge.probe.timing import encoder_cost
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import CorpusCounts, RecipeStudy
from emobridge.settings import Settings
from emobridge.study.budget import BudgetSettings, cells_of, check_budgets
from emobridge.study.reading import emotions, read_speech
from emobridge.training.stages import stages_of

TRAINING_PASSES = 3  # passes of an encoder that a step of training it is taken for: forward, and two for the gradient
FLOAT_BYTES = 4
CHECKPOINT_COPIES = 4  # of the weights in a checkpoint: themselves, Adam's two moments, the best so far


def narrow_grids(
    study: RecipeStudy, settings: AdaptStudy, selected: Mapping[str, Sequence[str]]
) -> Iterable[RecipeStudy]:
    """The study with only the corpora, encoders and methods that are selected; nothing where one of them is empty."""
    source = tuple(name for name in settings.base.source if name in selected["corpora"])
    targets = tuple(name for name in settings.targets if name in selected["corpora"])
    encoders = tuple(name for name in settings.encoders if name in selected["encoders"])
    methods = tuple(name for name in settings.methods if name in selected["methods"])
    if not source or not targets or not encoders or not methods:
        return
    options = {option for name in (BASELINE, *methods) for option in options_of(registry.load("methods", name))}
    pairs = tuple(pair for pair in settings.base.method_options if options & set(read_options([pair])))
    base = replace(settings.base, source=source, method_options=pairs)
    published = tuple((name, printed) for name, printed in settings.published if name in (BASELINE, *methods))
    narrowed = replace(settings, base=base, targets=targets, encoders=encoders, methods=methods, published=published)
    yield replace(study, settings=narrowed)


def grids_of(
    study: AdaptStudy,
    manifests: Mapping[str, str],
    encoders: Mapping[str, str],
    counts: Sequence[CorpusCounts],
    *,
    out: Path,
    store: str,
    seeds: int | None,
    kept: str = "",
) -> tuple[dict[tuple[str, str], BudgetSettings], list[str]]:
    """The grids that can run, by target and encoder, and a line for each thing that differs from the study.

    kept: as in BudgetSettings. manifests, encoders: paths of those that are here. A target whose counts are not the
    paper's is left out, and a source whose counts are not leaves no grid: what runs is what was published, as far as it
    is here.
    """
    base = replace(study.base, labels=emotions(study.base.labels), store=store)
    base = base if seeds is None else replace(base, seeds=seeds)
    wrong, problems = _miscounted_corpora(study, manifests, counts, base.labels)
    source = [name for name in base.source if name in manifests]
    if not source or wrong & set(source):
        return {}, problems
    absent = [name for name in base.source if name not in manifests]
    if absent:
        difference = f"{', '.join(source)} without {', '.join(absent)}"
        problems.append(f"the source is {difference}: published numbers are of {', '.join(base.source)}")
    base = replace(base, source=tuple(manifests[name] for name in source))
    grids = {}
    for target in (name for name in study.targets if name in manifests and name not in wrong):
        grid = BudgetSettings(
            base=replace(base, target=manifests[target]),
            methods=study.methods,
            budgets=study.budgets,
            normalise=study.normalise,
            subsets=study.subsets,
            kept=kept,
        )
        try:
            check_budgets(grid, read_speech(grid.base)[0], grid.base)
        except UserError as error:
            problems.append(f"corpus {target}: {error}")
            continue
        for name, path in encoders.items():
            folder = str(out / f"{target}-{name}")
            grids[target, name] = replace(grid, base=replace(grid.base, encoder=path, out=folder))
    return grids, problems


def _miscounted_corpora(
    study: AdaptStudy, manifests: Mapping[str, str], published: Sequence[CorpusCounts], labels: Sequence[str]
) -> tuple[set[str], list[str]]:
    """Corpora whose counts are not the paper's, and lines for these and for those that could not be counted."""
    wrong, problems = set(), []
    for counts in published:
        present = [name for name in counts.corpora if name in study.corpora and name in manifests]
        absent = [name for name in counts.corpora if name not in present]
        if present and absent:
            problems.append(
                f"counts of {', '.join(counts.corpora)}: not checked, because {', '.join(absent)} is not here"
            )
        elif present:
            differences = miscounts(counts, [manifests[name] for name in present], labels)
            if differences:
                wrong |= set(present)
                problems.append(
                    f"corpus {', '.join(present)}: not as many utterances as published: {', '.join(differences)}; "
                    "to run it all the same, copy the recipe and remove these [[counts]]"
                )
    return wrong, problems


def miscounts(counts: CorpusCounts, manifests: Sequence[str], labels: Sequence[str]) -> list[str]:
    """The differences, one per emotion, between the counts and the utterances of some manifests; only `labels` count.

    No audio is read. Where a paper misprints its counts, as Agarla et al. 2024 do of neutral and sadness in two
    languages, the recipe has those of the corpora themselves.
    """
    present = Counter(utterance.emotion for path in manifests for utterance in read_manifest(path))
    return [
        f"{emotion}: expected {count}, found {present[emotion]}"
        for emotion, count in counts.emotions
        if emotion in labels and present[emotion] != count
    ]


def estimate_grid(settings: BudgetSettings) -> list[str]:
    """Lines on what a grid would take; its time is a rough estimate. Errors: UserError as `run_grid` has them."""
    base = settings.base
    speech, _ = read_speech(base)
    cells, folds = cells_of(settings), folds_of(speech, base, 0)
    seconds, unread = seconds_of(speech.utterances)
    fits = len(cells) * base.seeds * len(folds)
    lines = [f"  {', '.join(settings.systems)}; target labels {', '.join(settings.amounts)}; {base.train} encoder"]
    sides = " and ".join(f"{(speech.is_target == is_target).sum():,} of the {side}" for is_target, side in _SIDES)
    lines.append(f"  {seconds / 3600:.2f} h of audio, {sides}{f'; {unread} cannot be read' if unread else ''}")
    lines.append(f"  {len(cells)} cells; x {base.seeds} seeds x {len(folds)} folds: {fits:,} fits")
    if not is_here(base.encoder):
        return [*lines, f"  encoder {base.encoder}: not here, so that neither time nor disk is estimated"]
    return [*lines, f"  {_estimate_cost(cells, speech, folds, seconds / len(speech.utterances))}"]


def _estimate_cost(cells: Sequence[Settings], speech: Speech, folds: Sequence[Fold], mean: float) -> str:
    """Time and disk of a grid as text. mean: seconds per utterance.

    A pass of the encoder over a clip is timed on noise, on the CPU. For each clip and epoch, training the encoder takes
    TRAINING_PASSES, a head on frames one pass; a test takes one. A stage that several methods begin with is counted a
    single time. Heads on stored features take little in comparison and are not counted.
    """
    settings = cells[0]
    encoder = load_encoder(settings.encoder, **read_options(settings.encoder_options))
    cost, weights = encoder_cost(encoder), sum(weight.numel() for weight in encoder.parameters())
    fits, fold = settings.seeds * len(folds), folds[0]
    clip, whole = cost.of(min(mean, settings.crop)), cost.of(mean)
    tests = len(fold.source_test) + len(fold.target_test)
    seconds, disk, largest, stored, counted = 0.0, 0.0, 0.0, False, set()
    for cell in cells:
        method = registry.load("methods", cell.method)
        labelled = _count_labelled(speech, fold, cell.target_labels)
        stages = [stage for stage in stages_of(method, cell) if stage.train != "frozen"]
        stored |= not stages
        seconds += fits * tests * whole if stages else 0.0
        before: tuple[object, ...] = ()
        for stage in stages:
            target = labelled if "target" in stage.sides else 0
            source = len(fold.source) if "source" in stage.sides else 0
            before = (*before, stage, target, cell.normalise)
            if before not in counted:
                clips = source + (max(source, target) if target else 0)  # the target is oversampled to the source
                passes = 1 if stage.train == "head" else TRAINING_PASSES
                seconds += fits * cell.epochs * clips * passes * clip
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
