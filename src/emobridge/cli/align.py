"""The command that aligns speech with the phones of its text; `cli.main` registers it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError, count_noun

MANIFEST = "manifest.jsonl"  # in the folder of the alignments


def align(
    manifest: Annotated[Path, typer.Argument(help="Manifest, or table, of speech with its texts.")],
    out: Annotated[Path, typer.Option(help="Folder for the TextGrids and a manifest that points to them.")],
    language: Annotated[
        str, typer.Option(help="Language of the rows that have none, as a tag or a name.", metavar="LANGUAGE")
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be aligned, instead of leaving it out.")
    ] = False,
) -> None:
    """Find the phones of speech whose text is known: espeak-ng says the text, and its times are warped to the speech.

    Writes a Praat TextGrid for each row (tiers phones in IPA, words and text), and a manifest with all rows.
    """
    from emobridge.corpora import utterances_at
    from emobridge.data.manifest import write_manifest
    from emobridge.languages import language_tag
    from emobridge.phones.folder import align_utterances
    from emobridge.progress import progress, report_note, report_skipped

    check_folder("--out", out)
    tag = language_tag(language) if language else "und"
    utterances = [
        dataclasses.replace(row, language=tag) if row.language == "und" else row
        for row in utterances_at(manifest, report_note)
    ]
    skipped: list[tuple[str, str]] = []
    keep_work()
    with progress("aligning") as report:
        aligned = align_utterances(
            utterances,
            out,
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    report_skipped(skipped)
    if len(skipped) == len(utterances):
        raise UserError(f"{manifest}: no row could be aligned" + (f"; the first: {skipped[0][1]}" if skipped else ""))
    write_manifest(out / MANIFEST, aligned)
    print(
        f"{out / MANIFEST}: {count_noun(len(aligned) - len(skipped), 'alignment')} of {count_noun(len(aligned), 'row')}"
    )
