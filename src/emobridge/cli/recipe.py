"""The commands of published experiments; `cli` puts them beside the others."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emobridge.errors import UserError, unknown

if TYPE_CHECKING:
    from emobridge.recipes.recipe import Part, Recipe
    from emobridge.recipes.replication import Run

app = typer.Typer(help="Published experiments: list them, show one, run one on the corpora that you have.")
Name = Annotated[str, typer.Argument(metavar="RECIPE", help="A name that `recipe list` shows, or your own .toml file.")]


@app.command("list")
def list_() -> None:
    """List the recipes."""
    from emobridge.recipes.recipe import names, read_recipe

    for name in names():
        recipe = read_recipe(name)
        corpora = ", ".join(one.corpus for one in recipe.corpora)
        print(f"{name}  {recipe.paper}: {', '.join(recipe.tables)} ({recipe.measure})")
        print(f"    {corpora}\n    {', '.join(recipe.encoders)}")


@app.command()
def show(name: Name) -> None:
    """Show what a recipe runs, where its corpora and encoders are had, and which of its choices are not the paper's."""
    from emobridge.recipes.recipe import read_recipe

    print("\n".join(_shown(read_recipe(name))))


@app.command()
def run(
    name: Name,
    corpora: Annotated[
        Path, typer.Option(help='TOML file with the folder or manifest of each corpus: emodb = "data/emodb".')
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="studies, corpora, encoders, heads or methods, by comma; repeatable."),
    ] = None,
    encoders: Annotated[
        Path | None, typer.Option(help='TOML file with folders of encoders: whisper-small = "models/ws".')
    ] = None,
    encoder: Annotated[list[str] | None, typer.Option(metavar="NAME=FOLDER", help="One of them.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many; default: the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for manifests, tables and reports; default: RECIPE.")] = None,
    store: Annotated[str, typer.Option(help="Folder of the feature store.")] = "",
    dry_run: Annotated[bool, typer.Option(help="Say what would run and what is missing.")] = False,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Run a recipe on the corpora and encoders that are here, with a report for each of its studies.

    Paths in TOML files are relative to the file. What is missing is named, and how to get it.
    """
    from emobridge import registry
    from emobridge.encoders import presets
    from emobridge.recipes.recipe import read_recipe
    from emobridge.recipes.replication import find_corpora, find_encoders, narrowed, runs_of

    recipe = narrowed(read_recipe(name), _only(only or []))
    places = _places(corpora, "corpus", registry.names("corpora"))
    weights = _places(encoders, "encoder", (*recipe.encoders, *presets())) if encoders else {}
    weights |= _weights(encoder or [], (*recipe.encoders, *presets()))
    out = out or Path(recipe.name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if dry_run else out / "manifests"
        heard = find_corpora(recipe, places, folder)
        listen = find_encoders(recipe, weights, may_fetch=not dry_run and bool(heard.places))
        runs, missing = runs_of(recipe, heard, listen, out=out, store=store, seeds=seeds)
        for line in missing:
            print(f"missing: {line}", file=sys.stderr, flush=True)
        if not runs:
            more = f"; and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"recipe {recipe.name}: nothing can run: {missing[0]}{more}")
        if dry_run:
            _estimate(recipe, runs)
        else:
            _run(recipe, runs, missing, out, strict)


def _run(recipe: Recipe, runs: list[Run], missing: list[str], out: Path, strict: bool) -> None:
    """Each study or grid with its report; of grids a summary too, which grows with them."""
    command = shlex.join(["emobridge", *sys.argv[1:]])
    options: dict[str, Any] = {"strict": strict, "ours": [f"{choice}: {text}" for choice, text in recipe.ours]}
    report: Any
    if recipe.adapts:
        from emobridge.recipes.report import write_summary
        from emobridge.study.budget_report import run_and_report as report_grid

        report = report_grid
    else:
        from emobridge.probe.report import run_and_report as report_study

        report = report_study
    for one in runs:
        print(report(one.settings, command, missing=one.missing, title=one.title, **options), flush=True)
        if recipe.adapts:
            page = write_summary(recipe, runs, missing, out, command)
    if recipe.adapts:
        print(f"table: {out / 'summary.csv'}\nsummary: {page}")


def _estimate(recipe: Recipe, runs: list[Run]) -> None:
    lines: Any
    if recipe.adapts:
        from emobridge.recipes.grids import estimate_grid

        lines = estimate_grid
    else:
        from emobridge.probe.estimate import estimate

        lines = estimate
    for one in runs:
        print("\n".join([one.title, *lines(one.settings)]), flush=True)
    if recipe.adapts:
        print(
            f"{len(runs)} grids. Times are rough: a pass of the encoder was timed on noise, and a step of training it "
            "is taken for three. What is finished already, and stages that grids share, are not subtracted."
        )


def _only(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, values = word.partition("=")
        some = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not some:
            raise UserError(f"--only {word!r}: expected NAME=VALUE[,VALUE], such as corpora=emodb,emovo")
        found.setdefault(key.strip(), []).extend(some)
    return found


def _places(file: Path, what: str, known: tuple[str, ...]) -> dict[str, Path]:
    """The paths in a TOML file, relative to its folder."""
    from emobridge.settings import read_mapping

    found = {}
    for name, path in read_mapping(file).items():
        if name not in known:
            raise UserError(f"{file}: {unknown(what, name, known)}")
        if not isinstance(path, str) or not path:
            raise UserError(f"{file}: {name}: expected a path, got {path!r}")
        found[name] = file.parent / Path(path).expanduser()
    return found


def _weights(words: list[str], known: tuple[str, ...]) -> dict[str, Path]:
    found = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise UserError(f"--encoder {word!r}: expected NAME=FOLDER")
        if name not in known:
            raise UserError(f"--encoder: {unknown('encoder', name, known)}")
        found[name] = Path(path).expanduser()
    return found


def _shown(recipe: Recipe) -> list[str]:
    """A recipe in lines; settings that its studies share stand once."""
    from emobridge.corpora import describe
    from emobridge.encoders import presets

    lines = [f"{recipe.name}: {recipe.paper}, {', '.join(recipe.tables)}; {recipe.measure}", recipe.citation]
    lines.append("corpora")
    for one in recipe.corpora:
        options = " ".join(f"{key}={value}" for key, value in one.options)
        lines.append(f"  {one.corpus}{f' ({options})' if options else ''}: {describe(one.corpus).obtain}")
    lines.append("encoders")
    for name in recipe.encoders:
        where = f": {presets()[name].where} ({presets()[name].licence})" if name in presets() else ""
        trained = any(name in part.encoders and name not in part.settings.encoders for part in recipe.parts)
        scratch = ", trained from scratch" if trained else ""
        lines.append(f"  {name}{where}{scratch}")
    for counts in recipe.counts:
        words = ", ".join(f"{emotion} {count}" for emotion, count in counts.emotions)
        lines.append(f"counts of {', '.join(counts.corpora)}: {words}")
    if recipe.sample:
        lines.append(f"sample of each corpus: {recipe.sample} utterances of each emotion, drawn once")
    shared = set.intersection(*(set(_settings(part)) for part in recipe.parts))
    lines += ["settings", *(f"  {line}" for line in _settings(recipe.parts[0]) if line in shared)]
    for part in recipe.parts if len(recipe.parts) > 1 else ():
        lines += [f"study {part.name}", *(f"  {line}" for line in _settings(part) if line not in shared)]
    lines.append("ours, where the paper is silent or a corpus asks for it")
    return lines + [f"  {key}: {text}" for key, text in recipe.ours]


def _settings(part: Part) -> list[str]:
    """Those that are the experiment's, as TOML."""
    from emobridge.recipes.adapt_study import AdaptStudy, plain

    settings = part.settings
    values = (plain(settings) if isinstance(settings, AdaptStudy) else asdict(settings)).items()
    return [f"{key} = {json.dumps(value)}" for key, value in values if key not in ("out", "store") and value != ()]
