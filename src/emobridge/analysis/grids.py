"""The adaptation studies of a recipe on this machine: a grid of label budgets for each target and encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from emobridge import registry
from emobridge.analysis.estimate import seconds_of
from emobridge.analysis.label_budget import BudgetSettings, cells_of, check_budgets
from emobridge.data.manifest import read_manifest
from emobridge.encoders import is_here
from emobridge.errors import UserError
from emobridge.folds import folds_of
from emobridge.options import options_of, read_options
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.recipe import Counts, Part
from emobridge.runs import BASELINE
from emobridge.speech import emotions, read_speech


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
) -> tuple[dict[tuple[str, str], BudgetSettings], list[str]]:
    """The grids that can be run, by target and encoder, and a line for each thing that is not as the study has it.

    manifests, encoders: of those that are here. A target whose counts are not the paper's is left out, and a source
    whose counts are not leaves no grid: what is run is what was published, as far as it is here.
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
    """Lines that tell what a grid would take; its time is not estimated. Errors: UserError as `run_grid` has them."""
    speech, _ = read_speech(asked.base)
    cells, folds = cells_of(asked), folds_of(speech, asked.base, 0)
    seconds, unread = seconds_of(speech.utterances)
    fits = len(cells) * asked.base.seeds * len(folds)
    lines = [f"  {', '.join(asked.systems)}; target labels {', '.join(asked.amounts)}; {asked.base.train} encoder"]
    sides = " and ".join(f"{(speech.is_target == side).sum():,} of the {word}" for side, word in _SIDES)
    lines.append(f"  {seconds / 3600:.2f} h of audio, {sides}{f'; {unread} cannot be read' if unread else ''}")
    lines.append(f"  {len(cells)} cells; x {asked.base.seeds} seeds x {len(folds)} folds: {fits:,} fits")
    if not is_here(asked.base.encoder):
        lines.append(f"  encoder {asked.base.encoder}: not here")
    return lines


_SIDES = ((False, "source"), (True, "target"))
