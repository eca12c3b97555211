"""The command that proposes what to label next; `cli.main` registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def suggest(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    on: Annotated[Path, typer.Option(help="Manifest of speech in the new language.")],
    by: Annotated[str, typer.Option(help="margin (default), entropy, mixed, core-set or random.")] = "margin",
    count: Annotated[int, typer.Option(help="How many utterances.")] = 50,
    out: Annotated[Path, typer.Option(help="Where the list goes (.csv).", dir_okay=False)] = Path("to-label.csv"),
    labelled: Annotated[
        Path | None, typer.Option(help="A list filled in before; its rows come first in the new one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the strategies that draw: mixed and random.")] = 0,
    encoder: Annotated[str | None, typer.Option(help="Where the encoder is now, if it has moved.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder of the feature store.")] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """List the unlabelled utterances whose labels would help a bundle most, to be filled in by a person."""
    from emobridge.bundle import Recognizer
    from emobridge.data.manifest import read_manifest
    from emobridge.progress import progress, report_skipped
    from emobridge.study.label_list import ToLabel, check_free, read_list, with_labels, write_list
    from emobridge.study.suggest import suggest as choose

    check_free(out)
    utterances = list(read_manifest(on))
    labels = read_list(labelled) if labelled else ()
    recognizer = Recognizer.load(bundle, encoder=encoder)
    utterances = with_labels(utterances, labels, recognizer.labels, str(on))
    skipped: list[tuple[str, str]] = []
    with progress("features") as report:
        rows = choose(
            recognizer,
            utterances,
            by=by,
            count=count,
            seed=seed,
            store=store,
            on_skip=None if strict else lambda name, reason: skipped.append((name, reason)),
            on_progress=report,
        )
    by_id = {utterance.id: utterance for utterance in utterances}
    write_list(out, [*(ToLabel(by_id[label.id]) for label in labels), *rows])
    report_skipped(skipped)
    free = sum(utterance.emotion is None for utterance in utterances)
    synthetic = " (SYNTHETIC)" if recognizer.synthetic else ""
    print(f"{out}: {len(rows)} of {free} unlabelled utterances, by {by}{synthetic}")
    print(f"fill in the column emotion ({', '.join(recognizer.labels)}), then: emobridge adapt ... --labelled {out}")
