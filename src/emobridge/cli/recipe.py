"""The commands of published experiments; `cli.main` adds them to the others."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emobridge.cli.options import command_from, split_words
from emobridge.cli.recipe_listening import refuse_flags_of_models, run_listening_recipe
from emobridge.cli.requests import RecipeRequest, check_folder
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError, unknown

if TYPE_CHECKING:
    from emobridge.recipes.listening_tests import ListeningTest
    from emobridge.recipes.recipe import Recipe, RecipeStudy
    from emobridge.recipes.replication import Run

PUBLISHED_ENGINE = "torch"  # of encoders, unless EMOBRIDGE_ENGINE names another: numbers are those of any machine
app = typer.Typer(help="Published experiments: list them, show one, run one on the corpora that you have.")
Name = Annotated[str, typer.Argument(metavar="RECIPE", help="A name that `recipe list` shows, or your own .toml file.")]


@app.command("list")
def list_() -> None:
    """List the recipes."""
    from emobridge.recipes.recipe import read_recipe, recipe_names

    for name in recipe_names():
        recipe = read_recipe(name)
        corpora = ", ".join(material.corpus for material in recipe.corpora)
        print(f"{name}  {recipe.paper}: {', '.join(recipe.tables) or 'no table'} ({recipe.measure})")
        print(f"    {corpora}\n    {', '.join(recipe.encoders) or 'listeners'}")


@app.command()
def show(name: Name) -> None:
    """Show what a recipe runs, where to get its corpora and encoders, what is ours, and where numbers stand."""
    from emobridge.recipes.accounting import table_lines
    from emobridge.recipes.defaults import with_defaults
    from emobridge.recipes.recipe import read_recipe, recipe_names

    recipe = read_recipe(name)
    others = [read_recipe(other) for other in recipe_names() if other != recipe.name]
    same = [recipe, *(other for other in others if other.paper == recipe.paper)]
    print("\n".join([*_describe(with_defaults(recipe)), *_published_lines(table_lines(same))]))


def run_recipe(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Run a recipe on the corpora and encoders that you have: a report for each of its studies, scores.json for all.

    Paths in TOML files are relative to the file. What is missing is listed, with how to get it, and the rest runs.
    """
    from emobridge.recipes.defaults import with_defaults
    from emobridge.recipes.grids import RunOptions
    from emobridge.recipes.recipe import read_recipe
    from emobridge.recipes.replication import find_corpora, find_encoders, narrow_recipe, runs_of
    from emobridge.recipes.shorter import with_epochs

    recipe = read_recipe(request.recipe)
    refuse_flags_of_models(recipe, request)
    if recipe.listening:
        _run_listening(recipe, request, strict)
        return
    recipe = narrow_recipe(recipe, _parse_only(request.only))
    recipe = with_defaults(with_epochs(recipe, request.epochs) if request.epochs else recipe)
    out = Path(request.out or (f"{recipe.name}-toy" if request.toy else recipe.name))
    check_folder("--out", out)
    with tempfile.TemporaryDirectory() as scratch:
        recipe, corpus_paths, folders = (
            _fabricated(recipe, request, Path(scratch) if request.dry_run else out)
            if request.toy
            else _from_user(recipe, request)
        )
        items = _parse_folders(request.items, tuple(corpus_paths), "items")
        folder = Path(scratch) if request.dry_run else out / "manifests"
        manifests = find_corpora(recipe, corpus_paths, folder, items)
        weights = find_encoders(
            recipe, folders, may_fetch=not request.dry_run and bool(manifests.paths), stand_ins=request.toy
        )
        options = RunOptions(
            out,
            request.store or (str(out / "toy" / "features") if request.toy else ""),
            request.seeds or None,
            jobs=request.jobs,
            cluster=request.cluster,
            other_sizes=request.other_sizes,
        )
        runs, missing = runs_of(recipe, manifests, weights, options)
        for line in missing:
            print(f"missing: {line}", file=sys.stderr, flush=True)
        if not runs:
            more = f"; and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"recipe {recipe.name}: nothing can run: {missing[0].rstrip('.')}{more}")
        if request.toy:
            runs, missing = _marked(runs, missing)
        if request.dry_run:
            _estimate(recipe, runs)
        else:
            _run(recipe, runs, missing, manifests.notes, out, strict)


def _run_listening(recipe: Recipe, request: Any, strict: bool) -> None:
    """Run a recipe of listening tests on the corpora of the user, or on fabricated ones."""
    out = Path(request.out or (f"{recipe.name}-toy" if request.toy else recipe.name))
    if request.toy:
        with tempfile.TemporaryDirectory() as scratch:
            recipe, paths, _ = _fabricated(recipe, request, Path(scratch) if request.dry_run else out)
            run_listening_recipe(recipe, request, paths, out, strict)
    else:
        run_listening_recipe(recipe, request, _corpus_paths(recipe, request), out, strict)


