"""OTLP over HTTP: protobuf or JSON, packed or not, answered once the spans are safe.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from math import ceil
from threading import Lock
from typing import Protocol, Self

from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from .receiver import (
    MAX_BODY_BYTES,
    TRY_AGAIN,
    Intake,
    Malformed,
    Overloaded,
    Refusal,
    TooLarge,
    Unavailable,
)

__all__ = ["http_receiver"]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
COMMIT_TIMEOUT_S = 30.0
READ_AT_ONCE_BYTES = 4 * MAX_BODY_BYTES
"""Of all bodies that are being read: senders are many, and memory is not."""


class _Take(Protocol):
    def __call__(self, body: bytes, *, is_json: bool = False) -> Future[bytes]: ...


class _Unsupported(Refusal, ValueError):
    """Content type or encoding that we do not read."""

    code, http_status = 3, 415


def http_receiver(intake: Intake) -> Starlette:
    """The application that takes `/v1/traces`, `/v1/metrics` and `/v1/logs`."""
    room = _Room(READ_AT_ONCE_BYTES)
    taking = {"traces": intake.traces, "metrics": intake.metrics, "logs": intake.logs}
    return Starlette(
        routes=[
            Route(f"/v1/{signal}", _endpoint(take, room), methods=["POST"])
            for signal, take in taking.items()
        ]
    )


def _endpoint(take: _Take, room: _Room) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        is_json = _media_type(request) == JSON
        try:
            if _media_type(request) not in (PROTOBUF, JSON):
                raise _Unsupported(f"the content type is neither {PROTOBUF} nor {JSON}")
            with _Reading(room) as reading:
                body = await _body(request, reading)
                # Off the loop: a big batch takes longer to read than others want to wait.
                done = await asyncio.to_thread(take, body, is_json=is_json)
            answer = await asyncio.wait_for(asyncio.wrap_future(done), COMMIT_TIMEOUT_S)
        except ClientDisconnect:
            return Response(status_code=400)
        except Refusal as refusal:
            return _error(refusal, is_json)
        except (RuntimeError, TimeoutError):
            return _error(Unavailable(TRY_AGAIN), is_json)
        return Response(answer, media_type=JSON if is_json else PROTOBUF)

    return endpoint


class _Room:
    """How many bytes may be in memory at once, over all requests."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._lock = Lock()

    def take(self, count: int) -> None:
        with self._lock:
            if count > self._left:
                raise Overloaded(1.0, "too much is being received at once; send again later")
            self._left -= count

    def give_back(self, count: int) -> None:
        with self._lock:
            self._left += count


class _Reading:
    """What one request took of a room, given back at the end of the block."""

    def __init__(self, room: _Room) -> None:
        self._room = room
        self._taken = 0

    def take(self, count: int) -> None:
        self._room.take(count)
        self._taken += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._taken)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def _body(request: Request, reading: _Reading) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise _Unsupported("the content encoding is neither identity nor gzip")
    packed = bytearray()
    async for chunk in request.stream():
        reading.take(len(chunk))
        packed += chunk
        if len(packed) > MAX_BODY_BYTES:
            raise TooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")
    if encoding != "gzip":
        return bytes(packed)
    body = await asyncio.to_thread(_unpacked, packed)
    reading.take(len(body))
    return body


def _unpacked(packed: bytearray) -> bytes:
    """Never more than the limit in memory, whatever a few packed bytes promise."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(packed, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise Malformed("the body is not gzip") from error
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the unpacked body is larger than {MAX_BODY_BYTES} bytes")
    if not unpacker.eof:
        raise Malformed("the gzip body is cut short")
    return body


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
