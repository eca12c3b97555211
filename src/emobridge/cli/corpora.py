"""The commands for corpora and manifests: list, download, scan, import, export; `cli.main` registers them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.stopping import keep_work
from emobridge.files import check_suffix

CorpusOptions = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the corpus. Repeat for more.")
]
FormatOptions = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the format. Repeat for more.")
]


def corpora() -> None:
    """List the corpora that `scan` knows, with their licences and where to get them."""
    from emobridge import registry
    from emobridge.corpora import describe

    for name in registry.names("corpora"):
        corpus = describe(name)
        attributes = f"  attributes {corpus.attributes}" if corpus.attributes else ""
        print(f"{corpus.name}  {','.join(corpus.languages) or 'any language'}  {','.join(corpus.emotions)}{attributes}")
        print(f"    {corpus.licence}\n    {corpus.obtain}")


def download(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus; `emobridge corpora` lists them.")],
    folder: Annotated[Path, typer.Argument(help="Folder for its files.", file_okay=False)],
) -> None:
    """Download and unpack a corpus whose licence and host allow it."""
    from emobridge.corpora import describe, downloads
    from emobridge.corpora import download as fetch
    from emobridge.progress import progress

    files, about = downloads(corpus), describe(corpus)
    print(f"licence: {about.licence}\ncite: {about.citation}")
    for file in files:
        print(f"{file.url} ({file.size / 1e6:.1f} MB)", flush=True)
    if len(files) > 1:  # a whole file is not fetched again
        keep_work()
    with progress("downloading MB") as report:
        fetch(corpus, folder, on_progress=lambda done, total: report(done // 10**6, total // 10**6))
    print(f"next: {shlex.join(['emobridge', 'scan', corpus, str(folder), '-o', f'{corpus}.jsonl'])}")


def scan(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus, or folder; `emobridge corpora` lists the names.")],
    root: Annotated[
        Path, typer.Argument(help="Folder of the corpus, or of your recordings; for `table` the file of the table.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    speaker: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Who speaks, for `folder`: file (one speaker in each), folder (one in each), channel (one in each "
            "channel of each file), or a pattern such as '{speaker}_{}'. By default not known.",
        ),
    ] = None,
    option: CorpusOptions = None,
) -> None:
    """Write the manifest of a corpus that you have, or of any `folder` of recordings: a row for each recording."""
    from emobridge.corpora import scan as scan_corpus
    from emobridge.data.manifest import write_manifest
    from emobridge.options import read_options

    check_suffix("--out", out, ".jsonl")
    assignments = [*(option or []), *([f"speaker={speaker}"] if speaker else [])]
    reading = scan_corpus(corpus, root, **read_options(assignments))
    write_manifest(out, reading)
    print(f"{out}: " + "\n".join(reading.lines()))


def constructed(
    manifest: Annotated[Path, typer.Argument(help="Manifest, or folder, of real speech that nobody rated.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    strict: Annotated[
        bool, typer.Option(help="Stop at the first file that cannot be read, instead of leaving it out.")
    ] = False,
) -> None:
    """Write a manifest whose arousal, valence and dominance are level, pitch and rate of the speech. NOT ratings."""
    from emobridge.corpora import utterances_at
    from emobridge.data.constructed import WARNING, construct
    from emobridge.data.manifest import write_manifest
    from emobridge.progress import progress, report_note, report_skipped

    check_suffix("--out", out, ".jsonl")
    skipped: list[tuple[str, str]] = []
    with progress("measuring") as report:
        utterances = construct(
            list(utterances_at(manifest, report_note)),
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    count = write_manifest(out, utterances)
    report_skipped(skipped)
    names = sorted({utterance.corpus for utterance in utterances})
    print(f"{out}: {count} utterances of {', '.join(names)}\n{WARNING}")


def import_(
    name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Name of the format: audformat, elan, label-studio, speechbrain ...")
    ],
    path: Annotated[Path, typer.Argument(help="File or folder of the data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.", dir_okay=False)],
    option: FormatOptions = None,
) -> None:
    """Write the manifest of a data set in another tool's format."""
    from emobridge.data.manifest import write_manifest
    from emobridge.formats import import_ as read
    from emobridge.options import read_options

    check_suffix("--out", out, ".jsonl")
    reading = read(name, path, **read_options(option or []))
    write_manifest(out, reading)
    print(f"{out}: " + "\n".join(reading.lines()))


def export(
    name: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Name of the format: audformat, emobox, nkululeko, speechbrain ...")
    ],
    manifest: Annotated[Path, typer.Argument(help="The manifest to export, or a folder of recordings.")],
    path: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    option: FormatOptions = None,
) -> None:
    """Write a manifest in another tool's format, and name the fields that this format cannot hold."""
    from emobridge.corpora import utterances_at
    from emobridge.formats import export as write
    from emobridge.options import read_options
    from emobridge.progress import report_note

    exported = write(name, path, utterances_at(manifest, report_note), **read_options(option or []))
    print(f"{exported.path}: {exported.count} utterances")
    if exported.lost:
        print(f"not held by {name}: {', '.join(exported.lost)}")
