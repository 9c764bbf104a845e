"""A ClickHouse server's ledger, as reconciling asks it. Reading is enough, and no setting is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan.collector.clickhouse import ClickHouse
from tollspan.config import settings

__all__ = ["asked_of"]


class _Asked:
    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self._clickhouse.rows(sql, parameters or {})


def asked_of(url: str) -> _Asked:
    """The ledger at `url`, with the settings' user and password.

    Raises:
        BadDestination: it is no URL of ClickHouse's.
    """
    found = settings()
    user, password = found.clickhouse_user, found.clickhouse_password
    return _Asked(ClickHouse(url, user, password, named="--clickhouse or its variable"))
