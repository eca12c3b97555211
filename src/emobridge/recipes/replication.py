"""A recipe on this machine: its corpora are scanned, its encoders looked for, and what is missing is named.

Whatever can run, runs: a study does without a corpus or an encoder that is not here, and says so in its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.corpora import describe, scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.splits import equal_sample
from emobridge.encoders import fetch, is_here, languages_of, load_encoder, presets
from emobridge.errors import UserError, unknown
from emobridge.options import read_options
from emobridge.probe.encoders import head_option_names
from emobridge.probe.pairs import pairs_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, read_corpus, split_corpus, training_sets
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.grids import grids_of, narrowed_grids
from emobridge.recipes.recipe import Material, Part, Recipe
from emobridge.study.budget import BudgetSettings
from emobridge.study.reading import emotions


@dataclass(frozen=True, slots=True)
class Run:
    """A study of a recipe that can run, or one of its grids."""

    title: str
    settings: ProbeSettings | BudgetSettings
    missing: tuple[str, ...]  # a line for each thing that it, or the recipe, has to do without
    part: Part
    target: str = ""  # of a grid
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a recipe asks for and this machine has, and why it has not the rest; both by name, in the recipe's order."""

    places: tuple[tuple[str, str], ...]  # a corpus and its manifest, or an encoder and what `probe` is given for it
    missing: tuple[tuple[str, str], ...]  # and a line


def narrowed(recipe: Recipe, only: Mapping[str, Sequence[str]]) -> Recipe:
    """The recipe with no other studies, corpora, encoders and heads (or methods) than those named in `only`.

    Errors: UserError for a name that the recipe does not have, and where no study is left.
    """
    has = {
        "studies": tuple(part.name for part in recipe.parts if part.name),
        "corpora": tuple(one.corpus for one in recipe.corpora),
        "encoders": recipe.encoders,
        "methods" if recipe.adapts else "heads": recipe.systems,
    }
    for key, words in only.items():
        if key not in has:
            raise unknown("key", key, has)
        for word in words:
            if word not in has[key]:
                raise UserError(f"recipe {recipe.name}: {key}: {unknown('name', word, has[key])}")
    wanted = {**has, **only}
    named = [part for part in recipe.parts if part.name in only.get("studies", [part.name])]
    parts = [left for part in named for left in _narrowed(part, wanted)]
    if not parts:
        words = " ".join(f"{key}={','.join(some)}" for key, some in only.items())
        both = " (a target needs one of the source corpora beside it)" if recipe.adapts and "corpora" in only else ""
        raise UserError(f"recipe {recipe.name}: no study has {words}{both}")
    corpora = tuple(one for one in recipe.corpora if any(one.corpus in part.settings.corpora for part in parts))
    return replace(recipe, corpora=corpora, parts=tuple(parts))


def _narrowed(part: Part, wanted: Mapping[str, Sequence[str]]) -> Iterable[Part]:
    """The part, if anything is left of it."""
    asked = part.settings
    if isinstance(asked, AdaptStudy):
        yield from narrowed_grids(part, asked, wanted)
        return
    kept: dict[str, Any] = {
        key: tuple(one for one in getattr(asked, key) if one in wanted[key]) for key in ("corpora", "encoders", "heads")
    }
    kept["scratch"] = tuple(one for one in asked.scratch if one in wanted["encoders"])
    if not kept["corpora"] or not kept["heads"] or not (kept["encoders"] or kept["scratch"]):
        return
    options = {option for head in kept["heads"] for option in head_option_names(head)}
    kept["head_options"] = tuple(word for word in asked.head_options if options & set(read_options([word])))
    yield replace(part, settings=replace(asked, **kept))


def find_corpora(recipe: Recipe, places: Mapping[str, Path], folder: Path) -> Found:
    """Scan the corpora that are here into manifests in `folder`.

    places: of each corpus its folder, or a manifest (.jsonl), which is taken as it is.
    """
    found, missing = [], []
    for one in recipe.corpora:
        place = places.get(one.corpus)
        try:
            if place is None or not place.exists():
                lacks = "no folder is given for it" if place is None else f"{place}: no such folder or manifest"
                raise UserError(f"{lacks}. {describe(one.corpus).obtain}")
            path = _manifest(one, place, folder)
            found.append((one.corpus, str(_sampled(recipe, path, folder / f"{one.corpus}-{recipe.sample}.jsonl"))))
        except UserError as error:
            missing.append((one.corpus, f"corpus {one.corpus}: {error}"))
    return Found(tuple(found), tuple(missing))


def _manifest(one: Material, place: Path, folder: Path) -> Path:
    if place.suffix == ".jsonl":
        return place
    path = folder / f"{one.corpus}.jsonl"
    write_manifest(path, scan(one.corpus, place, **dict(one.options)))
    return path


def _sampled(recipe: Recipe, manifest: Path, path: Path) -> Path:
    """The manifest of what the recipe has of a corpus: all, or a sample of each of its emotions."""
    if not recipe.sample:
        return manifest
    studies = [part.settings for part in recipe.parts if isinstance(part.settings, AdaptStudy)]
    labels = emotions(tuple(dict.fromkeys(label for study in studies for label in study.base.labels)))
    rows = list(read_manifest(manifest))
    write_manifest(path, [rows[place] for place in equal_sample(rows, labels, recipe.sample)])
    return path


