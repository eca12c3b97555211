"""`emobridge serve`: a service that answers recordings and live sound over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emobridge.cli.requests import MOVED
from emobridge.cli.tokens import LOCAL_HOSTS, read_token
from emobridge.errors import UserError
from emobridge.serve.records import Limits
from emobridge.settings import DEVICE_HELP

TOKEN_VARIABLE = "EMOBRIDGE_SERVE_TOKEN"
SERVE_LIMITS = Limits()  # the defaults


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Folders of recognisers or diarizers, such as run/bundle, or models of the hub. Or NAME=FOLDER.",
            metavar="MODEL...",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 is any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with a token that callers must give. By default ${TOKEN_VARIABLE}, else none."),
    ] = None,
    hostname: Annotated[
        list[str] | None,
        typer.Option(help="A name by which browsers may call a service without a token. Repeat for more."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that answer; each holds all models.")
    ] = SERVE_LIMITS.workers,
    waiting: Annotated[
        int, typer.Option(min=0, help="Requests that may wait for each worker; more are answered 429.")
    ] = SERVE_LIMITS.waiting,
    largest_body: Annotated[int, typer.Option(min=1, help="Bytes of a recording.")] = SERVE_LIMITS.body,
    longest_recording: Annotated[float, typer.Option(help="Seconds of sound in a recording.")] = SERVE_LIMITS.duration,
    request_seconds: Annotated[
        float, typer.Option(help="Seconds that an answer may take, before its worker is ended.")
    ] = SERVE_LIMITS.request,
    streams: Annotated[int, typer.Option(min=0, help="Live streams at once, over all workers.")] = SERVE_LIMITS.streams,
    stop_seconds: Annotated[
        float, typer.Option(help="Seconds that answers under way have when the service is stopped.")
    ] = SERVE_LIMITS.stop,
    encoder: Annotated[str, typer.Option(help=MOVED)] = "",
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Answer recordings and live sound over HTTP, with a page to try it. Nothing of what comes is stored."""
    from emobridge.progress import report_note

    try:
        from emobridge.serve import serving, site
        from emobridge.serve.engine import WorkerEngine
    except ModuleNotFoundError as error:
        raise UserError(f"serve: {error.name} is missing: pip install 'emobridge[serve]'") from error
    from emobridge.serve.sources import model_sources

    limits = Limits(workers, waiting, largest_body, longest_recording, request_seconds, streams, stop_seconds)
    check_limits(limits)
    token = read_token("", token_file, TOKEN_VARIABLE)

    def report(address: str) -> None:
        print(f"ready: {address}", flush=True)
        if host in LOCAL_HOSTS:
            return
        report_note("recordings travel unencrypted: put a proxy with https before it on open networks")
        if not token:
            report_note("anybody who reaches this address may use it: --token-file asks for a token")

    serving.run_service(
        WorkerEngine(model_sources(models, encoder), limits, device=device),
        limits,
        token=token,
        names=[name.lower() for name in hostname or ()],
        host=host,
        port=port,
        routes=site.page_routes(limits),
        on_ready=report,
    )


def check_limits(limits: Limits) -> None:
    """Errors: UserError for times that are not above 0."""
    named = {
        "--longest-recording": limits.duration, "--request-seconds": limits.request, "--stop-seconds": limits.stop,
    }  # fmt: skip
    for name, value in named.items():
        if not 0 < value < float("inf"):
            raise UserError(f"{name}: expected a number of seconds above 0, got {value:g}")
