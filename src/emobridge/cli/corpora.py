"""The commands that find corpora and turn them into manifests; `cli` puts them beside the others."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

Words = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")]


def corpora() -> None:
    """List the corpora that `scan` knows, with their terms."""
    from emobridge import registry
    from emobridge.corpora import describe

    for name in registry.names("corpora"):
        one = describe(name)
        attributes = f"  attributes {one.attributes}" if one.attributes else ""
        print(f"{one.name}  {','.join(one.languages) or 'any language'}  {','.join(one.emotions)}{attributes}")
        print(f"    {one.licence}\n    {one.obtain}")


def download(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; `emobridge corpora` lists them.")],
    folder: Annotated[Path, typer.Argument(help="Where its files go.", file_okay=False)],
) -> None:
    """Fetch a corpus that its licence and host let anyone fetch, and unpack it."""
    from emobridge.corpora import describe, downloads
    from emobridge.corpora import download as fetch
    from emobridge.progress import progress

    wanted, about = downloads(corpus), describe(corpus)
    print(f"licence: {about.licence}\ncite: {about.citation}")
    for one in wanted:
        print(f"{one.url} ({one.size / 1e6:.1f} MB)", flush=True)
    with progress("downloading MB") as report:
        fetch(corpus, folder, on_progress=lambda done, total: report(done // 10**6, total // 10**6))
    print(f"next: {shlex.join(['emobridge', 'scan', corpus, str(folder), '-o', f'{corpus}.jsonl'])}")


def scan(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; `emobridge corpora` lists them.")],
    root: Annotated[Path, typer.Argument(help="Its folder (of `table`: the file).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    option: Words = None,
) -> None:
    """Write the manifest of a corpus on this machine."""
    from emobridge.corpora import scan as scan_corpus
    from emobridge.data.manifest import write_manifest
    from emobridge.options import read_options

    count = write_manifest(out, scan_corpus(corpus, root, **read_options(option or [])))
    print(f"{out}: {count} utterances")


def constructed(
    manifest: Annotated[Path, typer.Argument(help="The manifest of real speech that nobody rated.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Put level, pitch and rate of the speech where arousal, valence and dominance would stand. NOT ratings."""
    from emobridge.data.constructed import WARNING, construct
    from emobridge.data.manifest import read_manifest, write_manifest
    from emobridge.progress import progress, report_skipped

    skipped: list[tuple[str, str]] = []
    with progress("measuring") as report:
        found = construct(
            list(read_manifest(manifest)),
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    count = write_manifest(out, found)
    report_skipped(skipped)
    print(f"{out}: {count} utterances of {', '.join(sorted({one.corpus for one in found}))}\n{WARNING}")


def import_(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="audformat, emobox, nkululeko, speechbrain ...")],
    path: Annotated[Path, typer.Argument(help="Its file or folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    option: Words = None,
) -> None:
    """Write the manifest of what another tool's format holds."""
    from emobridge.data.manifest import write_manifest
    from emobridge.formats import import_ as read
    from emobridge.options import read_options

    count = write_manifest(out, read(name, path, **read_options(option or [])))
    print(f"{out}: {count} utterances")


def export(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="audformat, emobox, nkululeko, speechbrain ...")],
    manifest: Annotated[Path, typer.Argument(help="The manifest to export.")],
    path: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    option: Words = None,
) -> None:
    """Write a manifest in another tool's format, and say what that cannot hold."""
    from emobridge.data.manifest import read_manifest
    from emobridge.formats import export as write
    from emobridge.options import read_options

    done = write(name, path, read_manifest(manifest), **read_options(option or []))
    print(f"{done.path}: {done.count} utterances")
    if done.lost:
        print(f"not held by {name}: {', '.join(done.lost)}")