def find_encoders(recipe: Recipe, places: Mapping[str, Path], *, may_fetch: bool) -> Found:
    """Look for the encoders, and with `may_fetch` download those that are not here; without, they are left to be found.

    places: folders of those that are not where the hub's library keeps them.
    """
    found, missing = [], []
    for name in dict.fromkeys(one for part in recipe.parts for one in part.settings.encoders):
        place = places.get(name)
        try:
            if place is not None and not place.is_dir():
                raise UserError(f"{place}: no such folder")
            if place is None and name in registry.names("encoders"):
                load_encoder(name)  # some have nothing to load
            elif place is None and not is_here(name) and may_fetch:
                fetch(name)
            found.append((name, name if place is None else f"{name}={place}"))
        except UserError as error:
            where = f", {presets()[name].where} on the hub" if name in presets() else ""
            missing.append((name, f"encoder {name}{where}: {error}"))
    return Found(tuple(found), tuple(missing))


def runs_of(
    recipe: Recipe, corpora: Found, encoders: Found, *, out: Path, store: str = "", seeds: int | None = None
) -> tuple[list[Run], list[str]]:
    """The studies that can run, of several each into a folder of its own in `out`; and all that is missing."""
    missing = dict(corpora.missing + encoders.missing)
    runs, lines, idle = [], list(missing.values()), []
    for part in recipe.parts:
        lacks = [missing[name] for name in (*part.settings.corpora, *part.settings.encoders) if name in missing]
        asked = part.settings
        options: dict[str, Any] = {"out": out / part.name, "store": store, "seeds": seeds}
        if isinstance(asked, AdaptStudy):
            made, bad, why = _grid_runs(recipe, part, asked, corpora, encoders, **options)
        else:
            made, bad, why = _probe_runs(recipe, part, asked, corpora, encoders, **options)
        lines += bad
        idle += [f"study {part.name or recipe.name}: {why}"] if why else []
        runs += [replace(run, missing=(*lacks, *bad)) for run in made]
    runs = [replace(run, missing=(*run.missing, *idle)) for run in runs]
    return runs, list(dict.fromkeys((*lines, *idle)))


def _grid_runs(
    recipe: Recipe, part: Part, study: AdaptStudy, corpora: Found, encoders: Found, **options: Any
) -> tuple[list[Run], list[str], str]:
    """The grids of a study; what is not as it has it; and why nothing of it can run, if so."""
    here = {name: word.removeprefix(f"{name}=") for name, word in encoders.places if name in study.encoders}
    manifests = {name: path for name, path in corpora.places if name in study.corpora}
    if not set(study.base.source) & set(manifests):
        return [], [], "none of its source corpora is here"
    if not here:
        return [], [], "none of its encoders is here"
    stages = (options["out"].parent if part.name else options["out"]) / "stages"  # the studies share them
    grids, said = grids_of(study, manifests, here, recipe.counts, kept=str(stages), **options)
    runs = [
        Run(f"{recipe.name} {part.name} {target} {name}".replace("  ", " "), asked, (), part, target, name)
        for (target, name), asked in grids.items()
    ]
    return runs, said, "" if runs else "none of its targets is here as it was published, or its source is not"


def _probe_runs(
    recipe: Recipe,
    part: Part,
    settings: ProbeSettings,
    corpora: Found,
    encoders: Found,
    *,
    out: Path,
    store: str,
    seeds: int | None,
) -> tuple[list[Run], list[str], str]:
    """The study; its corpora that it cannot use; and why it cannot run, if so."""
    asked = replace(settings, out=str(out), store=store, labels=emotions(settings.labels))
    asked = asked if seeds is None else replace(asked, seeds=seeds)
    usable, bad = _usable(asked, dict(corpora.places))
    named = {name: word for name, word in encoders.places if name in asked.encoders}
    why = _why_not(asked, list(usable.values()), list(named))
    if why:
        return [], bad, why
    settings = replace(asked, corpora=tuple(usable), encoders=tuple(named.values()))
    return [Run(f"{recipe.name} {part.name}".strip(), settings, (), part)], bad, ""


def _usable(settings: ProbeSettings, manifests: Mapping[str, str]) -> tuple[dict[str, Corpus], list[str]]:
    """Each manifest whose corpus the study can train and test on, and a line for each other."""
    usable, bad = {}, []
    for name in settings.corpora:
        if name not in manifests:
            continue
        try:
            corpus = read_corpus(manifests[name], settings)
            training_sets(corpus, split_corpus(corpus, settings), settings)
            usable[manifests[name]] = corpus
        except UserError as error:
            bad.append(f"corpus {name}: {error}")
    return usable, bad


def _why_not(settings: ProbeSettings, corpora: Sequence[Corpus], encoders: Sequence[str]) -> str:
    """Why a study cannot run, or nothing."""
    if not corpora:
        return "none of its corpora is here"
    if not encoders and not settings.scratch:
        return "none of its encoders is here"
    if encoders and not any(pairs_of(settings, corpora, languages_of(name)) for name in encoders):
        names = ", ".join(corpus.name for corpus in corpora)
        return f"no pair of {names} is {' or '.join(settings.settings)} for {', '.join(encoders)}"
    return ""
