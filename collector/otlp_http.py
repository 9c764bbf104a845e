"""OTLP over HTTP: protobuf or JSON, packed or not, answered once the spans are safe.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from math import ceil

from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import wire
from .receiver import MAX_BODY_BYTES, Malformed, Overloaded, Received, Sink, TooLarge

__all__ = ["http_receiver"]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
COMMIT_TIMEOUT_S = 30.0
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE = 3, 8, 14
"""Codes of google.rpc.Status, which OTLP wants in the body of every error."""

Counted = Callable[[bytes, bool], Awaitable[bytes]]


class _Unsupported(ValueError):
    """Content type or encoding that we do not read."""


def http_receiver(sink: Sink, received: Received) -> Starlette:
    """The application that takes `/v1/traces`, `/v1/metrics` and `/v1/logs`."""

    async def traces(body: bytes, is_json: bool) -> bytes:
        # Off the loop: a big batch takes longer to read than others want to wait.
        decoded = await asyncio.to_thread(wire.traces, body, is_json=is_json)
        received.add(requests=1, spans=len(decoded.spans), rejected=decoded.rejected)
        done = sink.offer(decoded.spans)
        await asyncio.wait_for(asyncio.wrap_future(done), COMMIT_TIMEOUT_S)
        return wire.answer(decoded, is_json=is_json)

    async def metrics(body: bytes, is_json: bool) -> bytes:
        received.add(requests=1, metrics=wire.metrics(body, is_json=is_json))
        return b"{}" if is_json else b""

    async def logs(body: bytes, is_json: bool) -> bytes:
        received.add(requests=1, logs=wire.logs(body, is_json=is_json))
        return b"{}" if is_json else b""

    return Starlette(
        routes=[
            Route("/v1/traces", _endpoint(traces), methods=["POST"]),
            Route("/v1/metrics", _endpoint(metrics), methods=["POST"]),
            Route("/v1/logs", _endpoint(logs), methods=["POST"]),
        ]
    )


def _endpoint(take: Counted) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        is_json = _media_type(request) == JSON
        try:
            if _media_type(request) not in (PROTOBUF, JSON):
                raise _Unsupported(f"the content type is neither {PROTOBUF} nor {JSON}")
            answer = await take(await _body(request), is_json)
        except _Unsupported as error:
            return _error(415, INVALID_ARGUMENT, str(error), is_json)
        except TooLarge as error:
            return _error(413, INVALID_ARGUMENT, str(error), is_json)
        except Malformed as error:
            return _error(400, INVALID_ARGUMENT, str(error), is_json)
        except Overloaded as error:
            answered = _error(429, RESOURCE_EXHAUSTED, str(error), is_json)
            answered.headers["retry-after"] = str(ceil(error.retry_after_s))
            return answered
        except ClientDisconnect:
            return Response(status_code=400)
        except (RuntimeError, TimeoutError):
            answered = _error(
                503, UNAVAILABLE, "the ledger could not take the spans; send them again", is_json
            )
            answered.headers["retry-after"] = "1"
            return answered
        return Response(answer, media_type=JSON if is_json else PROTOBUF)

    return endpoint


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def _body(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise _Unsupported("the content encoding is neither identity nor gzip")
    packed = bytearray()
    async for chunk in request.stream():
        packed += chunk
        if len(packed) > MAX_BODY_BYTES:
            raise TooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return _unpacked(bytes(packed)) if encoding == "gzip" else bytes(packed)


def _unpacked(packed: bytes) -> bytes:
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


def _error(http_status: int, code: int, sentence: str, is_json: bool) -> Response:
    if is_json:
        body = json.dumps({"code": code, "message": sentence}).encode()
        return Response(body, http_status, media_type=JSON)
    return Response(
        Status(code=code, message=sentence).SerializeToString(), http_status, media_type=PROTOBUF
    )
