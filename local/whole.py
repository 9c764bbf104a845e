"""Counts over the whole ledger, kept by the hour: only hours of which a call was told are counted again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from .ledger import Ledger
from .usage_asked import asked
from .usage_facts import HOUR_S, LATE_S, MOST_SPANS, TOLD, facts
from .usage_sums import FACTS, OF_A_CALL

__all__ = ["Whole"]

AGAIN_S = 3600
"""How long counts are kept: calls that are too old leave the ledger without anybody saying so."""

MODELS = 20
NAMES = {
    "untagged": "endpoint = ''",
    "named": "concat(provider, '\\0', coalesce(nullIf(response_model, ''), request_model))",
    "unknown": "cost_grade = 'unpriced' AND unpriced_reason != 'no_usage'",
}


COUNTED = ("", "priced_", "unpriced_", "untagged_")


class Whole:
    """Counts of everything in `ledger`, exact when they are asked for. Safe to be asked by several threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._hours: dict[int, dict[str, Any]] = {}
        self._removals = -1
        self._counted_s = self._whole_s = 0.0
        self._lock = Lock()

    def counts(self) -> dict[str, Any]:
        """`calls`, those with a price, without and untagged, and the models that nobody has a price for.

        Raises:
            Busy: it took too long.
            LedgerError: the engine refused it.
        """
        with self._lock:
            self._count()
            hours = list(self._hours.values())
        models: Counter[str] = Counter()
        for hour in hours:
            models.update(
                {name: int(calls) for name, calls in hour["models"].items() if int(calls)}
            )
        most = sorted(models.items(), key=lambda each: (-each[1], each[0]))[:MODELS]
        return {
            **{f"{name}calls": sum(hour[f"{name}calls"] for hour in hours) for name in COUNTED},
            "unpriced_models": [
                dict(zip(("provider", "model"), name.split("\0", 1), strict=True))
                | {"calls": calls}
                for name, calls in most
            ],
        }

    def _count(self) -> None:
        removals, now_s = self._ledger.removals, time.time()
        told: list[int] | None = None
        if removals == self._removals and now_s - self._whole_s < AGAIN_S:
            since = max(0, int(self._counted_s) - LATE_S)
            told = [row["hour_s"] for row in self._ledger.query(TOLD, {"since": since})]
        if told is None or len(told) > MOST_SPANS:
            self._hours = dict(_by_hour(self._ledger, *_everything(self._ledger)))
            self._whole_s = now_s
        elif told:
            within = " OR ".join(f"(time >= {_at(s)} AND time < {_at(s + HOUR_S)})" for s in told)
            found = dict(_by_hour(self._ledger, _of_calls(f"WHERE {within}"), OF_A_CALL))
            self._hours = {s: row for s, row in self._hours.items() if s not in told} | found
        self._removals, self._counted_s = removals, now_s


def _everything(ledger: Ledger) -> tuple[str, Mapping[str, str]]:
    found = asked([("last", "all"), ("data_mode", "all")])
    source = facts(ledger, found, ("provider", "model", "endpoint"))
    if source:
        return source.table(NAMES), FACTS
    return _of_calls(""), OF_A_CALL


def _of_calls(where: str) -> str:
    columns = ", ".join(f"{each} AS {name}" for name, each in NAMES.items())
    return f"(SELECT *, {columns} FROM tollspan_calls {where})"


def _by_hour(
    ledger: Ledger, table: str, of: Mapping[str, str]
) -> Iterable[tuple[int, dict[str, Any]]]:
    rows = ledger.query(
        f"SELECT toUnixTimestamp(toStartOfHour(time)) AS hour_s, sum({of['calls']}) AS calls, "
        f"sum({of['priced_calls']}) AS priced_calls, sum({of['unpriced_calls']}) AS unpriced_calls, "
        f"sumIf({of['calls']}, untagged) AS untagged_calls, "
        f"sumMapIf(map(named, {of['unpriced_calls']}), unknown) AS models FROM {table} "
        "GROUP BY hour_s"
    )
    return ((row["hour_s"], row) for row in rows)


def _at(time_s: int) -> str:
    return f"toDateTime64({time_s}, 9, 'UTC')"
