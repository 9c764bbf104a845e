"""What a stage tells of itself: `/metrics` for Prometheus, `/status` to read, `/healthz` and `/readyz` for
whoever runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .counters import Counters

__all__ = ["OPEN_PATHS", "admin"]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""They hold no data, and those who ask have no token."""

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def admin(
    counters: Counters,
    *,
    why_dead: Callable[[], str],
    why_not_ready: Callable[[], str],
    status: Callable[[], str],
) -> Starlette:
    """The application. Two functions say in a sentence what is wrong, or nothing; `status` is a page
    of text."""

    async def metrics(request: Request) -> Response:
        return Response(await asyncio.to_thread(counters.text), media_type=PROMETHEUS)

    async def page(request: Request) -> Response:
        return PlainTextResponse(await asyncio.to_thread(status))

    async def healthz(request: Request) -> Response:
        return _said(why_dead())

    async def readyz(request: Request) -> Response:
        return _said(why_dead() or await asyncio.to_thread(why_not_ready))

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/status", page),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ]
    )


def _said(why: str) -> Response:
    return PlainTextResponse(f"{why or 'ok'}\n", 503 if why else 200)
