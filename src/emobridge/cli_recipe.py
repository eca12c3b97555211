"""The commands of published experiments; `cli` puts them beside the others."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emobridge.errors import UserError, unknown

if TYPE_CHECKING:
    from emobridge.analysis.replication import Run
    from emobridge.probe_settings import ProbeSettings
    from emobridge.recipes.recipe import Recipe

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
        typer.Option(metavar="NAME=VALUE", help="studies, corpora, encoders or heads, by comma; may be repeated."),
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
    from emobridge.analysis.replication import find_corpora, find_encoders, narrowed, runs_of
    from emobridge.encoders import presets
    from emobridge.recipes.recipe import read_recipe

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
            _estimate(runs)
        else:
            _run(runs, strict, [f"{choice}: {text}" for choice, text in recipe.ours])


def _run(runs: list[Run], strict: bool, ours: list[str]) -> None:
    from emobridge.report.probe import run_and_report

    command = shlex.join(["emobridge", *sys.argv[1:]])
    for one in runs:
        said = run_and_report(one.settings, command, strict=strict, missing=one.missing, ours=ours, title=one.title)
        print(said, flush=True)


def _estimate(runs: list[Run]) -> None:
    from emobridge.analysis.estimate import estimate

    for one in runs:
        print("\n".join([one.title, *estimate(one.settings)]), flush=True)


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
        scratch = ", trained from scratch" if any(name in part.settings.scratch for part in recipe.parts) else ""
        lines.append(f"  {name}{where}{scratch}")
    shared = set.intersection(*(set(_settings(part.settings)) for part in recipe.parts))
    lines += ["settings", *(f"  {line}" for line in _settings(recipe.parts[0].settings) if line in shared)]
    for part in recipe.parts if len(recipe.parts) > 1 else ():
        lines += [f"study {part.name}", *(f"  {line}" for line in _settings(part.settings) if line not in shared)]
    lines.append("ours, where the paper is silent or a corpus asks for it")
    return lines + [f"  {key}: {text}" for key, text in recipe.ours]


def _settings(settings: ProbeSettings) -> list[str]:
    """Those that are the experiment's, as TOML."""
    values = asdict(settings).items()
    return [f"{key} = {json.dumps(value)}" for key, value in values if key not in ("out", "store") and value != ()]
