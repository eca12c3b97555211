"""The command that joins recognisers; `cli.main` registers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.requests import check_folder
from emobridge.cli.stopping import keep_work
from emobridge.errors import UserError


def join(
    bundles: Annotated[list[Path], typer.Argument(help="Folders of two or more bundles that have the same encoder.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="If two bundles have the same language, take the later one.")
    ] = False,
    router: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest of speech in known languages, to learn a router from. Repeat for more."),
    ] = None,
    router_base: Annotated[
        bool,
        typer.Option("--router-base", help="Give the router the features of the encoder without adapters as well."),
    ] = False,
    encoder: Annotated[str | None, typer.Option(help="Where the encoder is now, if it has moved.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Folder for computed features. By default in the user's cache.")
    ] = None,
) -> None:
    """Join recognisers of several languages into one that holds their encoder once."""
    from emobridge.bundle import Recognizer
    from emobridge.bundle.hub import bundle_folder
    from emobridge.corpora import utterances_at
    from emobridge.inference.routing import learn_router
    from emobridge.report.joined_card import card_of, joined_card

    check_folder("--out", out)
    if len(bundles) < 2:
        raise UserError("join: expected two bundles or more")
    joined = Recognizer.joined(bundles, encoder=encoder, replace=replace)
    if router:
        if not joined.spec.frames:  # frames are not stored
            keep_work()
        utterances = [utterance for path in router for utterance in utterances_at(path)]
        joined.router = learn_router(joined, utterances, hears_base=router_base, store=store)
    elif router_base:
        raise UserError("join: --router-base goes with --router MANIFEST")
    cards = {language: card for bundle in bundles for language, card in card_of(bundle_folder(bundle)).items()}
    joined.save(out, joined_card(joined, [str(bundle) for bundle in bundles], cards), cards)
    synthetic = " (SYNTHETIC)" if joined.synthetic else ""
    names = [branch.language for branch in joined.branches]
    print(f"{out}: {', '.join(names)}; {names[-1]} answers where the language is not known{synthetic}")
