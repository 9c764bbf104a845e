"""Keeping the rollups of the embedded ledger: the same statements that a server refreshes by itself."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from .migrations import statements

__all__ = ["TABLES", "forget", "refresh"]

TABLES = ("calls_by_minute", "calls_by_hour", "calls_by_tenant_hour", "calls_by_tenant_day")
REFRESH = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ REFRESH EVERY [\w ]+ APPEND TO (\w+) AS\s"
)


def refresh(connection: Any) -> None:
    """Count the buckets again of which a call was told since a little before the last refresh.

    Nothing may be written to the ledger meanwhile. When it returns the rollups equal it.
    """
    for statement in _counting():
        connection.query(statement)


@cache
def _counting() -> list[str]:
    text = (resources.files("tollspan.local.clickhouse") / "refresh.sql").read_text("utf-8")
    return [REFRESH.sub(r"INSERT INTO \1 ", each) for each in statements(text)]


def forget(connection: Any) -> None:
    """Count everything anew at the next refresh: calls were taken out of the ledger."""
    for table in TABLES:
        connection.query(f"TRUNCATE TABLE {table}")
