"""Keeping the rollups of the embedded ledger: the same statements that a server refreshes by itself."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

from .migrations import statements

__all__ = ["OF_CALLS", "OF_USAGE", "TABLES", "forget", "refresh"]

OF_CALLS = ("calls_by_minute", "calls_by_hour", "calls_by_tenant_hour", "calls_by_tenant_day")
"""By environment and data mode, among others."""
OF_BUDGETS = "budget_hours"
OF_USAGE = ("usage_by_hour", "usage_by_tenant_hour", "usage_by_tags_hour")
"""Never asked about an hour whose calls are gone, unlike those of `OF_CALLS`."""
TABLES = (*OF_CALLS, OF_BUDGETS, *OF_USAGE)
REFRESH = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ REFRESH EVERY [\w ]+ APPEND TO (\w+) AS\s"
)


def refresh(connection: Any) -> None:
    """Count the buckets again of which a call was told since a little before the last refresh.

    When it returns the rollups equal what stood in the ledger before.
    """
    for statement in _counting():
        connection.query(statement)


@cache
def _counting() -> list[str]:
    text = (resources.files("tollspan.local.clickhouse") / "refresh.sql").read_text("utf-8")
    return [REFRESH.sub(r"INSERT INTO \1 ", each) for each in statements(text)]


def forget(connection: Any, *, all_of_them: bool) -> None:
    """Count anew at the next refresh: calls were taken out of the ledger.

    What budgets have spent is of the last weeks and is always counted anew, and so is what the usage API
    adds up; without `all_of_them` the other sums stay, because they outlive their calls.
    """
    for table in TABLES if all_of_them else (OF_BUDGETS, *OF_USAGE):
        connection.query(f"TRUNCATE TABLE {table}")
