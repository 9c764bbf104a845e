"""Pricing history again: from what rows keep, by today's book and price file, as new versions of rows.

What a provider or gateway reported stays as it is. A row is written only where its amount changes, so
doing it twice changes nothing the second time. The new version lies above every redelivery of the same
evidence, and below what later spans of the call may yet correct.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Protocol

from tollspan.collector.row_prices import Derived, derived, uncached
from tollspan.collector.rows import COUNTS
from tollspan.columns import TEXTS
from tollspan.processors.prices import Prices, reread

from .usage_measures import money

__all__ = ["Asked", "Change", "Report", "Store", "reprice"]

PAGE = 10_000
LIFT = 1 << 38
"""What the first repricing adds to a version: more than two copies of the same spans can differ by, less
than one more span adds (see `Stage`: rank << 18, 1 << 24 for each span)."""

GRADES = ("derived", "lower_bound", "estimated", "unpriced")
"""Grades of amounts that we made, or could not make; `billed` is what somebody else states."""

FAILED = {"error": "error", "abandoned": "abandoned", "cancelled": "abandoned"}
"""Status of a call to what its money was wasted by."""

CALLS = """
SELECT *, toUnixTimestamp64Nano(time) AS time_ns
FROM llm_calls FINAL
WHERE role = 'owner' AND cost_grade IN {grades:Array(String)}
  AND time >= fromUnixTimestamp64Nano({since:Int64}) AND time < fromUnixTimestamp64Nano({until:Int64})
  AND call_id > {last:String}
  AND ({model:String} = '' OR {model:String} IN (served_model, response_model, request_model))
ORDER BY call_id
LIMIT {page:UInt32}
"""
MAKERS = """
SELECT call_id, argMax(provider, hop_index) AS maker
FROM llm_hops FINAL
WHERE owner = 'owner' AND role = 'model' AND provider != ''
  AND call_id >= {first:String} AND call_id <= {last:String}
  AND time >= fromUnixTimestamp64Nano({since:Int64}) AND time < fromUnixTimestamp64Nano({until:Int64})
GROUP BY call_id
"""
ATTRIBUTES = {**TEXTS, **{name: key for name, (key, _) in COUNTS.items()}}
"""Columns of a call to the attributes that they were."""


class Store(Protocol):
    """A ledger: rows of a statement with bound parameters (64-bit numbers as numbers, Decimals as
    strings), and rows added to a table, where the same `token` adds them once."""

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]: ...

    def add(self, table: str, rows: Iterable[Mapping[str, Any]], token: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Which calls: those that started from `since_ns` on and before `until_ns`, of `model` or all."""

    since_ns: int
    until_ns: int
    model: str = ""


@dataclass(slots=True)
class Change:
    """Calls of one model whose amount changes, in USD."""

    calls: int = 0
    old_usd: Decimal = Decimal(0)
    new_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class Report:
    """What changes, by model; of the other calls looked at, how many stay and why."""

    changes: dict[str, Change] = field(default_factory=dict)
    same: int = 0
    unknown: int = 0
    """Nobody knows a price."""
    apart: int = 0
    """Their row does not lead to the amount that the very same prices gave: something that only their
    attempts said went into it."""
    written: int = 0
    prices: str = ""
    """Whose prices were used, as `Prices.source` names them."""

    def as_json(self) -> dict[str, Any]:
        """Amounts as decimal strings."""
        total = Change(
            sum(each.calls for each in self.changes.values()),
            sum((each.old_usd for each in self.changes.values()), Decimal(0)),
            sum((each.new_usd for each in self.changes.values()), Decimal(0)),
        )
        models = sorted(self.changes.items(), key=lambda item: (-_moved(item[1]), item[0]))
        return {
            "models": [{"model": name, **_shown(each)} for name, each in models],
            "total": _shown(total),
            "same": self.same,
            "unknown": self.unknown,
            "apart": self.apart,
            "written": self.written,
            "prices": self.prices,
        }


def _moved(change: Change) -> Decimal:
    return abs(change.new_usd - change.old_usd)


def _shown(change: Change) -> dict[str, Any]:
    amounts = {"old_usd": change.old_usd, "new_usd": change.new_usd}
    amounts["difference_usd"] = change.new_usd - change.old_usd
    return {"calls": change.calls} | {name: money(usd) for name, usd in amounts.items()}


