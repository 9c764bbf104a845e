"""Statements as the embedded engine takes them, and what it answers or refuses.

Facts of chdb-core 26.9: parameters are bound by name, each written as in tab-separated text; rows that
a failed query had written stand in front of the next answer of its connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import chdb

__all__ = ["Busy", "LedgerError", "answer", "first_line", "lines", "rows"]


class LedgerError(RuntimeError):
    """The engine could not do it; the message is the engine's own first line."""


class Busy(RuntimeError):
    """The query took longer than it may, or every reader is at work."""


def rows(connection: Any, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that a statement answers.

    Raises:
        Busy: it took too long, or has too many.
        LedgerError: the engine refused it.
    """
    return lines(connection, sql, parameters, "JSONEachRow")


def lines(connection: Any, sql: str, parameters: Mapping[str, Any], form: str) -> list[Any]:
    """The same in one of the engine's formats of a JSON value in each line."""
    found = answer(connection, sql, parameters, form)
    return [json.loads(line) for line in found.splitlines() if line]


def answer(connection: Any, sql: str, parameters: Mapping[str, Any], form: str) -> bytes:
    """The same in any format, as it came."""
    bound = {name: _escaped(value) for name, value in parameters.items()}
    try:
        return bytes(connection.query(sql, form, params=bound).bytes())
    except (chdb.ChdbError, RuntimeError) as error:
        with suppress(chdb.ChdbError, RuntimeError):  # so that the next one hears none of it
            connection.query("SELECT 1", "TSV")
        if "TIMEOUT_EXCEEDED" in str(error) or "TOO_MANY_ROWS" in str(error):
            raise Busy("the query took too long; ask for a shorter time range") from error
        raise LedgerError(first_line(error)) from error


def first_line(error: BaseException) -> str:
    """What the engine says, without its place in the engine's code."""
    text = str(error)
    text = text.split("DB::Exception: ", 1)[-1]
    return text.split("\n", 1)[0].split("Stack trace", 1)[0].strip()[:300] or type(error).__name__


def _escaped(value: Any) -> str:
    """A parameter as the engine reads it: a string as in tab-separated text, a list as a literal."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(f"'{_escaped(each)}'" for each in value) + "]"
    return str(value).translate(_ESCAPES).encode("utf-8", "replace").decode()


_ESCAPES = {ord("\\"): "\\\\", ord("'"): "\\'", 9: "\\t", 10: "\\n", 13: "\\r", 0: "\\0"}
