"""How long the ledger keeps rows: as many days as the settings say, by the engine's own TTL."""

from __future__ import annotations

import re
from typing import Any

from tollspan.config import Settings

from .rollups import OF_BUDGETS, OF_CALLS, OF_USAGE

__all__ = ["forget_after", "sums_can_be_made_again"]

TTL = re.compile(r"\bTTL .*?toIntervalDay\((\d+)\)")


def forget_after(connection: Any, chosen: Settings) -> None:
    """Make the tables forget rows after the days that `chosen` says; 0 is never.

    Rows that are older already are gone when the engine has rewritten their parts, which it begins
    at once and does beside everything else.
    """
    days = {
        "spans": (chosen.keep_spans_days, "toDateTime(time)"),
        "span_links": (chosen.keep_spans_days, "told_at"),
        "llm_calls": (chosen.keep_calls_days, "toDateTime(time)"),
        "llm_hops": (chosen.keep_calls_days, "toDateTime(time)"),
        **dict.fromkeys((*OF_CALLS, OF_BUDGETS), (chosen.keep_rollups_days, "bucket")),
        # Asked for in the place of calls, so never gone before them.
        **dict.fromkeys(
            OF_USAGE, (chosen.keep_calls_days and chosen.keep_calls_days + 1, "bucket")
        ),
    }
    for table, (wanted, moment) in days.items():
        said = str(connection.query(f"SHOW CREATE TABLE {table}", "TSVRaw").data())
        found = TTL.search(said)
        if wanted and (found is None or int(found[1]) != wanted):
            ttl = f"{moment} + toIntervalDay({wanted})"
            connection.query(f"ALTER TABLE {table} MODIFY TTL {ttl}")
        elif not wanted and found is not None:
            connection.query(f"ALTER TABLE {table} REMOVE TTL")


def sums_can_be_made_again(chosen: Settings) -> bool:
    """Whether every call that a rollup has counted still stands in the ledger.

    Where sums outlive the calls that they are of, whoever removes calls removes their sums.
    """
    calls, sums = chosen.keep_calls_days, chosen.keep_rollups_days
    return not calls or bool(sums and sums <= calls)