def _from_user(recipe: Recipe, request: Any) -> tuple[Recipe, dict[str, Path], dict[str, Path]]:
    """The recipe, and the folders of its corpora and encoders, as far as the request names any."""
    from emobridge.encoders import presets

    encoder_names = (*recipe.encoders, *presets())
    corpus_paths = _corpus_paths(recipe, request)
    folders = read_paths(Path(request.encoders), "encoder", encoder_names) if request.encoders else {}
    return recipe, corpus_paths, folders | _parse_folders(request.encoder, encoder_names)


def _fabricated(recipe: Recipe, request: Any, folder: Path) -> tuple[Recipe, dict[str, Path], dict[str, Path]]:
    """The recipe cut down, and the corpora and encoders that are fabricated for it in `folder`."""
    from emobridge.recipes.toy import fabricate, narrow_settings

    for flag in ("data", "corpora", "encoders", "encoder"):
        if getattr(request, flag):
            raise UserError(f"--{flag}: does nothing with --toy, which fabricates corpora and encoders")
    return fabricate(narrow_settings(recipe), folder / "toy")


def _marked(runs: list[Run], missing: list[str]) -> tuple[list[Run], list[str]]:
    """The runs and what is missing, with the word that this is a toy before all else."""
    from emobridge.recipes.toy import TOY_NOTE

    print(TOY_NOTE, flush=True)
    return [replace(run, missing=(TOY_NOTE, *run.missing)) for run in runs], [TOY_NOTE, *missing]


def _corpus_paths(recipe: Recipe, request: Any) -> dict[str, Path]:
    """Where each corpus is: as the file of --corpora says, else in the folder of --data.

    Errors: UserError where neither is given.
    """
    from emobridge import registry
    from emobridge.recipes.replication import corpora_in

    if not (request.data or request.corpora):
        raise UserError("recipe run: expected --data FOLDER, or --corpora FILE")
    paths = corpora_in(recipe, Path(request.data)) if request.data else {}
    if request.corpora:
        names = (*(material.corpus for material in recipe.corpora), *registry.names("corpora"))
        paths |= read_paths(Path(request.corpora), "corpus", names)
    return paths


app.command("run")(command_from(RecipeRequest, "recipe run", run_recipe))


def _run(recipe: Recipe, runs: list[Run], missing: list[str], notes: tuple[str, ...], out: Path, strict: bool) -> None:
    """Run each study or grid with its report, and after each the files of the recipe as a whole, which grow."""
    from emobridge.encoders import fixed_engine
    from emobridge.probe.report import run_and_report
    from emobridge.recipes.best_layer import with_best_layer
    from emobridge.recipes.layers import compare_layers
    from emobridge.recipes.probe_summary import write_probe_summary
    from emobridge.recipes.report import join_scores, write_summary
    from emobridge.settings import Budget
    from emobridge.study.budget import write_grid

    keep_work()
    command = shlex.join(["emobridge", *sys.argv[1:]])
    with fixed_engine(PUBLISHED_ENGINE) as engine:
        recipe = replace(recipe, ours=(*recipe.ours, ("engine", f"encoders are run by {engine} (EMOBRIDGE_ENGINE)")))
        choices = [f"{choice}: {text}" for choice, text in recipe.ours]
        if recipe.layer_sets:
            missing = [*missing, *compare_layers(runs, out, strict=strict)]
        for number, run in enumerate(runs, 1):
            run = runs[number - 1] = with_best_layer(run, out, command, strict=strict)
            options: dict[str, Any] = {"strict": strict, "missing": run.missing, "title": run.title}
            if isinstance(run.settings, Budget):
                print("\n".join(write_grid(run.settings, command, choices=choices, **options).lines), flush=True)
            else:
                print(run_and_report(run.settings, command, ours=choices, **options), flush=True)
            scores = join_scores(runs[:number], out)
            write = write_summary if recipe.adapts else write_probe_summary
            page = write(recipe, runs[:number], missing, out, command, notes=notes)
    print(f"scores: {scores}\ntable: {out / 'summary.csv'}\nsummary: {page}")


def _estimate(recipe: Recipe, runs: list[Run]) -> None:
    lines: Any
    if recipe.adapts:
        from emobridge.recipes.grids import estimate_grid

        lines = estimate_grid
    else:
        from emobridge.probe.estimate import estimate

        lines = estimate
    for run in runs:
        print("\n".join([run.title, *lines(run.settings)]), flush=True)
    if recipe.adapts:
        print(
            f"{len(runs)} grids. Times are rough: a pass of the encoder was timed on noise, and a step of training it "
            "is counted as three passes. What is finished already, and stages that grids share, are not subtracted."
        )


