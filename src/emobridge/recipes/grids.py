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
from emobridge.probe.estimate import seconds_of, size_in_words, span_in_words
from emobridge.probe.timing import encoder_cost
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Counts, Part
from emobridge.settings import Settings
from emobridge.study.budget import BudgetSettings, cells_of, check_budgets
from emobridge.study.reading import emotions, read_speech
from emobridge.training.stages import stages_of

TRAINED = 3  # passes of an encoder that a step of training it is taken for: forward, and two for the gradient
FLOAT = 4  # bytes
COPIES = 4  # of the weights in a checkpoint: themselves, Adam's two moments, the best so far


def narrowed_grids(part: Part, study: AdaptStudy, wanted: Mapping[str, Sequence[str]]) -> Iterable[Part]:
    """The part with no other corpora, encoders or methods than those wanted, if anything is left of it."""
    source = tuple(name for name in study.base.source if name in wanted["corpora"])
    targets = tuple(name for name in study.targets if name in wanted["corpora"])
    encoders = tuple(name for name in study.encoders if name in wanted["encoders"])
    methods = tuple(name for name in study.methods if name in wanted["methods"])
    if not source or not targets or not encoders or not methods:
        return
    has = {option for name in (BASELINE, *methods) for option in options_of(registry.load("methods", name))}
    words = tuple(word for word in study.base.method_options if has & set(read_options([word])))
    base = replace(study.base, source=source, method_options=words)
    beside = tuple((name, some) for name, some in study.beside if name in (BASELINE, *methods))
    left = replace(study, base=base, targets=targets, encoders=encoders, methods=methods, beside=beside)
    yield replace(part, settings=left)


def grids_of(
    study: AdaptStudy,
    manifests: Mapping[str, str],
    encoders: Mapping[str, str],
    counts: Sequence[Counts],
    *,
    out: Path,
    store: str,
    seeds: int | None,
    kept: str = "",
) -> tuple[dict[tuple[str, str], BudgetSettings], list[str]]:
    """The grids that can be run, by target and encoder, and a line for each thing that is not as the study has it.

    kept: as of BudgetSettings. manifests, encoders: of those that are here. A target whose counts are not the paper's
    is left out, and a source whose counts are not leaves no grid: what is run is what was published, as far as it is
    here.
    """
    base = replace(study.base, labels=emotions(study.base.labels), store=store)
    base = base if seeds is None else replace(base, seeds=seeds)
    wrong, said = _miscounted(study, manifests, counts, base.labels)
    source = [name for name in base.source if name in manifests]
    if not source or wrong & set(source):
        return {}, said
    absent = [name for name in base.source if name not in manifests]
    if absent:
        lacks = f"{', '.join(source)} without {', '.join(absent)}"
        said.append(f"the source is {lacks}: published numbers are of {', '.join(base.source)}")
    base = replace(base, source=tuple(manifests[name] for name in source))
    found = {}
    for target in (name for name in study.targets if name in manifests and name not in wrong):
        asked = BudgetSettings(
            base=replace(base, target=manifests[target]),
            methods=study.methods,
            budgets=study.budgets,
            normalise=study.normalise,
            subsets=study.subsets,
            kept=kept,
        )
        try:
            check_budgets(asked, read_speech(asked.base)[0], asked.base)
        except UserError as error:
            said.append(f"corpus {target}: {error}")
            continue
        for name, place in encoders.items():
            folder = str(out / f"{target}-{name}")
            found[target, name] = replace(asked, base=replace(asked.base, encoder=place, out=folder))
    return found, said


def _miscounted(
    study: AdaptStudy, manifests: Mapping[str, str], counts: Sequence[Counts], labels: Sequence[str]
) -> tuple[set[str], list[str]]:
    """Corpora whose counts are not the paper's, and lines for these and for those that could not be counted."""
    wrong, said = set(), []
    for one in counts:
        used = [name for name in one.corpora if name in study.corpora and name in manifests]
        absent = [name for name in one.corpora if name not in used]
        if used and absent:
            said.append(f"counts of {', '.join(one.corpora)}: not checked, for want of {', '.join(absent)}")
        elif used:
            differs = miscounts(one, [manifests[name] for name in used], labels)
            if differs:
                wrong |= set(used)
                words = f"corpus {', '.join(used)}: not as many utterances as published: {', '.join(differs)}"
                said.append(f"{words}; to run it all the same, copy the recipe and leave out these [[counts]]")
    return wrong, said


