"""`/v1/reconcile`: a provider's bill against the ledger.

POST one export as the body, as it was downloaded, or several as `{"exports": [{"name", "text"}]}`; the
answer is the report. GET answers the ledger's side alone, for `tollspan reconcile`, which reads bills
on its own machine and sends them nowhere.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tollspan.collector.bodies import Reading, Room, body_of
from tollspan.collector.receiver import Overloaded, Refusal

from .ledger import Busy, LedgerError
from .reconcile import reconcile
from .reconcile_asked import asked, days_of, provider_of, zone_of
from .reconcile_ledger import Rows, as_json, sums
from .reconcile_lines import BadExport
from .reconcile_read import read
from .reconcile_schema import OPERATIONS

__all__ = ["OPERATIONS", "routes"]

MOST_BYTES = 64 * 2**20
MOST_EXPORTS = 50
NO_STORE = {"cache-control": "no-store"}
TELLING = ("provider", "from", "to", "zone")


def routes(ledger: Rows) -> list[Route]:
    """The route of this module."""
    room = Room(2 * MOST_BYTES)

    async def answer(request: Request) -> Response:
        try:
            if request.method == "POST":
                with Reading(room) as reading:
                    body = await body_of(request, reading, MOST_BYTES)
                    found = await run_in_threadpool(_report, ledger, request, body)
            else:
                found = await run_in_threadpool(_told, ledger, request)
        except BadExport as wrong:
            return _sentence(400, str(wrong))
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as refusal:
            later = {"retry-after": "1"} if isinstance(refusal, Overloaded) else {}
            return JSONResponse({"error": str(refusal)}, refusal.http_status, NO_STORE | later)
        except Busy as busy:
            return _sentence(503, str(busy))
        except LedgerError as error:
            return _sentence(500, f"the ledger could not answer: {error}")
        return JSONResponse(found, headers=NO_STORE)

    return [Route("/v1/reconcile", answer, methods=["GET", "POST"])]


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)


def _report(ledger: Rows, request: Request, body: bytes) -> dict[str, Any]:
    wanted = asked(request.query_params.multi_items())
    return reconcile(read(_exports(body)), lambda *which: sums(ledger, *which), wanted)


def _exports(body: bytes) -> list[tuple[str, bytes]]:
    """The body as one export, or as those that it holds."""
    if body.lstrip()[:1] == b"{" and b'"exports"' in body[:4096]:
        try:
            found = json.loads(body).get("exports")
        except (ValueError, RecursionError) as error:
            raise BadExport("the body is no JSON") from error
        if not isinstance(found, list) or not 0 < len(found) <= MOST_EXPORTS:
            raise BadExport(f"exports is no list of 1 to {MOST_EXPORTS}")
        return [_export(each, at) for at, each in enumerate(found)]
    return [("the export", body)]


def _export(each: Any, at: int) -> tuple[str, bytes]:
    if not isinstance(each, dict) or not isinstance(each.get("text"), str):
        raise BadExport(f"exports[{at}] has no text: write {{'name': 'usage.csv', 'text': '…'}}")
    name = each.get("name") or f"exports[{at}]"
    if not isinstance(name, str):
        raise BadExport(f"exports[{at}].name is no text")
    return name[:200], each["text"].encode("utf-8", "replace")


def _told(ledger: Rows, request: Request) -> dict[str, Any]:
    single = dict(request.query_params.multi_items())
    if unknown := sorted(single.keys() - set(TELLING)):
        raise BadExport(f"{unknown[0][:200]} is unknown: known are {', '.join(TELLING)}")
    provider = provider_of(single.get("provider", ""))
    first, last = days_of(single)
    zone = zone_of(single.get("zone", ""))
    return {
        "provider": provider or None,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "zone": zone,
        "sums": [as_json(each) for each in sums(ledger, provider, first, last, zone)],
    }
