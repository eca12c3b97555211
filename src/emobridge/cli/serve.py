"""`emobridge serve`: a service that answers recordings and live sound over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emobridge.cli.options import command_from
from emobridge.cli.requests import MOVED
from emobridge.cli.tokens import LOCAL_HOSTS, read_token
from emobridge.errors import UserError
from emobridge.serve.records import Limits
from emobridge.settings import DEVICE_HELP, check_part, option

TOKEN_VARIABLE = "EMOBRIDGE_SERVE_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Options of `serve`."""

    models: tuple[str, ...] = option(
        help="Folders of recognisers or diarizers, such as run/bundle, or models of the hub. Or NAME=FOLDER.",
        argument=True, repeat=True,
    )  # fmt: skip
    host: str = option("127.0.0.1", help="Address to listen at; 0.0.0.0 is every one.")
    port: int = option(8000, help="Port to listen at; 0 is any that is free.", least=0)
    token_file: str = option(
        "", help=f"File with a token that callers must give. By default ${TOKEN_VARIABLE}, else none.", metavar="FILE"
    )
    hostname: tuple[str, ...] = option(
        (), help="A name by which a service without a token may be called, beside addresses and localhost. Repeat for "
        "more.", repeat=True, metavar="NAME",
    )  # fmt: skip
    limits: Limits = field(default_factory=Limits)
    encoder: str = option("", help=MOVED)
    device: str = option("auto", help=DEVICE_HELP)

    def __post_init__(self) -> None:
        check_part(self)


def run_serve(request: Any, strict: bool, names: tuple[str, ...]) -> None:
    """Answer recordings and live sound over HTTP, with a page to try it. Nothing of what comes is stored."""
    from emobridge.progress import report_note

    try:
        from emobridge.serve import serving, site
        from emobridge.serve.engine import WorkerEngine
    except ModuleNotFoundError as error:
        raise UserError(f"serve: {error.name} is missing: pip install 'emobridge[serve]'") from error
    from emobridge.serve.sources import model_sources

    token = read_token("", Path(request.token_file) if request.token_file else None, TOKEN_VARIABLE)

    def report(address: str) -> None:
        print(f"ready: {address}", flush=True)
        if request.host in LOCAL_HOSTS:
            return
        report_note("recordings travel unencrypted: put a proxy with https before it on open networks")
        if not token:
            report_note("anybody who reaches this address may use it: --token-file asks for a token")

    serving.run_service(
        WorkerEngine(model_sources(request.models, request.encoder), request.limits, device=request.device),
        request.limits,
        token=token,
        names=[name.lower() for name in request.hostname],
        host=request.host,
        port=request.port,
        routes=site.page_routes(request.limits),
        on_ready=report,
    )


serve = command_from(ServeRequest, "serve", run_serve, reads_files=False)
