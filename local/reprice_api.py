"""`POST /api/reprice`: the running stack prices its own ledger again, because nobody else may open it.

Body: `{"since": time, "until": time, "model": name, "dry_run": true}`; only `since` must be there, and
without `dry_run: false` nothing is written. Answer: see `Report.as_json`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tollspan.processors.pricefile import PriceFileError

from .ledger import Ledger
from .queries import BadFilter, nanoseconds
from .reprice import Asked, reprice

__all__ = ["LocalStore", "asked_of", "reprice_route"]

KEYS = ("since", "until", "model", "dry_run")


class LocalStore:
    """The embedded ledger as a `Store`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._ledger.query(sql, parameters)

    def add(self, table: str, rows: Iterable[Mapping[str, Any]], token: str) -> None:
        self._ledger.insert(table, rows)


def asked_of(stated: Mapping[str, Any]) -> Asked:
    """Which calls the body of a request means.

    Raises:
        BadFilter: it does not say so.
    """
    for key in stated:
        if key not in KEYS:
            raise BadFilter(f"{key!r} is unknown: known are {', '.join(KEYS)}")
    since, until, model = (stated.get(key) for key in ("since", "until", "model"))
    if not isinstance(since, str):
        raise BadFilter('since is missing: write "since": "2026-01-31T12:00:00Z"')
    if not isinstance(until or "", str) or not isinstance(model or "", str):
        raise BadFilter("until and model are strings")
    since_ns = nanoseconds(since, "since")
    until_ns = nanoseconds(until, "until") if until else time.time_ns()
    if until and until_ns <= since_ns:
        raise BadFilter("until is not after since")
    return Asked(since_ns, until_ns, model or "")


def reprice_route(ledger: Ledger, changed: Callable[[], None]) -> Route:
    """The route; `changed` is told when amounts were written, so that open pages ask anew."""

    async def answer(request: Request) -> Response:
        try:
            stated = json.loads(await request.body() or b"{}")
        except ValueError as error:
            raise BadFilter("the body is not JSON") from error
        if not isinstance(stated, dict):
            raise BadFilter("the body is not a JSON object")
        asked = asked_of(stated)
        write = stated.get("dry_run", True) is False
        try:
            report = await run_in_threadpool(reprice, LocalStore(ledger), asked, write=write)
        except PriceFileError as error:
            raise BadFilter(f"TOLLSPAN_PRICES of tollspan up: {error}") from error
        if report.written:
            changed()
        return JSONResponse(report.as_json(), headers={"cache-control": "no-store"})

    return Route("/api/reprice", answer, methods=["POST"])
