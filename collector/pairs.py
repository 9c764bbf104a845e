"""Attributes as the bytes in which they travel, read once each.

An attribute is a KeyValue message; most of those of a batch are the same few, byte for byte. So
what was read is remembered by its bytes.
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from .private import DROP, KEEP, kept_value, rule
from .receiver import Malformed

__all__ = ["attributes", "key_of", "map_of", "number", "pair", "usual", "value_of"]

MOST_KEPT = 65_536
LONGEST_KEPT = 512
"""Pairs remembered, and bytes of one: what is seen twice and is short."""

GONE: Any = object()
"""Stands for the name of what must not go further."""


class _Seen(dict[bytes, tuple[Any, Any]]):
    """Pairs by their bytes; one that is asked for twice stays."""

    def __init__(self) -> None:
        super().__init__()
        self._once: set[int] = set()

    def __missing__(self, raw: bytes) -> tuple[Any, Any]:
        found = _short(raw)
        if found is None:
            name, value = pair(raw)
            found = (GONE, None) if rule(name) == DROP else (name, kept_value(name, value))
        if len(raw) <= LONGEST_KEPT:
            seen = hash(raw)
            if seen in self._once:
                if len(self) >= MOST_KEPT:
                    self.clear()
                self[raw] = found
            else:
                if len(self._once) >= MOST_KEPT:
                    self._once.clear()
                self._once.add(seen)
        return found


_names: dict[bytes, str] = {}
"""By `key_of`: names whose values are kept as they are."""


def usual(raw: bytes) -> str | None:
    """The name of an attribute whose value is kept as it is, of a name and a short value; else None,
    and then it takes a closer look."""
    size = len(raw)
    at = raw[1] + 3 if size > 5 else size
    if size < at + 3 or not 127 >= raw[at] == size - at - 1:
        return None
    name = _names.get(raw[:at])
    return _usual(raw) if name is None else name


def _short(raw: bytes) -> tuple[str, Any] | None:
    """A short text or a number under a usual name; None where it is anything else."""
    name = usual(raw)
    if name is None:
        return None
    at, size = raw[1] + 3, len(raw)
    kind = raw[at + 1]
    if kind == 0x0A and raw[at + 2] == size - at - 3:
        try:
            return name, raw[at + 3 :].decode()
        except UnicodeDecodeError as error:
            raise Malformed("an attribute is not UTF-8") from error
    if kind == 0x21 and size == at + 10:
        return name, _double(raw, at + 2)[0]
    if kind == 0x18 and at + 2 < size < at + 7 and raw[-1] < 0x80:
        number = raw[-1]
        for byte in raw[-2 : at + 1 : -1]:
            if byte < 0x80:
                return None
            number = number << 7 | byte & 0x7F
        return name, number
    return None


def number(raw: bytes) -> Any:
    """The value of an attribute that is most often a small count.

    Raises:
        Malformed: `raw` is no attribute.
    """
    found = _short(raw)
    return pair(raw)[1] if found is None else found[1]


_double = struct.Struct("<d").unpack_from


def _usual(raw: bytes) -> str | None:
    key = key_of(raw)
    if not key:
        return None
    name = pair(key[:-1])[0]
    if rule(name) != KEEP or len(_names) >= MOST_KEPT:
        return None
    return _names.setdefault(key, name)


_seen = _Seen()


def attributes(raws: Iterable[bytes]) -> dict[str, Any]:
    """Attributes by name, as `private.kept` leaves them; the last of two by one name stands.

    Raises:
        Malformed: one of `raws` is no attribute.
    """
    found = dict(map(_seen.__getitem__, raws))
    found.pop(GONE, None)
    return found


def pair(raw: bytes) -> tuple[str, Any]:
    """Name and value of one attribute, whatever they are.

    Raises:
        Malformed: `raw` is no attribute.
    """
    try:
        size = len(raw)
        # A short string, as every encoder writes it: name, value, nothing more.
        if size > 6 and raw[0] == 0x0A and raw[1] < 128:
            at = raw[1] + 2
            if (
                at + 4 <= size < at + 130
                and raw[at] == 0x12
                and raw[at + 1] == size - at - 2
                and raw[at + 2] == 0x0A
                and raw[at + 3] == size - at - 4
            ):
                return raw[2:at].decode(), raw[at + 4 :].decode()
        read = KeyValue.FromString(raw)
        return read.key, value_of(read.value)
    except (DecodeError, UnicodeDecodeError) as error:
        raise Malformed("an attribute is not an OTLP protobuf message") from error


def key_of(raw: bytes) -> bytes:
    """Where an attribute begins with its name and then states its value: these first bytes, so
    that no other name's attribute begins with them; else nothing."""
    if len(raw) > 2 and raw[0] == 0x0A and raw[1] < 128:
        at = raw[1] + 2
        if raw[at : at + 1] == b"\x12":
            return raw[: at + 1]
    return b""


def value_of(value: Any) -> Any:
    """An AnyValue as Python has it; bytes as base64."""
    return _READ[value.WhichOneof("value")](value)


def map_of(pairs: Any) -> dict[str, Any]:
    return {each.key: value_of(each.value) for each in pairs}


_READ: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: None,
    "string_value": lambda value: value.string_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bool_value": lambda value: value.bool_value,
    "bytes_value": lambda value: base64.b64encode(value.bytes_value).decode(),
    "array_value": lambda value: [value_of(each) for each in value.array_value.values],
    "kvlist_value": lambda value: map_of(value.kvlist_value.values),
    # Profiles only: an index into a table that traces do not have.
    "string_value_strindex": lambda value: None,
}
