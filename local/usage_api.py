"""The usage API: `/v1/usage/*` and `/v1/replacement/metrics`, over whatever ledger can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from .ledger import Busy, LedgerError
from .queries import BadFilter
from .readable import Readable
from .usage_export import Export, export
from .usage_month import month
from .usage_recent import recent
from .usage_replacement import replacement
from .usage_schema import OPERATIONS
from .usage_stats import stats
from .usage_views import KEYS, SESSIONS, view

__all__ = ["ANSWERS", "OPERATIONS", "routes"]

NO_STORE = {"cache-control": "no-store"}
Items = Iterable[tuple[str, str]]
Answer = Callable[[Readable, Items], dict[str, Any]]

ANSWERS: dict[str, Answer] = {
    "/v1/usage/stats": stats,
    "/v1/usage/month": month,
    "/v1/usage/recent": recent,
    "/v1/usage/sessions": lambda ledger, items: view(ledger, SESSIONS, items),
    "/v1/usage/keys": lambda ledger, items: view(ledger, KEYS, items),
    "/v1/replacement/metrics": replacement,
}
"""What answers each path, from the members of its query string."""


def routes(ledger: Readable) -> list[Route]:
    """The routes of this module."""
    made = [Route(path, _answering(ledger, ask), methods=["GET"]) for path, ask in ANSWERS.items()]
    return [*made, Route("/v1/usage/export", _exporting(ledger), methods=["GET"])]


def _answering(ledger: Readable, ask: Answer) -> Any:
    async def answer(request: Request) -> Response:
        items = request.query_params.multi_items()
        try:
            return JSONResponse(await run_in_threadpool(ask, ledger, items), headers=NO_STORE)
        except (BadFilter, Busy, LedgerError) as error:
            return _refused(error)

    return answer


def _exporting(ledger: Readable) -> Any:
    async def answer(request: Request) -> Response:
        items = request.query_params.multi_items()
        try:
            made, pieces = await run_in_threadpool(_begun, ledger, items)
        except (BadFilter, Busy, LedgerError) as error:
            return _refused(error)
        headers = NO_STORE | dict(made.headers)
        headers["content-disposition"] = f'attachment; filename="{made.name}"'
        return StreamingResponse(
            iterate_in_threadpool(pieces), media_type=made.media_type, headers=headers
        )

    return answer


def _begun(ledger: Readable, items: Items) -> tuple[Export, Iterator[bytes]]:
    """An export whose first piece is there: what cannot be asked is refused and not broken off."""
    made = export(ledger, items)
    first = next(made.pieces, b"")

    def pieces() -> Iterator[bytes]:
        yield first
        yield from made.pieces

    return made, pieces()


def _refused(error: Exception) -> Response:
    status = 400 if isinstance(error, BadFilter) else 503 if isinstance(error, Busy) else 500
    said = f"the ledger could not answer: {error}" if status == 500 else str(error)
    later = {"retry-after": "1"} if status == 503 else {}
    return JSONResponse({"error": said}, status, headers=NO_STORE | later)
