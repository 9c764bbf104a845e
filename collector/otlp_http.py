"""OTLP over HTTP: protobuf or JSON, packed or not, answered once the spans are safe.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from math import ceil
from typing import Protocol

from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .bodies import READ_AT_ONCE_BYTES, Reading, Room, Unsupported, body_of, media_type
from .receiver import MAX_BODY_BYTES, TRY_AGAIN, Intake, Refusal, Unavailable

__all__ = ["http_receiver"]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
COMMIT_TIMEOUT_S = 30.0


class _Take(Protocol):
    def __call__(self, body: bytes, *, is_json: bool = False) -> Future[bytes]: ...


def http_receiver(intake: Intake, more: Sequence[Route] = ()) -> Starlette:
    """The application that takes `/v1/traces`, `/v1/metrics` and `/v1/logs`; and `more`."""
    room = Room(READ_AT_ONCE_BYTES)
    taking = {"traces": intake.traces, "metrics": intake.metrics, "logs": intake.logs}
    return Starlette(
        routes=[
            *(
                Route(f"/v1/{signal}", _endpoint(take, room), methods=["POST"])
                for signal, take in taking.items()
            ),
            *more,
        ]
    )


def _endpoint(take: _Take, room: Room) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        is_json = media_type(request) == JSON
        try:
            if media_type(request) not in (PROTOBUF, JSON):
                raise Unsupported(f"the content type is neither {PROTOBUF} nor {JSON}")
            with Reading(room) as reading:
                # Off the loop: a big batch takes longer to read than others want to wait. In no variable:
                # an error that comes out of `done` would hold on to it.
                done = await asyncio.to_thread(
                    take, await body_of(request, reading, MAX_BODY_BYTES), is_json=is_json
                )
            answer = await asyncio.wait_for(asyncio.wrap_future(done), COMMIT_TIMEOUT_S)
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as refusal:
            return _error(refusal, is_json)
        except (RuntimeError, TimeoutError):
            return _error(Unavailable(TRY_AGAIN), is_json)
        return Response(answer, media_type=JSON if is_json else PROTOBUF)

    return endpoint


def _error(refusal: Refusal, is_json: bool) -> Response:
    sentence = str(refusal)
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(ceil(refusal.retry_after_s))
    if is_json:
        body = json.dumps({"code": refusal.code, "message": sentence}).encode()
        return Response(body, refusal.http_status, headers, media_type=JSON)
    body = Status(code=refusal.code, message=sentence).SerializeToString()
    return Response(body, refusal.http_status, headers, media_type=PROTOBUF)
