"""`GET /v1/usage/recent`: single calls, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from . import queries
from .queries import CALL_ID, BadFilter
from .readable import Readable
from .usage_asked import asked, number

__all__ = ["CALLS", "OTHERS", "recent"]

OTHERS = ("limit", "cursor")
CALLS, MOST_CALLS = 50, 500
COLUMNS = f"{queries.COLUMNS}, response_id, api_key, tool_calls, speed, inference_geo, told_by"


def recent(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string: calls as `/api/calls` has them, and some more.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    limit = number(found.others, "limit", CALLS, MOST_CALLS)
    if cursor := found.others.get("cursor"):
        if CALL_ID.fullmatch(cursor) is None:
            raise BadFilter("cursor is none: use the value of next_cursor as it came")
        found.filters.add("call_id < {f_cursor:String}", f_cursor=cursor)
    calls, following = queries.calls(ledger, found.filters, limit, COLUMNS)
    return found.range() | {"calls": calls, "next_cursor": following}
