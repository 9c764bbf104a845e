"""Attributes and lengths as protobuf writes them.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

__all__ = ["field", "fields", "head", "written"]

ATTRIBUTES_TAG = b"\x4a"
"""Field 9 of a span, length-delimited."""


def written(name: str, value: Any) -> bytes:
    """One attribute as bytes; `value` is `str`, `bool`, `int`, `float`, None, or lists and
    dictionaries of these. A number that OTLP has no room for is written as text."""
    if type(value) is str and len(value) < 120 and len(name) < 120:
        key, text = name.encode("utf-8", "replace"), value.encode("utf-8", "replace")
        if len(key) < 120 and len(text) < 120:  # lengths of one byte, as nearly all are
            return b"\x0a%c%b\x12%c\x0a%c%b" % (len(key), key, len(text) + 2, len(text), text)
    made = KeyValue(key=_utf8(name))
    _write(made.value, value)
    return bytes(made.SerializeToString())


def _write(into: AnyValue, value: Any) -> None:
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, str):
        into.string_value = _utf8(value)
    elif isinstance(value, int):
        if -(2**63) <= value < 2**63:
            into.int_value = value
        else:
            into.string_value = str(value)
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, Mapping):
        into.kvlist_value.SetInParent()
        for key, each in value.items():
            _write(into.kvlist_value.values.add(key=_utf8(str(key))).value, each)
    elif isinstance(value, (list, tuple)):
        into.array_value.SetInParent()
        for each in value:
            _write(into.array_value.values.add(), each)


def _utf8(text: str) -> str:
    """`text`, of which nothing cannot be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def field(raw: bytes) -> bytes:
    """An attribute as a field of a span."""
    return head(ATTRIBUTES_TAG, len(raw)) + raw


def fields(raws: Sequence[bytes]) -> Iterable[bytes]:
    """What attributes are as fields of a span, in pieces."""
    return chain.from_iterable(zip(map(_head, map(len, raws)), raws, strict=True))


@lru_cache(maxsize=4096)
def _head(size: int) -> bytes:
    return head(ATTRIBUTES_TAG, size)


def head(tag: bytes, size: int) -> bytes:
    """What stands before the `size` bytes of a length-delimited field."""
    length = b""
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return tag + length + bytes((size,))
