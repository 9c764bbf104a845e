"""Bodies of HTTP requests: read within bounds, unpacked, of the kinds that we take."""

from __future__ import annotations

import asyncio
import zlib
from threading import Lock
from typing import Self

from starlette.requests import Request

from .receiver import MAX_BODY_BYTES, Malformed, Overloaded, Refusal, TooLarge

__all__ = ["READ_AT_ONCE_BYTES", "Reading", "Room", "Unsupported", "body_of", "media_type"]

READ_AT_ONCE_BYTES = 4 * MAX_BODY_BYTES
"""Of all bodies that are being read: senders are many, and memory is not."""

MOST_MEMBERS = 16


class Unsupported(Refusal, ValueError):
    """Content type or encoding that we do not read."""

    code, http_status = 3, 415


class Room:
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


class Reading:
    """What one request took of a room, given back at the end of the block."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def take(self, count: int) -> None:
        self._room.take(count)
        self._taken += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._taken)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";", 1)[0].strip().lower()


async def body_of(request: Request, reading: Reading, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body, unpacked where it is gzip.

    Raises:
        Unsupported: another encoding.
        TooLarge: more than `most_bytes`, packed or unpacked.
        Malformed: it is not the gzip that it is said to be.
        Overloaded: too much is being read at once.
        ClientDisconnect: the sender went away.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise Unsupported("the content encoding is neither identity nor gzip")
    packed = bytearray()
    async for chunk in request.stream():
        reading.take(len(chunk))
        packed += chunk
        if len(packed) > most_bytes:
            raise TooLarge(f"the body is larger than {most_bytes} bytes")
    if encoding != "gzip":
        return bytes(packed)
    body = await asyncio.to_thread(_unpacked, packed, most_bytes)
    reading.take(len(body))
    return body


def _unpacked(packed: bytes | bytearray, most_bytes: int) -> bytes:
    """Never more than the limit in memory, whatever a few packed bytes promise.

    A gzip may be several, one behind the other (RFC 1952, 2.2); what is left out would be acknowledged
    and lost. What stands behind one is copied for the next, so that there may not be any number.
    """
    parts: list[bytes] = []
    left = most_bytes
    for _ in range(MOST_MEMBERS):
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            parts.append(unpacker.decompress(packed, left + 1))
        except zlib.error as error:
            raise Malformed("the body is not gzip") from error
        left -= len(parts[-1])
        if left < 0:
            raise TooLarge(f"the unpacked body is larger than {most_bytes} bytes")
        if not unpacker.eof:
            raise Malformed("the gzip body is cut short")
        packed = unpacker.unused_data
        if not packed.strip(b"\0"):  # padding, as gzip itself takes it
            return parts[0] if len(parts) == 1 else b"".join(parts)
    raise Malformed(f"the body is more than {MOST_MEMBERS} gzips")