def reprice(store: Store, asked: Asked, *, write: bool, prices: Prices | None = None) -> Report:
    """Price the calls again; without `write` only say what would change.

    Raises whatever `store` raises; pages that were written before stay written, and doing it again
    goes on from there. The price file is read anew, so that this process prices by it from now on.

    Raises:
        PriceFileError: the price file of the settings cannot be used.
    """
    prices = prices or reread()
    report = Report(prices=prices.source)
    for rows, makers in _pages(store, asked):
        changed = []
        for row in rows:
            new = _repriced(row, makers.get(row["call_id"], ""), prices, report)
            if new is not None:
                changed.append(new)
        if write and changed:
            store.add("llm_calls", changed, _token(changed))
            report.written += len(changed)
    return report


def _pages(store: Store, asked: Asked) -> Iterator[tuple[list[dict[str, Any]], dict[str, str]]]:
    """Calls in the order of their ids, with the provider of the model behind each one's last hop."""
    period = {"since": asked.since_ns, "until": asked.until_ns}
    last = ""
    while True:
        bound = {**period, "grades": GRADES, "model": asked.model, "last": last, "page": PAGE}
        rows = store.rows(CALLS, bound)
        if not rows:
            return
        last = rows[-1]["call_id"]
        ids = {"first": rows[0]["call_id"], "last": last}
        makers = {row["call_id"]: row["maker"] for row in store.rows(MAKERS, {**period, **ids})}
        yield rows, makers
        if len(rows) < PAGE:
            return


def _repriced(
    row: dict[str, Any], maker: str, prices: Prices, report: Report
) -> dict[str, Any] | None:
    """The row with its new amounts, and in `report` what that changes; None where it stays."""
    said = _said(row)
    found = derived(said, maker, row.pop("time_ns"), prices)
    if found is None:
        report.unknown += 1
        return None
    old, before = _usd(row["cost_usd"]), _usd(row["derived_usd"])
    if before == found.amount or (old is None) != (before is None):
        report.same += 1
        return None
    if before is not None and row["price_version"] == found.quote.version:
        report.apart += 1
        return None
    new = found.amount if old is None or before is None else old - before + found.amount
    row |= _amounts(row, found, old, new)
    name = row["served_model"] or row["response_model"] or row["request_model"]
    change = report.changes.setdefault(name, Change())
    change.calls += 1
    change.old_usd += old or Decimal(0)
    change.new_usd += new
    return row


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that the columns of `row` were."""
    said = {key: row[name] for name, key in ATTRIBUTES.items() if row[name] not in (None, "")}
    for key, value in row["usage"].items():
        said[key] = int(value) if float(value).is_integer() else value
    return said


def _amounts(
    row: Mapping[str, Any], found: Derived, old: Decimal | None, new: Decimal
) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "cost_usd": _text(new),
        "derived_usd": _text(found.amount),
        "price_version": found.quote.version,
        "version": row["version"] + (1 if row["repricings"] else LIFT),
        "repricings": row["repricings"] + 1,
    }
    if row["cache_read_tokens"] or row["cache_write_tokens"]:
        changed["cache_saved_usd"] = _text(uncached(found) - found.amount)
    failed = FAILED.get(row["status"])
    if old is None:
        grade, doubt = ("estimated", found.quote.doubt) if found.quote.doubt else ("derived", "")
        if failed and grade == "derived":
            grade, doubt = "lower_bound", "partial_answer"
        changed |= {"cost_grade": grade, "cost_grade_reason": doubt, "cost_source": "local"}
        changed["unpriced_reason"] = ""
        if failed:
            changed |= {"wasted_usd": _text(new), "waste_reason": row["waste_reason"] or failed}
    elif _usd(row["wasted_usd"]) == old and old:
        changed["wasted_usd"] = _text(new)  # all of it was for nothing, and still is
    return changed


def _usd(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _text(usd: Decimal) -> str:
    return format(usd, "f")


def _token(rows: Iterable[Mapping[str, Any]]) -> str:
    """The same for the same rows: an insert that is sent again is taken once."""
    told = repr([(row["call_id"], row["version"], row["cost_usd"]) for row in rows])
    return f"reprice-{blake2b(told.encode(), digest_size=16).hexdigest()}"
