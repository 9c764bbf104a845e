"""A ClickHouse server's ledger, as repricing reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

from tollspan.collector.clickhouse import ClickHouse, ClickHouseError

__all__ = ["ServerStore"]

READING = {
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_decimals": "1",
    "do_not_merge_across_partitions_select_final": "1",
}


class ServerStore(ClickHouse):
    """See `Store`. The server's user must be allowed to insert."""

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        settings = ", ".join(f"{name} = {value}" for name, value in READING.items())
        return super().rows(f"{sql.strip()}\nSETTINGS {settings}", parameters)

    def add(self, table: str, rows: Iterable[Mapping[str, Any]], token: str) -> None:
        """Add `rows` to `table`.

        Raises:
            ClickHouseError: it did not say that it took them.
        """
        asked = {
            "query": f"INSERT INTO {table} FORMAT JSONEachRow",
            "insert_deduplication_token": token,
            "max_partitions_per_insert_block": "0",
            "wait_end_of_query": "1",
        }
        if self._database:
            asked["database"] = self._database
        body = "\n".join(json.dumps(row) for row in rows).encode()
        try:
            answer = self._pool.urlopen(
                "POST",
                f"/?{urlencode(asked)}",
                body=body,
                headers=self._headers,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClickHouseError(
                f"ClickHouse at {self._pool.host} cannot be reached ({type(error).__name__})"
            ) from error
        if answer.status != 200:
            said = answer.data[:300].decode("utf-8", "replace").strip().partition("\n")[0]
            raise ClickHouseError(f"ClickHouse says: {said or answer.status}")
