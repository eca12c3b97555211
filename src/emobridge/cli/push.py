"""The command that puts a model on the hub; `cli.main` registers it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.requests import MOVED
from emobridge.errors import UserError


def push(
    model: Annotated[Path, typer.Argument(help="Folder of the bundle, or of a diarizer.")],
    name: Annotated[str, typer.Argument(help="Model of the hub, such as user/name; made where there is none.")],
    public: Annotated[
        bool, typer.Option("--public", help="Everyone can see the model. By default it must be private.")
    ] = False,
    branch: Annotated[str, typer.Option(help="Branch of the model; made where there is none.")] = "main",
    encoder: Annotated[str | None, typer.Option(help=MOVED)] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Upload. Without it what would be uploaded is listed, and nothing is sent.")
    ] = False,
) -> None:
    """Put a recogniser or a diarizer on the Hugging Face hub, with its model card.

    The token is that of `hf auth login`, or of the variable HF_TOKEN.
    """
    from rich.filesize import decimal

    from emobridge.bundle.hub import HubPlace, check_card, files_to_upload, upload_bundle

    destination = HubPlace(model=name, private=not public, branch=branch)
    with tempfile.TemporaryDirectory(prefix="emobridge-") as folder:
        copy = Path(folder)
        card, corpora, synthetic = _save_copy(model, copy, encoder)
        check_card(card, corpora)
        files = files_to_upload(copy)
        visible = "everyone can see it" if public else "private"
        print(f"{name}, branch {branch}, {visible}{' (SYNTHETIC)' if synthetic else ''}:")
        print("\n".join(f"  {file}  {decimal(size)}" for file, size in files))
        print("Weights may fall under the terms of the speech that they were trained on:")
        print("\n".join(f"  {line}" for line in _terms(corpora)))
        if not yes:
            raise UserError("push: nothing was uploaded; if these terms allow it, add --yes")
        print(upload_bundle(copy, destination, corpora))


def _save_copy(model: Path, copy: Path, encoder: str | None) -> tuple[str, tuple[str, ...], bool]:
    """Read a model, which shows that it is whole, and save it in a folder as it will be uploaded.

    Its card, the corpora that it was trained on or adapted to, and whether synthetic speech was among them.
    """
    from emobridge.bundle import Recognizer
    from emobridge.diarization.files import is_diarizer, read_diarizer, save_diarizer

    if not model.is_dir():
        raise UserError(f"{model}: no such folder; expected the bundle of a recogniser, or a diarizer")
    if is_diarizer(model):
        diarizer = read_diarizer(model, encoder=encoder)
        save_diarizer(copy, diarizer)
        spec = diarizer.spec
        return _card(model, diarizer.card), tuple(dict.fromkeys((*spec.corpora, *spec.target))), spec.synthetic
    recognizer = Recognizer.load(model, encoder=encoder)
    recognizer.save(copy, _card(model, recognizer.card), recognizer.cards)
    return recognizer.card, recognizer.corpora, recognizer.synthetic


def _card(model: Path, card: str) -> str:
    if not card:
        raise UserError(f"{model}: has no model card (README.md), which must name sources, licences, scores and limits")
    return card


def _terms(corpora: tuple[str, ...]) -> list[str]:
    from emobridge.corpora import licence_of

    return [f"{corpus}: {licence_of(corpus)}" for corpus in corpora]