def _parse_only(pairs: list[str]) -> dict[str, list[str]]:
    """The values of --only by name."""
    only: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, values = pair.partition("=")
        names = split_words(values)
        if not equals or not names:
            raise UserError(f"--only {pair!r}: expected NAME=VALUE[,VALUE], such as corpora=emodb,emovo")
        only.setdefault(key.strip(), []).extend(names)
    return only


def read_paths(file: Path, kind: str, names: tuple[str, ...]) -> dict[str, Path]:
    """The paths in a TOML file, which are relative to its folder."""
    from emobridge.settings import read_mapping

    paths = {}
    for name, path in read_mapping(file).items():
        if name not in names:
            raise UserError(f"{file}: {unknown(kind, name, names)}")
        if not isinstance(path, str) or not path:
            raise UserError(f"{file}: {name}: expected a path, got {path!r}")
        paths[name] = file.parent / Path(path).expanduser()
    return paths


def _parse_folders(pairs: list[str], names: tuple[str, ...], flag: str = "encoder") -> dict[str, Path]:
    """The values of --encoder, or of --items, by name."""
    folders = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not path:
            raise UserError(f"--{flag} {pair!r}: expected NAME={'FOLDER' if flag == 'encoder' else 'FILE'}")
        if name not in names:
            raise UserError(f"--{flag}: {unknown('encoder' if flag == 'encoder' else 'corpus', name, names)}")
        folders[name] = Path(path).expanduser()
    return folders


def _describe(recipe: Recipe) -> list[str]:
    """A recipe in lines; settings that its studies share stand at the top."""
    from emobridge.encoders import presets
    from emobridge.listening.questions import rule_lines
    from emobridge.recipes.recipe import TOTALS

    lines = [
        f"{recipe.name}: {recipe.paper}, {', '.join(recipe.tables) or 'no table'}; {recipe.measure}",
        recipe.citation,
    ]
    lines.append("corpora")
    before = ""
    for material in recipe.corpora:
        facts = [("in", material.spoken)] if material.spoken else []
        options = " ".join(f"{key}={value}" for key, value in (*facts, *material.options))
        how = "as the one above" if material.obtain == before else material.obtain
        lines.append(f"  {material.corpus}{f' ({options})' if options else ''}: {how}")
        before = material.obtain
    lines += ["encoders"] if recipe.encoders else []
    for name in recipe.encoders:
        where = f": {presets()[name].where} ({presets()[name].licence})" if name in presets() else ""
        from_scratch = any(name in study.encoders and name not in study.settings.encoders for study in recipe.studies)
        lines.append(f"  {name}{where}{', trained from scratch' if from_scratch else ''}")
    if recipe.rules is not None:
        lines += ["listeners", *(f"  {line}" for line in rule_lines(recipe.rules.rules))]
    for counts in recipe.counts:
        totals = [(name, count) for name in TOTALS if (count := getattr(counts, name))]
        numbers = ", ".join(f"{name} {count}" for name, count in (*counts.emotions, *totals))
        lines.append(f"counts of {', '.join(counts.corpora)}: {numbers}")
    if recipe.items:
        lines.append(f"kept apart of each corpus: {recipe.items} utterances of each emotion, which every model labels")
    if recipe.sample:
        lines.append(f"sample of each corpus: {recipe.sample} utterances of each emotion, drawn once")
    settings = [_settings(study) for study in recipe.accounted]
    shared = set.intersection(*map(set, settings))
    lines += ["settings", *(f"  {line}" for line in settings[0] if line in shared)]
    if len(settings) > 1:
        for study, values in zip(recipe.accounted, settings):
            lines += [f"study {study.name}", *(f"  {line}" for line in values if line not in shared)]
    lines.append("ours, where the paper leaves a choice open or a corpus requires one")
    return lines + [f"  {key}: {text}" for key, text in recipe.ours]


def _published_lines(lines: list[str]) -> list[str]:
    """The account of the paper's numbers over all of its recipes, under a title."""
    return ["published numbers, over all recipes of the paper", *(f"  {line}" for line in lines)] if lines else []


def _settings(study: RecipeStudy | ListeningTest) -> list[str]:
    """The settings that define the experiment, as TOML."""
    from emobridge.recipes.adapt_study import AdaptStudy, study_values
    from emobridge.recipes.listening_tests import ListeningTest, values_of_test

    if isinstance(study, ListeningTest):
        return [f"{key} = {json.dumps(value)}" for key, value in values_of_test(study).items()]
    settings = study.settings
    values = (study_values(settings) if isinstance(settings, AdaptStudy) else asdict(settings)).items()
    return [f"{key} = {json.dumps(value)}" for key, value in values if key not in ("out", "store") and value != ()]
