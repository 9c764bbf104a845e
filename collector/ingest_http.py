"""`POST /v1/ingest` and the like: records of calls over HTTP, answered when they are safe.

200 when every record was taken or was there before, 207 when some were not, 400 when none was or the
body cannot be read, 503 with `Retry-After` when it cannot be taken now: sent again it counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from math import ceil
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import told_interactive, told_litellm, told_otoroshi, told_record
from .bodies import Reading, Room, Unsupported, body_of, media_type
from .ingest import Ingest, Read, records_in
from .receiver import MAX_BODY_BYTES, Overloaded, Refusal, Unavailable

__all__ = ["MOST_BYTES", "SOURCES", "routes"]

SOURCES: Mapping[str, Read] = {
    "": told_record.read,
    "otoroshi": told_otoroshi.read,
    "litellm": told_litellm.read,
    "llm-interactive-proxy": told_interactive.read,
}
"""Who reads what comes to `/v1/ingest` ('') and to `/v1/ingest/<name>`."""

JSON, LINES = "application/json", ("application/x-ndjson", "application/jsonl")
MOST_BYTES = 16 * 1024 * 1024
"""Of a request with records; events may bring whole conversations, which are dropped here."""

ROOM_BYTES = 4 * MAX_BODY_BYTES
COMMIT_TIMEOUT_S = 60.0
ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""So that what is no POST hears why, rather than that nothing is there."""
NO_STORE = {"cache-control": "no-store"}


def routes(ingest: Ingest, sources: Mapping[str, Read] = SOURCES) -> list[Route]:
    """A route for each of `sources`, and one that says to all others which there are."""
    room = Room(ROOM_BYTES)
    made = [
        Route(
            f"/v1/ingest{'/' if name else ''}{name}",
            _endpoint(ingest, read, room, MAX_BODY_BYTES if name else MOST_BYTES),
            methods=ANY,
        )
        for name, read in sources.items()
    ]
    return [*made, Route("/v1/ingest/{rest:path}", _unknown(list(sources)), methods=ANY)]


def _unknown(sources: Sequence[str]) -> Any:
    named = ", ".join(name for name in sources if name)

    async def endpoint(request: Request) -> Response:
        return _sentence(404, f"nothing of that name is taken here: records are, and {named}")

    return endpoint


def _endpoint(ingest: Ingest, read: Read, room: Room, most_bytes: int) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            if request.method != "POST":
                return _sentence(405, "send records with POST", {"allow": "POST"})
            dry_run = _dry_run(request)
            with Reading(room) as reading:
                body = await body_of(request, reading, most_bytes)
                records = await run_in_threadpool(records_in, body, lines=_is_lines(request))
                answer, waits = await run_in_threadpool(ingest.take, records, read, dry_run=dry_run)
            await _committed(waits)
        except ClientDisconnect:
            return Response(status_code=400)
        except Overloaded as full:
            return _sentence(503, str(full), _later(full))
        except Refusal as refusal:
            return _sentence(refusal.http_status, str(refusal), _later(refusal))
        except RuntimeError as error:
            return _sentence(503, f"the ledger could not take the records: {error}", _later(None))
        except ValueError as wrong:
            return _sentence(400, str(wrong))
        return JSONResponse(answer.as_json(), answer.http_status, headers=NO_STORE)

    return endpoint


async def _committed(waits: list[Future[None]]) -> None:
    """Wait until all is safe; a commit that failed is raised."""
    try:
        for done in waits:
            await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(done)), timeout=COMMIT_TIMEOUT_S
            )
    except TimeoutError as error:
        raise Unavailable("the ledger takes too long; send the records again") from error


def _is_lines(request: Request) -> bool:
    kind = media_type(request)
    if kind in LINES:
        return True
    if kind != JSON:
        raise Unsupported(
            f"the content type {kind[:80] or '(none)'} is not read here: "
            f"send {JSON}, or {LINES[0]} for JSON lines"
        )
    return False


def _dry_run(request: Request) -> bool:
    for name, value in request.query_params.items():
        if name != "dry_run" or value not in ("0", "1", "true", "false"):
            raise ValueError("the only parameter is dry_run: true or false")
    return request.query_params.get("dry_run") in ("1", "true")


def _later(refusal: Refusal | None) -> dict[str, str]:
    seconds = refusal.retry_after_s if refusal is not None else 1.0
    return {} if seconds is None else {"retry-after": str(ceil(seconds))}


def _sentence(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": sentence}, status, headers={**NO_STORE, **(headers or {})})
