"""A recipe on this machine: scan its corpora, look for its encoders, and name what is missing.

Whatever can run, runs: a study goes on without a corpus or an encoder that is not here, and its report says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emobridge import registry
from emobridge.corpora import scan
from emobridge.data.manifest import read_manifest, write_manifest
from emobridge.data.splits import equal_sample
from emobridge.encoders import fetch, is_here, languages_of, load_encoder, other_checkpoint, presets
from emobridge.errors import UserError, count_noun, unknown
from emobridge.formats import import_
from emobridge.languages import primary_language
from emobridge.literature.published import corpus_key
from emobridge.options import parameters_of, read_options
from emobridge.probe.encoders import head_option_names
from emobridge.probe.pairs import pairs_of
from emobridge.probe.settings import ProbeSettings
from emobridge.probe.splits import Corpus, fold_path, read_corpus, split_corpus, training_sets
from emobridge.recipes.adapt_study import AdaptStudy
from emobridge.recipes.grids import RunOptions, corpus_names, grids_of, miscounted_corpora, narrow_grids
from emobridge.recipes.items import draw_items, labels_of_recipe
from emobridge.recipes.recipe import Recipe, RecipeCorpus, RecipeStudy
from emobridge.settings import Budget
from emobridge.study.reading import spell_emotions


@dataclass(frozen=True, slots=True)
class Run:
    """A layer-wise study of a recipe that can run, or one grid of a study of adaptation."""

    title: str
    settings: ProbeSettings | Budget
    missing: tuple[str, ...]  # a line for each thing that is missing from it, or from the recipe
    study: RecipeStudy
    target: str = ""  # of a grid
    encoder: str = ""  # of a grid
    differs: Mapping[str, str] = field(default_factory=dict)  # of a layer-wise study: manifest -> other counts
    # Encoders whose folders do not hold what the recipe names, each with a line: no published number stands beside.
    other_encoders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Available:
    """What a recipe needs and this machine has, and what is missing; both by name, in the recipe's order."""

    paths: tuple[tuple[str, str], ...]  # a corpus and its manifest, or an encoder and what `probe` takes for it
    missing: tuple[tuple[str, str], ...]  # a name and a line that says why
    notes: tuple[str, ...] = ()  # how corpora were read, such as what became of their labels
    items: tuple[tuple[str, str], ...] = ()  # a corpus, and the manifest of what is kept apart of it
    differing: tuple[tuple[str, str], ...] = ()  # an encoder, and how what its folder holds is another one
    unsampled: tuple[tuple[str, str], ...] = ()  # a corpus and its whole manifest, where `paths` has that of a sample


def narrow_recipe(recipe: Recipe, only: Mapping[str, Sequence[str]]) -> Recipe:
    """The recipe with only the studies, corpora, encoders and heads (or methods and budgets) that `only` names.

    Errors: UserError for a name that the recipe does not have, and where no study remains.
    """
    choices = {
        "studies": tuple(study.name for study in recipe.studies if study.name),
        "corpora": tuple(material.corpus for material in recipe.corpora),
        "encoders": recipe.encoders,
        "methods" if recipe.adapts else "heads": recipe.systems,
    }
    if recipe.adapts:
        choices["budgets"] = recipe.budgets
    for key, names in only.items():
        if key not in choices:
            raise unknown("key", key, choices)
        for name in names:
            if name not in choices[key]:
                raise UserError(f"recipe {recipe.name}: {key}: {unknown('name', name, choices[key])}")
    selected = {**choices, **only}
    studies = [
        narrowed
        for study in recipe.studies
        if study.name in only.get("studies", [study.name])
        for narrowed in _narrow_study(study, selected)
    ]
    if not studies:
        request = " ".join(f"{key}={','.join(names)}" for key, names in only.items())
        both = " (a target needs one of the source corpora beside it)" if recipe.adapts and "corpora" in only else ""
        raise UserError(f"recipe {recipe.name}: no study has {request}{both}")
    used = {corpus for study in studies for corpus in study.settings.corpora}
    corpora = tuple(material for material in recipe.corpora if material.corpus in used)
    return replace(recipe, corpora=corpora, studies=tuple(studies))