def miscounts(counts: Counts, manifests: Sequence[str], labels: Sequence[str]) -> list[str]:
    """What differs, an emotion each, between the counts and the utterances of some manifests; `labels` are looked at.

    No audio is. Where a paper misprints its counts, as Agarla et al. 2024 do of neutral and sadness in two languages,
    the recipe has those of the corpora themselves.
    """
    found = Counter(one.emotion for path in manifests for one in read_manifest(path))
    return [
        f"{emotion}: expected {count}, found {found[emotion]}"
        for emotion, count in counts.emotions
        if emotion in labels and found[emotion] != count
    ]


def estimate_grid(asked: BudgetSettings) -> list[str]:
    """Lines that tell what a grid would take, its time roughly. Errors: UserError as `run_grid` has them."""
    speech, _ = read_speech(asked.base)
    cells, folds = cells_of(asked), folds_of(speech, asked.base, 0)
    seconds, unread = seconds_of(speech.utterances)
    fits = len(cells) * asked.base.seeds * len(folds)
    lines = [f"  {', '.join(asked.systems)}; target labels {', '.join(asked.amounts)}; {asked.base.train} encoder"]
    sides = " and ".join(f"{(speech.is_target == side).sum():,} of the {word}" for side, word in _SIDES)
    lines.append(f"  {seconds / 3600:.2f} h of audio, {sides}{f'; {unread} cannot be read' if unread else ''}")
    lines.append(f"  {len(cells)} cells; x {asked.base.seeds} seeds x {len(folds)} folds: {fits:,} fits")
    if not is_here(asked.base.encoder):
        return [*lines, f"  encoder {asked.base.encoder}: not here, so that neither time nor disk is estimated"]
    return [*lines, f"  {_taken(cells, speech, folds, seconds / len(speech.utterances))}"]


def _taken(cells: Sequence[Settings], speech: Speech, folds: Sequence[Fold], mean: float) -> str:
    """Time and disk in words. mean: seconds of an utterance.

    A pass of the encoder over a clip is timed on noise, on the CPU. Training takes TRAINED passes for each clip and
    epoch, a head on frames one, a test one. A stage that several methods begin with is counted once. Heads on stored
    features take little beside and are not counted.
    """
    settings = cells[0]
    encoder = load_encoder(settings.encoder, **read_options(settings.encoder_options))
    cost, weights = encoder_cost(encoder), sum(weight.numel() for weight in encoder.parameters())
    fits, fold = settings.seeds * len(folds), folds[0]
    clip, whole = cost.of(min(mean, settings.crop)), cost.of(mean)
    tests = len(fold.source_test) + len(fold.target_test)
    seconds, disk, largest, stored, known = 0.0, 0.0, 0.0, False, set()
    for cell in cells:
        method = registry.load("methods", cell.method)
        few = _labelled(speech, fold, cell.target_labels)
        stages = [one for one in stages_of(method, cell) if one.train != "frozen"]
        stored |= not stages
        seconds += fits * tests * whole if stages else 0.0
        before: tuple[object, ...] = ()
        for stage in stages:
            target = few if "target" in stage.sides else 0
            source = len(fold.source) if "source" in stage.sides else 0
            before = (*before, stage, target, cell.normalise)
            if before not in known:
                learnt = source + (max(source, target) if target else 0)  # the target is oversampled to the source
                passes = 1 if stage.train == "head" else TRAINED
                seconds += fits * cell.epochs * learnt * passes * clip
                share = weights if stage.train == "end-to-end" else 0
                disk, largest = disk + fits * FLOAT * share, max(largest, FLOAT * COPIES * share)
            known.add(before)
    if stored:
        count, layers = len(speech.utterances), encoder.layers
        seconds += count * whole
        disk += FLOAT * count * layers * encoder.width * len(encoder.statistics)
    return f"about {span_in_words(seconds)} of one CPU; {size_in_words(disk + largest)} on disk at most"


def _labelled(speech: Speech, fold: Fold, amount: str) -> int:
    """How many labelled target utterances a budget is."""
    return len(budget(speech, fold, "all", 0)) if amount == "all" else int(amount)


_SIDES = ((False, "source"), (True, "target"))
