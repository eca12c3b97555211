"""The service on many machines, by Ray Serve: each replica is one `emobridge serve` inside, with one worker.

    pip install 'emobridge[serve]' 'ray[serve]'
    EMOBRIDGE_MODELS=/models/bundle serve run ray_serve:app

Ray spreads requests over the replicas, and starts and ends replicas by how many requests are under way. The addresses,
limits and tokens are those of `emobridge serve`. The models lie at the same path on each machine, or are models of the
hub. The variable EMOBRIDGE_MODELS has what `emobridge serve` takes, separated by commas; EMOBRIDGE_SERVE_TOKEN a token
that callers must give, by default none; EMOBRIDGE_REPLICAS how many replicas there may be, by default 8.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from ray import serve

from emobridge.errors import UserError
from emobridge.serve.app import make_service_app
from emobridge.serve.engine import WorkerEngine
from emobridge.serve.records import Limits
from emobridge.serve.service import Service
from emobridge.serve.site import page_routes
from emobridge.serve.sources import model_sources
from emobridge.serve.uploads import upload_folder
from emobridge.web.tokens import check_token

LIMITS = Limits(workers=1)


def make_replica() -> FastAPI:
    """The application of a replica, which starts and ends its engine. Errors: UserError for models and tokens."""
    models = [name.strip() for name in os.environ.get("EMOBRIDGE_MODELS", "").split(",") if name.strip()]
    if not models:
        raise UserError("EMOBRIDGE_MODELS: expected folders of recognisers or diarizers, or models of the hub")
    token = os.environ.get("EMOBRIDGE_SERVE_TOKEN", "")
    if token:
        check_token(token)
    resources = contextlib.ExitStack()
    folder = resources.enter_context(upload_folder())
    engine = WorkerEngine(model_sources(models, ""), LIMITS)
    app = make_service_app(Service(engine, LIMITS, folder), token=token, routes=page_routes(LIMITS))

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        with resources:
            await engine.start()
            try:
                yield
            finally:
                await engine.stop()

    app.router.lifespan_context = running
    return app


replica = serve.deployment(
    serve.ingress(make_replica)(),  # built in each replica
    name="emobridge",
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=LIMITS.workers * (1 + LIMITS.waiting) + LIMITS.streams,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": int(os.environ.get("EMOBRIDGE_REPLICAS", "8")),
        "target_ongoing_requests": 1,
        "downscale_delay_s": 300,
    },
    graceful_shutdown_timeout_s=LIMITS.stop + 10,
)
app = replica.bind()
