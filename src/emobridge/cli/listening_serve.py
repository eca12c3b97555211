"""`emobridge listening serve`: the server of a listening test."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.stopping import keep_work
from emobridge.cli.tokens import LOCAL_HOSTS, read_token
from emobridge.errors import UserError

TOKEN_VARIABLE = "EMOBRIDGE_LISTENING_TOKEN"


def serve(
    study: Annotated[Path, typer.Argument(help="Folder of the study, which `emobridge listening new` makes.")],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 is any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with the token of /admin. By default ${TOKEN_VARIABLE}, else a new one.")
    ] = None,
    token: Annotated[
        str, typer.Option(help="The token of /admin. Other users of this machine may see it: --token-file hides it.")
    ] = "",
) -> None:
    """Serve a listening test to browsers. What was answered is in STUDY/answers.sqlite, also when it is killed."""
    from emobridge.progress import report_note

    try:
        from emobridge.listening import serving
    except ModuleNotFoundError as error:
        raise UserError(f"listening serve: {error.name} is missing: pip install 'emobridge[listening]'") from error
    given = read_token(token, token_file, TOKEN_VARIABLE)
    secret = given or secrets.token_urlsafe(24)

    def report(address: str) -> None:
        keep_work()
        print(f"listening test: {address}", f"administration: {address}admin", sep="\n", flush=True)
        if not given:
            print(f"token of the administration: {secret}", flush=True)
        if host not in LOCAL_HOSTS:
            report_note("answers and the token travel unencrypted: put a proxy with https before it on open networks")

    serving.serve(study, secret, host=host, port=port, on_ready=report, on_note=report_note)
