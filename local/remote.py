"""The ledger of a ClickHouse server, to read: what the usage API asks in production."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollspan.collector.clickhouse import ClickHouse, ClickHouseError

from .ledger import Busy, LedgerError

__all__ = ["ClickHouseLedger"]

SETTINGS = {
    "max_execution_time": 30,
    "max_result_rows": 100_000,
    "result_overflow_mode": "throw",
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "prefer_column_name_to_alias": 1,
}
"""As the embedded ledger's readers have them. The user must be allowed to set them: `readonly = 2`."""

OF_A_FILE = {"max_execution_time": 600, "prefer_column_name_to_alias": 1}
TOO_LONG = ("TIMEOUT_EXCEEDED", "TOO_MANY_ROWS", "TOO_MANY_SIMULTANEOUS_QUERIES")


class ClickHouseLedger:
    """A `Readable` over a server. Texts are bound as the server reads them, whatever is in them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        clickhouse.setting = SETTINGS
        self._clickhouse = clickhouse

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """See `Readable`."""
        try:
            return self._clickhouse.rows(sql, _bound(parameters or {}))
        except ClickHouseError as error:
            raise _said(error) from error

    def written(self, sql: str, form: str, parameters: Mapping[str, Any]) -> bytes:
        """See `Readable`."""
        return b"".join(self._asked(sql, form, parameters, SETTINGS))

    def file(self, sql: str, form: str, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """See `Readable`."""
        return self._asked(sql, form, parameters, OF_A_FILE)

    def _asked(
        self, sql: str, form: str, parameters: Mapping[str, Any], setting: Mapping[str, Any]
    ) -> Iterator[bytes]:
        try:
            found = self._clickhouse.pieces(sql, form, _bound(parameters), setting)
        except ClickHouseError as error:
            raise _said(error) from error
        return _pieces(found)

    def close(self) -> None:
        self._clickhouse.close()


def _pieces(found: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from found
    except ClickHouseError as error:
        raise _said(error) from error


def _said(error: ClickHouseError) -> Exception:
    if any(each in str(error) for each in TOO_LONG):
        return Busy("the query took too long; ask for a shorter time range")
    return LedgerError(str(error)[:300])


def _bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A text alone is read by the server as in tab-separated text, those of a list as literals."""
    return {
        name: value.translate(_ESCAPES) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


_ESCAPES = {ord("\\"): "\\\\", 9: "\\t", 10: "\\n", 13: "\\r", 0: "\\0"}
