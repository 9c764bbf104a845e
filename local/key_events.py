"""A provider API key that nobody has seen before: an event, in the log and in the API.

Keys are known by their fingerprints alone, a keyed hash that calls carry where TOLLSPAN_HASH_KEY is set.
Which are new the ledger itself says: a key's first call is the oldest that bears its fingerprint,
whenever it came in.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from tollspan import semconv
from tollspan.collector.known import OWNER
from tollspan.collector.stage import Call
from tollspan.guard import quietly

from .ledger import Ledger
from .queries import BadFilter, iso
from .reconcile_ledger import Rows
from .usage_asked import RANGE, asked, number

__all__ = ["KeyWatch", "events"]

_logger = logging.getLogger("tollspan").getChild("keys")

MOST = 500
MOST_WATCHED = 1000
"""Fingerprints that are remembered; beyond, nothing is said of new ones: that many are no keys."""

KNOWN = """
SELECT DISTINCT api_key FROM llm_calls
WHERE api_key IN {keys:Array(String)} AND call_id NOT IN {ids:Array(String)}
"""
EVENTS = """
SELECT *, first AS time, toUnixTimestamp64Milli(first) AS first_ms
FROM (
    SELECT api_key AS fingerprint, min(time) AS first, argMin(call_id, time) AS call_id,
           argMin(trace_id, time) AS trace_id, argMin(provider, time) AS provider,
           argMin(service, time) AS service, argMin(environment, time) AS environment
    FROM tollspan_calls WHERE api_key != '' GROUP BY fingerprint
) {where}
ORDER BY first DESC, fingerprint LIMIT {limit:UInt32}
"""
NAMES = ("provider", "service", "environment", *RANGE, "limit")
FIELDS = ("call_id", "trace_id", "provider", "service", "environment")


def events(ledger: Rows, items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`{from, to, events}`: keys whose first call lies within the time asked for, the newest first.

    Raises:
        BadFilter: the query cannot be understood.
    """
    wanted = list(items)
    for name, _ in wanted:
        if name not in NAMES:
            raise BadFilter(
                f"{name[:50]!r} is no member of this query; known are {', '.join(NAMES)}"
            )
    found = asked([*wanted, ("data_mode", "all")], ("limit",))
    limit = number(found.others, "limit", MOST, MOST)
    rows = ledger.query(
        EVENTS.replace("{where}", found.filters.where), found.filters.bound | {"limit": limit}
    )
    made = [
        {
            "event": semconv.EVENT_NEW_KEY,
            "time": iso(int(row["first_ms"])),
            "fingerprint": row["fingerprint"],
            **{name: row[name] or None for name in FIELDS},
        }
        for row in rows
    ]
    return found.range() | {"events": made}


class KeyWatch:
    """Says in the log when a call bears a key that the ledger has not seen.

    Of each key the ledger is asked once, when its first call of this process has been committed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: set[str] = set()

    def told(self, calls: Sequence[Call]) -> None:
        """Look at calls that were committed, on the thread that committed them."""
        first: dict[str, Call] = {}
        for call in calls:
            key = call.attributes.get(semconv.API_KEY_FINGERPRINT)
            if isinstance(key, str) and key and key not in self._known and call.role == OWNER:
                first.setdefault(key, call)
        if not first or len(self._known) + len(first) > MOST_WATCHED:
            return
        with quietly:
            told = list(first)
            ids = [call.call_id for call in calls]
            rows = self._ledger.recall(KNOWN, {"keys": told, "ids": ids})
            self._known.update(told)
            for key in first.keys() - {row["api_key"] for row in rows}:
                _tell(key, first[key])


def _tell(key: str, call: Call) -> None:
    _logger.warning(
        "a provider API key never seen before: %s, used by %s for %s",
        _shown(key),
        _shown(call.span.service) or "an unnamed service",
        _shown(call.attributes.get(semconv.PROVIDER)) or "an unknown provider",
        extra={"event": semconv.EVENT_NEW_KEY, "fingerprint": key},
    )


def _shown(value: object) -> str:
    """Of what senders wrote, what a line of a log can hold."""
    return "".join(letter for letter in str(value or "")[:80] if letter.isprintable())
