"""The JSON API that the page and the command line ask, and the page itself.

Errors are `{"error": sentence}`. Money is a decimal string in US dollars or null, times are
ISO-8601 in UTC, durations are seconds; null stands for not known.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from . import queries
from .boards_api import board_routes
from .budget_rows import budgets
from .demo_data import DemoData
from .ledger import Busy, Ledger, LedgerError
from .live import Live
from .queries import BadFilter, Filters
from .ranking import ranking
from .reprice_api import reprice_route
from .status import in_force
from .trace import trace
from .wire_api import wire_route

__all__ = ["PAGE", "api"]

PAGE = Path(__file__).parent / "page"
"""Files of the web page, beside this one in a checkout and in a wheel alike."""

PAGE_CALLS = 50
TOP_LINES = 20
TRACE_ID = re.compile(r"[0-9a-f]{32}")
NO_STORE = {"cache-control": "no-store"}
ALLOWED_FILES = (".html", ".js", ".css", ".svg")
PAGES = ("calls", "trace", "boards", "budgets", "setup")
"""What the page calls its parts, behind the sharp of its address."""
MODULES = ", ".join(
    f"</{file.name}>; rel=modulepreload"
    for file in sorted(PAGE.glob("*.js"))
    if file.name
    != "theme.js"  # a script of its own, which sets the colours before anything is drawn
)
"""Modules import each other in a long chain: a browser that knows them all asks for all at once."""

Status = Callable[[], dict[str, Any]]
Endpoint = Callable[[Request], Awaitable[Response]]


def api(
    ledger: Ledger, live: Live, status: Status, demo: DemoData, more: Iterable[Route] = ()
) -> Starlette:
    """The application. `status` gives what `/api/status` answers; it may ask the ledger. `more` are
    the routes below `/v1`.

    Only `/api/demo` and `/api/reprice` change anything; that no other site's page asks them is the
    gate's to see to.
    """

    async def calls(request: Request) -> Response:
        found, limit = _filters(request), _limit(request, PAGE_CALLS)
        page, following = await run_in_threadpool(queries.calls, ledger, found, limit)
        return _json({"calls": page, "next": following})

    async def call(request: Request) -> Response:
        call_id = request.path_params["call_id"]
        if queries.CALL_ID.fullmatch(call_id) is None:
            return _sentence(400, "a call id is 32 hex digits")
        found = await run_in_threadpool(queries.call, ledger, call_id)
        return _json(found) if found else _sentence(404, "there is no call with this id")

    async def summary(request: Request) -> Response:
        return _json(await run_in_threadpool(queries.summary, ledger, _filters(request)))

    async def top(request: Request) -> Response:
        asked = request.query_params
        by, sort = asked.get("by") or "endpoint", asked.get("sort") or "cost"
        found = _filters(request, "by", "sort")
        limit = _limit(request, TOP_LINES)
        return _json(await run_in_threadpool(ranking, ledger, found, by, sort, limit))

    async def limits(request: Request) -> Response:
        return _json({"budgets": await run_in_threadpool(budgets, ledger)})

    async def settings(request: Request) -> Response:
        return _json({"settings": in_force()})

    async def sample(request: Request) -> Response:
        act = {"POST": demo.load, "DELETE": demo.remove}.get(request.method, demo.calls)
        return _json({"calls": await run_in_threadpool(act)})

    async def menus(request: Request) -> Response:
        return _json(await run_in_threadpool(queries.menus, ledger))

    async def one_trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        if TRACE_ID.fullmatch(trace_id) is None:
            return _sentence(400, "a trace id is 32 hex digits")
        found = await run_in_threadpool(trace, ledger, trace_id)
        return _json(found) if found else _sentence(404, "no span of this trace has come in")

    async def state(request: Request) -> Response:
        return _json(await run_in_threadpool(status))

    async def feed(request: Request) -> Response:
        headers = NO_STORE | {"x-accel-buffering": "no"}
        return StreamingResponse(live.events(), media_type="text/event-stream", headers=headers)

    async def unknown(request: Request) -> Response:
        return _sentence(404, "there is nothing at this address of the API")

    return Starlette(
        routes=[
            Route("/api/calls", calls),
            Route("/api/calls/{call_id}", call),
            Route("/api/summary", summary),
            Route("/api/filters", menus),
            Route("/api/traces/{trace_id}", one_trace),
            Route("/api/top", top),
            Route("/api/budgets", limits),
            Route("/api/settings", settings),
            Route("/api/demo", sample, methods=["GET", "POST", "DELETE"]),
            reprice_route(ledger, live.tell_gone),
            Route("/api/status", state),
            Route("/api/live", feed),
            wire_route(),
            *board_routes(ledger),
            *more,
            Route("/api/{rest:path}", unknown),
            Route("/v1/{rest:path}", unknown),
            Mount("/", _Page(directory=PAGE, html=True)),
        ],
        exception_handlers={
            BadFilter: _bad_filter,
            Busy: _busy,
            LedgerError: _broken,
            HTTPException: _http_error,
        },
    )


class _Page(StaticFiles):
    """The page's files. Always asked again, so that an upgrade is never half in the cache."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.partition("/")[0] in PAGES:  # its address without the sharp
            query = scope["query_string"].decode("latin-1")
            return RedirectResponse(f"/#/{path}" + (f"?{query}" if query else ""))
        if path not in (".", "") and not path.endswith(ALLOWED_FILES):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        if path in (".", "", "index.html"):
            response.headers["link"] = MODULES
        return response


def _filters(request: Request, *others: str) -> Filters:
    """The filters of the address; the names of `others` in it are none."""
    asked = request.query_params.multi_items()
    return queries.filters((name, value) for name, value in asked if name not in others)


def _limit(request: Request, usual: int) -> int:
    asked = request.query_params.get("limit") or str(usual)
    if not (asked.isascii() and asked.isdigit() and len(asked) < 6 and int(asked)):
        raise BadFilter(f"limit is not a number from 1 to {queries.MOST_CALLS}")
    return min(int(asked), queries.MOST_CALLS)


def _json(content: Any) -> Response:
    return JSONResponse(content, headers=NO_STORE)


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)


async def _bad_filter(request: Request, error: Exception) -> Response:
    return _sentence(400, str(error))


async def _busy(request: Request, error: Exception) -> Response:
    return _sentence(503, str(error))


async def _broken(request: Request, error: Exception) -> Response:
    return _sentence(500, f"the ledger could not answer: {error}")


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    return _sentence(status, "there is no such page" if status == 404 else detail.lower())
