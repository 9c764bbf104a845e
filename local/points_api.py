"""`/v1/points`: usage as asked, sent on, reported by the provider and reported back, and `/v1/keys/events`:
provider API keys that were never seen before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .key_events import events
from .ledger import Busy, LedgerError
from .points import points_of
from .points_schema import OPERATIONS
from .points_sums import sums
from .queries import CALL_ID, BadFilter
from .reconcile_ledger import Rows

__all__ = ["OPERATIONS", "routes"]

NO_STORE = {"cache-control": "no-store"}


class _Unknown(LookupError):
    """There is nothing under this id."""


def routes(ledger: Rows) -> list[Route]:
    """The routes of this module."""

    def one(request: Request) -> dict[str, Any]:
        call_id = request.path_params["call_id"]
        if CALL_ID.fullmatch(call_id) is None:
            raise BadFilter("a call id is 32 hex digits")
        found = points_of(ledger, call_id)
        if found is None:
            raise _Unknown("there is no call with this id")
        return found

    def many(request: Request) -> dict[str, Any]:
        return sums(ledger, request.query_params.multi_items())

    def keys(request: Request) -> dict[str, Any]:
        return events(ledger, request.query_params.multi_items())

    return [
        Route("/v1/points", _answering(many), methods=["GET"]),
        Route("/v1/points/{call_id}", _answering(one), methods=["GET"]),
        Route("/v1/keys/events", _answering(keys), methods=["GET"]),
    ]


def _answering(found: Callable[[Request], dict[str, Any]]) -> Any:
    async def answer(request: Request) -> Response:
        try:
            content = await run_in_threadpool(found, request)
        except BadFilter as wrong:
            return _sentence(400, str(wrong))
        except _Unknown as unknown:
            return _sentence(404, str(unknown))
        except Busy as busy:
            return _sentence(503, str(busy))
        except LedgerError as error:
            return _sentence(500, f"the ledger could not answer: {error}")
        return JSONResponse(content, headers=NO_STORE)

    return answer


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)
