"""AWS's event stream: messages in binary frames, read and written.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

__all__ = ["read", "written"]

_TEXT = 7
"""The type of headers that services send with events; others are left out."""

_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of the other types; 6 and 7 state their own length."""


def read(pieces: Sequence[bytes]) -> list[list[dict[str, Any]]] | None:
    """`{headers, payload}` of each message, with the piece that completed it; None where the bytes
    are no such messages. What is left at the end, of a stream that broke off, is left out."""
    found: list[list[dict[str, Any]]] = []
    waiting = b""
    for piece in pieces:
        waiting += piece
        here: list[dict[str, Any]] = []
        while len(waiting) >= 16:
            length, head = struct.unpack_from("!II", waiting)
            if not 16 + head <= length <= 2**25 or zlib.crc32(waiting[:8]) != _word(waiting, 8):
                return None
            if len(waiting) < length:
                break
            message, waiting = waiting[:length], waiting[length:]
            if zlib.crc32(message[:-4]) != _word(message, length - 4):
                return None
            try:
                payload = message[12 + head : -4].decode()
                here.append({"headers": _headers(message[12 : 12 + head]), "payload": payload})
            except (UnicodeDecodeError, struct.error, KeyError, IndexError):
                return None
        found.append(here)
    return found


def _word(content: bytes, place: int) -> int:
    found: int = struct.unpack_from("!I", content, place)[0]
    return found


def _headers(raw: bytes) -> dict[str, str]:
    headers = {}
    at = 0
    while at < len(raw):
        end = at + 1 + raw[at]
        name, kind = raw[at + 1 : end].decode(), raw[end]
        at = end + 1
        if kind in (6, _TEXT):
            (length,) = struct.unpack_from("!H", raw, at)
            if kind == _TEXT:
                headers[name] = raw[at + 2 : at + 2 + length].decode()
            at += 2 + length
        else:
            at += _FIXED[kind]
    return headers


def written(frame: dict[str, Any]) -> bytes:
    """A message as `read` gives it, as bytes with the right sums."""
    head = b""
    for name, value in frame["headers"].items():
        spelled, said = str(name).encode(), str(value).encode()
        head += struct.pack("!B", len(spelled)) + spelled
        head += struct.pack("!BH", _TEXT, len(said)) + said
    payload = str(frame["payload"]).encode("utf-8", "surrogateescape")
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    rest = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return rest + struct.pack("!I", zlib.crc32(rest))
