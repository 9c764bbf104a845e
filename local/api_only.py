"""The usage API over a production ledger, as a server of its own: `tollspan api`.

Reading only. What the local stack serves beside it (receivers, budgets, the page) stays with those who
own it there: the collector, the stage, Grafana.
"""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tollspan.collector.admin import OPEN_PATHS
from tollspan.collector.http_servers import bound
from tollspan.limits.circuits import Policy

from . import health, points_api, reconcile_api, usage_api
from .gate import Gate, is_loopback
from .ledger import Busy, LedgerError
from .openapi import openapi_route
from .readable import Readable
from .refused import TokenNeeded, cannot_listen
from .throttle import Throttle

__all__ = ["application", "serve"]

SETTING = "TOLLSPAN_UI_PORT"


def application(ledger: Readable, *, host: str, token: str, a_minute: int) -> ASGIApp:
    """The application, behind the gate and its limits."""

    async def unknown(request: Request) -> Response:
        return JSONResponse({"error": "there is nothing at this address of the API"}, 404)

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        try:
            await run_in_threadpool(ledger.query, "SELECT 1 AS one")
        except (Busy, LedgerError) as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    routes = [
        Route("/healthz", alive),
        Route("/readyz", ready),
        *usage_api.routes(ledger),
        *points_api.routes(ledger),
        *reconcile_api.routes(ledger),
        *health.routes(ledger, list, Policy),  # by calls alone: probes run where `tollspan up` does
        openapi_route(each.OPERATIONS for each in (usage_api, points_api, reconcile_api, health)),
        Route("/{rest:path}", unknown),
    ]
    limited = Throttle(Starlette(routes=routes), a_minute)
    return Gate(limited, token=token, hosts={host}, open_paths=OPEN_PATHS)


def serve(ledger: Readable, *, host: str, port: int, token: str, a_minute: int) -> None:
    """Serve until a signal ends it; says where it listens.

    Raises:
        TokenNeeded: `host` is not loopback and there is no token.
        PortTaken: the port is in use.
        CannotListen: `host` is not ours, or the port is not for this user.
    """
    if not is_loopback(host) and not token:
        raise TokenNeeded(
            f"{host} is reachable from other machines: set TOLLSPAN_TOKEN to a secret, or bind "
            "127.0.0.1."
        )
    try:
        listening = bound(host, port)
    except OSError as error:
        raise cannot_listen(host, port, SETTING, error) from error
    shown = f"[{host}]" if ":" in host else host
    print(
        f"tollspan api is up: http://{shown}:{listening.getsockname()[1]}/v1/openapi.json",
        flush=True,
    )
    app = application(ledger, host=host, token=token, a_minute=a_minute)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])
