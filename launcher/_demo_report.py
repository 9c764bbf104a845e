"""What the demo has to show: the ledger's figures beside the truth of the provider's own log."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tollspan.chaos import Answer, bill

__all__ = ["Report", "calls_in_ledger", "report", "table"]

CHECKED_GRADES = frozenset({"billed", "derived"})
"""Where the ledger claims to know the amount: only there it is held against the truth."""

UNTAGGED = "untagged"


@dataclass(slots=True)
class Share:
    """A part of the calls. Money: of calls with a checked grade, so that the parts add up."""

    calls: int = 0
    priced_calls: int = 0
    cost_usd: Decimal = Decimal(0)
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, call: Mapping[str, Any]) -> None:
        self.calls += 1
        self.priced_calls += call["cost_usd"] is not None
        self.cost_usd += _checked_cost(call)
        self.input_tokens += call["input_tokens"] or 0
        self.output_tokens += call["output_tokens"] or 0

    def money(self) -> str:
        return f"{self.cost_usd:.9f}" if self.priced_calls else "unpriced"


@dataclass(slots=True)
class Report:
    """Figures of one run of the demo; money in USD."""

    calls: int
    cost_usd: Decimal
    truth_cost_usd: Decimal
    unpriced_calls: int
    upstream_requests: int
    upstream_attempts: int
    restated_spans: int
    ui_url: str
    wasted_usd: Decimal
    avoided_usd: Decimal
    waste_reasons: Counter[str]
    grades: Counter[str]
    routes: Counter[str]
    by_endpoint: dict[str, Share] = field(default_factory=dict)
    by_tenant: dict[str, Share] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """The ledger's sum is the provider's, to the last digit."""
        return self.cost_usd == self.truth_cost_usd

    def as_json(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "cost_usd": _plain(self.cost_usd),
            "truth_cost_usd": _plain(self.truth_cost_usd),
            "unpriced_calls": self.unpriced_calls,
            "upstream_requests": self.upstream_requests,
            "upstream_attempts": self.upstream_attempts,
            "restated_spans": self.restated_spans,
            "routes": dict(self.routes.most_common()),
            "by_endpoint": _shares(self.by_endpoint),
            "by_tenant": _shares(self.by_tenant),
            "ui_url": self.ui_url,
        }


def calls_in_ledger(url: str) -> list[dict[str, Any]]:
    """Every call that the ledger behind `url` has, newest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = _get(url, "/api/calls", limit="200", **({"before": cursor} if cursor else {}))
        found += page["calls"]
        cursor = page["next"]
    return found


def report(url: str, log: Sequence[Answer]) -> Report:
    """Read the ledger behind `url` through its API, and price the provider's `log` on its own.

    The truth is the sum over answers that the provider completed, bills for and has a price for;
    it knows nothing of the ledger. Answers from a gateway's cache never reached the provider.
    """
    calls = calls_in_ledger(url)
    truth = sum(
        (price for answer, price in bill(log) if price is not None and answer.completed),
        Decimal(0),
    )
    made = Report(
        calls=len(calls),
        cost_usd=sum((_checked_cost(call) for call in calls), Decimal(0)),
        truth_cost_usd=truth,
        unpriced_calls=sum(call["cost_grade"] == "unpriced" for call in calls),
        upstream_requests=sum(bool(answer.api) for answer in log),
        upstream_attempts=sum(call["upstream_attempts"] or 0 for call in calls),
        restated_spans=_restated_spans(url, calls),
        ui_url=url,
        wasted_usd=_sum(calls, "wasted_usd"),
        avoided_usd=_sum(calls, "avoided_usd"),
        waste_reasons=Counter(call["waste_reason"] for call in calls if call["waste_reason"]),
        grades=Counter(call["cost_grade"] or "none" for call in calls),
        routes=Counter(call["route"] or "unknown" for call in calls),
    )
    for call in sorted(calls, key=lambda each: str(each["time"])):
        made.by_endpoint.setdefault(call["endpoint"] or UNTAGGED, Share()).add(call)
        made.by_tenant.setdefault(call["tenant"] or UNTAGGED, Share()).add(call)
    return made


def _restated_spans(url: str, calls: Sequence[Mapping[str, Any]]) -> int:
    traces = {call["trace_id"] for call in calls}
    spans = (span for trace in traces for span in _get(url, f"/api/traces/{trace}")["spans"])
    return sum(bool(span["restated"]) for span in spans)


def _checked_cost(call: Mapping[str, Any]) -> Decimal:
    if call["cost_grade"] not in CHECKED_GRADES or call["cost_usd"] is None:
        return Decimal(0)
    return Decimal(call["cost_usd"])


def _sum(calls: Sequence[Mapping[str, Any]], name: str) -> Decimal:
    return sum((Decimal(call[name]) for call in calls if call[name] is not None), Decimal(0))


def _plain(amount: Decimal) -> str:
    """`0.0123`: as many places as it has, never an exponent."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shares(shares: Mapping[str, Share]) -> dict[str, Any]:
    by_cost = sorted(shares.items(), key=lambda item: (-item[1].cost_usd, item[0]))
    return {
        name: {"calls": share.calls, "cost_usd": _plain(share.cost_usd)} for name, share in by_cost
    }


def _get(url: str, path: str, **query: str) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = f"{url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    with direct.open(asked, timeout=30) as answer:
        return json.load(answer)


def table(found: Report) -> str:
    """The summary for a person, about 80 columns wide."""
    lines = ["", f"  {'endpoint':<24}{'calls':>6}{'cost, USD':>16}{'tokens in':>12}{'out':>9}"]
    by_cost = sorted(found.by_endpoint.items(), key=lambda item: -item[1].cost_usd)
    for name, share in [*by_cost, ("total", _total(found))]:
        lines.append(
            f"  {name[:23]:<24}{share.calls:>6}{share.money():>16}"
            f"{share.input_tokens:>12,}{share.output_tokens:>9,}"
        )
    lines += ["", f"  {'route':<54}{'calls':>6}"]
    lines += [f"  {route[:53]:<54}{calls:>6}" for route, calls in found.routes.most_common()]
    reasons = ", ".join(f"{name} {count}" for name, count in found.waste_reasons.most_common())
    verdict = "equal to the last digit" if found.agrees else "NOT EQUAL"
    upstream = f"{found.upstream_requests} requests, {found.upstream_attempts} seen by the spans"
    lines += [
        "",
        f"  ledger    {found.cost_usd:.12f} USD   (calls graded billed or derived)",
        f"  provider  {found.truth_cost_usd:.12f} USD   {verdict}",
        f"  wasted    {found.wasted_usd:.12f} USD   {reasons}",
        f"  saved     {found.avoided_usd:.12f} USD   by the gateway's cache",
        f"  upstream  {upstream}",
        f"  unpriced  {found.unpriced_calls} calls: unknown is never zero",
        "",
    ]
    return "\n".join(lines)


def _total(found: Report) -> Share:
    total = Share()
    for share in found.by_endpoint.values():
        total.calls += share.calls
        total.priced_calls += share.priced_calls
        total.cost_usd += share.cost_usd
        total.input_tokens += share.input_tokens
        total.output_tokens += share.output_tokens
    return total