def _narrow_study(study: RecipeStudy, selected: Mapping[str, Sequence[str]]) -> Iterable[RecipeStudy]:
    """The study with what is selected; nothing where no corpus, encoder or head remains."""
    settings = study.settings
    if isinstance(settings, AdaptStudy):
        yield from narrow_grids(study, settings, selected)
        return
    changes: dict[str, Any] = {
        key: tuple(name for name in getattr(settings, key) if name in selected[key])
        for key in ("corpora", "encoders", "heads")
    }
    changes["scratch"] = tuple(name for name in settings.scratch if name in selected["encoders"])
    if not changes["corpora"] or not changes["heads"] or not (changes["encoders"] or changes["scratch"]):
        return
    options = {option for head in changes["heads"] for option in head_option_names(head)}
    changes["head_options"] = tuple(pair for pair in settings.head_options if options & set(read_options([pair])))
    yield replace(study, settings=replace(settings, **changes))


def corpora_in(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Where the corpora of a recipe are in a folder of all data, in folders whose names may differ in case and signs.

    Errors: UserError where there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one that holds the corpora of recipe {recipe.name}")
    by_key = {corpus_key(path.name): path for path in sorted(folder.iterdir(), reverse=True) if path.is_dir()}
    paths = {}
    for material in recipe.corpora:
        exact = folder / material.subfolder
        paths[material.corpus] = exact if exact.is_dir() else by_key.get(corpus_key(material.subfolder), exact)
    return paths


def find_corpora(
    recipe: Recipe, paths: Mapping[str, Path], folder: Path, items: Mapping[str, Path] | None = None
) -> Available:
    """Scan the corpora that are here into manifests in `folder`.

    paths: for each corpus its folder, or a manifest (.jsonl), which is used as it is. items: for a corpus what is kept
    apart of it, see `items.draw_items`, which draws them for the others.
    """
    manifests, whole, missing, notes, apart = [], [], [], [], []
    for material in recipe.corpora:
        name, path = material.corpus, paths.get(material.corpus)
        try:
            if path is None or not path.exists():
                problem = "no folder is given for it" if path is None else f"{path}: no such folder or manifest"
                raise UserError(f"{problem}. {material.obtain}")
            manifest, lines = _scan_corpus(material, path, folder)
            whole.append((name, str(manifest)))
            listed = draw_items(recipe, name, manifest, folder, (items or {}).get(name))
            apart += [] if listed is None else [(name, str(listed))]
            path = folder / f"{name}-{recipe.sample}.jsonl"
            manifests.append((name, str(_draw_sample(recipe, manifest, path, listed))))
            notes += [f"{name}: {line}" for line in lines]
        except UserError as error:
            missing.append((name, f"corpus {name}: {error}"))
    return Available(tuple(manifests), tuple(missing), tuple(notes), tuple(apart), unsampled=tuple(whole))


def _scan_corpus(material: RecipeCorpus, path: Path, folder: Path) -> tuple[Path, list[str]]:
    """The manifest of a corpus, and how it was read. Errors: UserError where none of its audio files is here."""
    if path.suffix == ".jsonl":
        return path, []
    options = dict(material.options)
    reading = (
        import_(material.format, path, **options)
        if material.format
        else scan(material.plugin or material.corpus, path, **options)
    )
    rows = list(reading)
    lines = reading.lines()
    if material.spoken:
        read = len(rows)
        rows = [row for row in rows if primary_language(row.language) == primary_language(material.spoken)]
        if not rows:
            raise UserError(f"{path}: no utterance in {material.spoken}. {material.obtain}")
        lines = [f"{len(rows):,} of {read:,} utterances are in {material.spoken}", *reading.intake.lines()]
    audio = dict.fromkeys(row.path for row in rows)
    if not any(Path(file).exists() for file in audio):
        raise UserError(f"none of its {len(audio):,} audio files is here, such as {rows[0].path}. {material.obtain}")
    manifest = folder / f"{material.corpus}.jsonl"
    in_folds = _write_folds(material, path, manifest) if material.format else set()
    unlisted = sum(row.id not in in_folds for row in rows) if in_folds else 0
    if unlisted:
        lines.append(f"left out {count_noun(unlisted, 'utterance')} in none of its folds")
        rows = [row for row in rows if row.id in in_folds]
    write_manifest(manifest, rows)
    counts = Counter(row.emotion or "unlabelled" for row in rows)
    lines.append(f"labels as mapped: {', '.join(f'{label} {count:,}' for label, count in sorted(counts.items()))}")
    return manifest, lines


def _write_folds(material: RecipeCorpus, path: Path, manifest: Path) -> set[str]:
    """Write the folds of an imported corpus beside its manifest, as `probe --split predefined` reads them.

    Returns the ids of all their utterances; none where the format has no folds.
    """
    ids: set[str] = set()
    if "fold" not in parameters_of(registry.load("formats", material.format).read):
        return ids
    number = 1
    while (path / f"fold_{number}").is_dir():
        fold = list(import_(material.format, path, **dict(material.options), fold=number))
        write_manifest(fold_path(manifest, number), fold)
        ids |= {utterance.id for utterance in fold}
        number += 1
    fold_path(manifest, number).unlink(missing_ok=True)  # of an earlier copy that had more
    return ids


def _draw_sample(recipe: Recipe, manifest: Path, path: Path, items: Path | None) -> Path:
    """The manifest of what the recipe uses of a corpus: all of it, or a sample of each emotion, written to `path`.

    The utterances in `items` stand in it beside the sample.
    """
    if not recipe.sample:
        return manifest
    apart = {row.id for row in read_manifest(items)} if items else set()
    rows = list(read_manifest(manifest))
    others = [row for row in rows if row.id not in apart]
    drawn = [others[row] for row in equal_sample(others, labels_of_recipe(recipe), recipe.sample)]
    write_manifest(path, [*drawn, *(row for row in rows if row.id in apart)])
    return path


def find_encoders(
    recipe: Recipe, folders: Mapping[str, Path], *, may_fetch: bool, stand_ins: bool = False
) -> Available:
    """Look for the encoders of a recipe, and with `may_fetch` download those that are not here.

    Without `may_fetch` an encoder that is not here counts as available: a later run will download it.
    folders: those of encoders that are not where the hub's library stores them. stand_ins: they hold tiny encoders in
    the place of the named ones, and are not compared with these.
    """
    available, missing, differing = [], [], []
    for name in dict.fromkeys(encoder for study in recipe.studies for encoder in study.settings.encoders):
        folder = folders.get(name)
        try:
            if folder is not None and not folder.is_dir():
                raise UserError(f"{folder}: no such folder")
            if folder is None and name in registry.names("encoders"):
                load_encoder(name)  # some have nothing to load
            elif folder is None and not is_here(name) and may_fetch:
                fetch(name)
            other = "" if folder is None or stand_ins else other_checkpoint(name, folder)
            differing += [(name, f"encoder {name}: {other}")] if other else []
            available.append((name, name if folder is None else f"{name}={folder}"))
        except UserError as error:
            where = f", {presets()[name].place}" if name in presets() else ""
            missing.append((name, f"encoder {name}{where}: {error}"))
    return Available(tuple(available), tuple(missing), differing=tuple(differing))


def runs_of(
    recipe: Recipe, corpora: Available, encoders: Available, run_options: RunOptions
) -> tuple[list[Run], list[str]]:
    """The studies that can run, each of several in a folder of its own in `out`; and all that is missing."""
    missing = dict(corpora.missing + encoders.missing + encoders.differing)
    runs, lines, idle = [], list(missing.values()), []
    for study in recipe.studies:
        absent = [missing[name] for name in (*study.settings.corpora, *study.settings.encoders) if name in missing]
        settings = study.settings
        study_options = replace(run_options, out=run_options.out / study.name)
        if isinstance(settings, AdaptStudy):
            study_options = replace(study_options, stages=str(run_options.out / "stages"))  # the studies share them
            possible, problems, why = _grid_runs(recipe, study, settings, corpora, encoders, study_options)
        else:
            possible, problems, why = _probe_runs(recipe, study, settings, corpora, encoders, study_options)
        lines += problems
        idle += [f"study {study.name or recipe.name}: {why}"] if why else []
        other = {name: line for name, line in encoders.differing if name in study.settings.encoders}
        runs += [replace(run, missing=(*absent, *problems), other_encoders=other) for run in possible]
    runs = [replace(run, missing=(*run.missing, *idle)) for run in runs]
    return runs, list(dict.fromkeys((*lines, *idle)))


def _grid_runs(
    recipe: Recipe,
    study: RecipeStudy,
    settings: AdaptStudy,
    corpora: Available,
    encoders: Available,
    run_options: RunOptions,
) -> tuple[list[Run], list[str], str]:
    """The grids of a study; a line for each thing that differs from the study; and why none can run, if so."""
    folders = {name: path.removeprefix(f"{name}=") for name, path in encoders.paths if name in settings.encoders}
    manifests = {name: path for name, path in corpora.paths if name in settings.corpora}
    if not set(settings.source) & set(manifests):
        return [], [], "none of its source corpora is here"
    if not folders:
        return [], [], "none of its encoders is here"
    grids, problems = grids_of(
        settings, manifests, folders, recipe.counts, run_options, unsampled=dict(corpora.unsampled) or None
    )
    apart = dict(corpora.items)
    for (target, name), grid in grids.items():
        listed = tuple(apart[corpus] for corpus in (*settings.source, target) if corpus in apart)
        grids[target, name] = replace(grid, data=replace(grid.data, items=listed))
    runs = [
        Run(f"{recipe.name} {study.name} {target} {name}".replace("  ", " "), grid, (), study, target, name)
        for (target, name), grid in grids.items()
    ]
    return runs, problems, "" if runs else "none of its targets is here as it was published, or its source is not"


def _probe_runs(
    recipe: Recipe,
    study: RecipeStudy,
    settings: ProbeSettings,
    corpora: Available,
    encoders: Available,
    run_options: RunOptions,
) -> tuple[list[Run], list[str], str]:
    """The study; a line for each corpus that it cannot use; and why it cannot run, if so."""
    settings = replace(
        settings,
        out=str(run_options.out),
        store=run_options.store,
        jobs=run_options.jobs,
        cluster=run_options.cluster,
        labels=spell_emotions(settings.labels),
    )
    settings = settings if run_options.seeds is None else replace(settings, seeds=run_options.seeds)
    alone = corpus_names(settings.by_utterance, settings.corpora, dict(corpora.paths))
    settings = replace(settings, by_utterance=alone)
    manifests = dict(corpora.paths)
    wrong, differences = miscounted_corpora(
        settings.corpora, manifests, recipe.counts, settings.labels, other_sizes=run_options.other_sizes
    )
    excluded = {} if run_options.other_sizes else wrong
    possible = {name: path for name, path in manifests.items() if name not in excluded}
    usable, problems = _usable_corpora(settings, possible)
    problems = differences + problems
    here = {name: path for name, path in encoders.paths if name in settings.encoders}
    why = _why_not(settings, list(usable.values()), list(here))
    if why:
        return [], problems, why
    settings = replace(settings, corpora=tuple(usable), encoders=tuple(here.values()))
    differs = {manifests[name]: text for name, text in wrong.items()}
    return [Run(f"{recipe.name} {study.name}".strip(), settings, (), study, differs=differs)], problems, ""


def _usable_corpora(settings: ProbeSettings, manifests: Mapping[str, str]) -> tuple[dict[str, Corpus], list[str]]:
    """Each manifest whose corpus the study can train and test on, and a line for each other."""
    usable, problems = {}, []
    for name in settings.corpora:
        if name not in manifests:
            continue
        try:
            corpus = read_corpus(manifests[name], settings)
            training_sets(corpus, split_corpus(corpus, settings), settings)
            usable[manifests[name]] = corpus
        except UserError as error:
            problems.append(f"corpus {name}: {error}")
    return usable, problems


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
