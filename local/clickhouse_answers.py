"""How ClickHouse's HTTP interface says things: blocks, types of content, errors."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.responses import Response

__all__ = ["BLOCK_PREFIX", "CONTENT_TYPES", "Refused", "engine_said", "heading", "hello"]

BLOCK_PREFIX = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""BlockInfo: no overflow row, no bucket. Before each Native block for clients that state a protocol."""

REVISION = 54453
"""The last revision of Native blocks that have no byte about serialization before each column."""

CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8; header=present",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}

NAMES = {
    36: "BAD_ARGUMENTS",
    62: "SYNTAX_ERROR",
    164: "READONLY",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    307: "TOO_MANY_BYTES",
    516: "AUTHENTICATION_FAILED",
}
STATUSES = {
    **dict.fromkeys((6, 27, 36, 38, 41, 43, 46, 47, 53, 62, 115, 306, 386), 400),
    **dict.fromkeys((60, 81), 404),
    **dict.fromkeys((164, 497, 516), 403),
    **dict.fromkeys((159, 160), 408),
    202: 429,
    307: 413,
}


class Refused(RuntimeError):
    """An error as ClickHouse numbers them: https://clickhouse.com/docs/native-protocol/error-codes."""

    def __init__(self, code: int, sentence: str, name: str = "") -> None:
        name = name or NAMES.get(code, "UNKNOWN_EXCEPTION")
        super().__init__(f"Code: {code}. DB::Exception: {sentence} ({name})")
        self.code = code

    def response(self) -> Response:
        headers = {"x-clickhouse-exception-code": str(self.code)}
        return Response(f"{self}\n", STATUSES.get(self.code, 500), headers, "text/plain")


def engine_said(error: BaseException) -> Refused:
    """What the engine could not do; its first line, without the layers it passed through."""
    text = str(error)
    code = re.search(r"Code: (\d+)\.", text)
    name = re.search(r"\(([A-Z][A-Z0-9_]+)\)", text)
    line = text.split("DB::Exception: ")[-1].split("\n", 1)[0]
    line = re.sub(r" \((?:[A-Z][A-Z0-9_]+|version [^)]*)\)", "", line).strip().rstrip(".")
    return Refused(int(code[1]) if code else 1002, line[:500], name[1] if name else "")


def hello(connection: Any, protocol: int) -> bytes:
    """The answer to a client's first question, before it knows what revision to expect.

    One Native block at the client's own revision: from 54454 on a byte stands before each column's
    data (0: the usual serialization).
    """
    told = connection.query("SELECT displayName(), version(), timezone()", "JSONCompactEachRow")
    name, version, zone = json.loads(bytes(told.bytes()))
    columns = (
        ("displayName()", "String", _text(name)),
        ("version()", "String", _text(version)),
        ("revision()", "UInt32", REVISION.to_bytes(4, "little")),
        ("timezone()", "String", _text(zone)),
    )
    before = b"\x00" if protocol > REVISION else b""
    written = (_text(title) + _text(kind) + before + data for title, kind, data in columns)
    return BLOCK_PREFIX + _length(len(columns)) + _length(1) + b"".join(written)


def heading(connection: Any, sql: str, bound: dict[str, str]) -> bytes:
    """A Native block of no rows, so that an empty answer still tells its columns."""
    told = connection.query(f"DESCRIBE TABLE ({sql})", "JSONCompactEachRow", params=bound)
    columns = [json.loads(line)[:2] for line in bytes(told.bytes()).splitlines() if line]
    written = (_text(name) + _text(kind) for name, kind in columns)
    return _length(len(columns)) + _length(0) + b"".join(written)


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


def _length(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    return bytes((*written, number))
