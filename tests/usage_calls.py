"""Calls of every kind for the usage API, hostile ones among them, and their measures in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from spans import hop, owner

from tollspan import semconv
from tollspan.collector.span import Span

Row = dict[str, Any]
HOUR_NS = 3_600_000_000_000
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "  =1+1",
    "'; DROP TABLE llm_calls; --",
    '"quoted", with, commas',
    "line\r\nbreak\ttab",
    "back\\slash \\t \\N {x:String}",
    "\\",
    "NULL",
    "null \u202e\u0000 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "-",
    "x" * 3000,
    "<script>alert(1)</script>",
)
GRADES = ("billed", "derived", "lower_bound", "estimated", "unpriced")


def calls(number: int, end_ns: int, seed: int = 3) -> list[Span]:
    """`number` calls of the ten days before `end_ns`, the same for every run."""
    rand = random.Random(seed)
    return [_call(rand, each, end_ns) for each in range(1, number + 1)]


def _call(rand: random.Random, number: int, end_ns: int) -> Span:
    def one(*values: Any) -> Any:
        return rand.choice(values)

    start_ns = end_ns - rand.randrange(1, 240 * HOUR_NS)
    took_ns = one(None, rand.randrange(1, 30 * 10**9), rand.randrange(1, 10**9))
    grade = rand.choice(GRADES)
    odd = HOSTILE[number % len(HOSTILE)] if number % 9 == 0 else None
    said: Row = {
        semconv.DATA_MODE: one("real", "real", "real", "test", ""),
        semconv.ENDPOINT_TAG: odd or one("checkout", "chat", ""),
        semconv.TENANT: odd or one("acme", "globex", ""),
        semconv.USER: odd or f"u{rand.randrange(9)}",
        semconv.SESSION: one("", odd or f"s{rand.randrange(25)}"),
        semconv.PROMPT_NAME: odd or "summary",
        semconv.PROMPT_VERSION: one("v1", "v2"),
        semconv.API_KEY_FINGERPRINT: one("", "k1", odd or "k2"),
        semconv.PROVIDER: one("openai", "anthropic"),
        semconv.REQUEST_MODEL: one("gpt-4o", "gpt-5", "smart"),
        semconv.RESPONSE_MODEL: one("", "gpt-4o"),
        semconv.MODEL_SERVED: one("", "gpt-5-mini", odd or ""),
        semconv.ROUTE: odd or one("openai/gpt-4o", "litellm > openai/gpt-4o"),
        semconv.STATUS: one(
            "success", "success", "success", "error", "cancelled", "blocked", "odd"
        ),
        semconv.ERROR_TYPE: one("", "", "429", odd or "timeout"),
        semconv.INPUT_TOKENS: one(None, rand.randrange(10**6)),
        semconv.OUTPUT_TOKENS: one(None, rand.randrange(10**5)),
        semconv.CACHE_READ_TOKENS: one(None, rand.randrange(999)),
        semconv.REASONING_TOKENS: one(None, rand.randrange(999)),
        semconv.TOOLS_CALLED: one(None, rand.randrange(4)),
        semconv.APP_ATTEMPTS: one(None, 1, 1, rand.randrange(1, 5)),
        semconv.TIME_TO_FIRST_CHUNK: one(None, rand.random() * 3),
        semconv.MODEL_SWAPPED: one(None, True, False, False),
        semconv.CACHE_HIT: one(None, True, False),
        semconv.AUDIO_INPUT_SECONDS: one(None, rand.random() * 100),
        semconv.RESPONSE_ID: f"resp-{number}",
        semconv.REQUEST_ID: one("", f"req-{number}"),
        semconv.COST_GRADE: grade,
        semconv.COST_AMOUNT: None if grade == "unpriced" else rand.random() ** 9 * 100,
        semconv.COST_WASTED: one(None, rand.random() / 1000),
        semconv.HOP_COUNT: one(1, None),
        f"{semconv.TAG_PREFIX}team": one(None, "growth", odd or "core"),
        f"{semconv.TAG_PREFIX}replacement": one(None, None, "off"),
    }
    if odd:
        said[f"{semconv.TAG_PREFIX}{odd[:50]}"] = odd
    return owner(
        number,
        cost=None,
        trace_id=f"{number:032x}",
        start_ns=start_ns,
        end_ns=0 if took_ns is None else start_ns + took_ns,
        attributes={name: value for name, value in said.items() if value not in (None, "")}
        | {name: "" for name in (semconv.ENDPOINT_TAG, semconv.TENANT) if said[name] == ""},
    )


def through_a_gateway(end_ns: int) -> list[Span]:
    """A call with two hops that have spans of their own."""
    route = {semconv.ROUTE: "litellm > openai/gpt-4o-mini", semconv.HOP_COUNT: 2}
    made = [
        owner(900, attributes=route),
        hop(901, 900, 0, "proxy", "litellm"),
        hop(902, 901, 1, "model", "openai"),
    ]
    for each in made:
        each.start_ns, each.end_ns = end_ns - 10**9, end_ns
    return made


def model(row: Row) -> str:
    return str(row["served_model"] or row["response_model"] or row["request_model"])


def measured(rows: Sequence[Row]) -> Row:
    """What the API has to say of rows of `tollspan_calls`, computed here."""
    priced = [row for row in rows if row["cost_usd"] is not None]
    cost = sum((Decimal(row["cost_usd"]) for row in priced), Decimal(0))
    errors = sum(row["status"] in ("error", "blocked") for row in rows)
    known = [row["app_attempts"] for row in rows if row["app_attempts"] is not None]
    statuses = ("success", "error", "cancelled", "abandoned", "blocked")
    counted = Counter(row["status"] if row["status"] in statuses else "other" for row in rows)
    fast = [
        row
        for row in rows
        if row["status"] == "success" and row["duration_s"] and row["output_tokens"] is not None
    ]
    took = sum((Decimal(repr(row["duration_s"])) for row in fast), Decimal(0))
    retried = sum(each > 1 for each in known)
    return {
        "calls": len(rows),
        "cost_usd": _plain(cost) if priced else (None if rows else "0"),
        "cost_per_call_usd": _plain(
            (cost / len(priced)).quantize(Decimal("1e-12"), ROUND_HALF_EVEN)
        )
        if priced
        else None,
        "priced_calls": len(priced),
        "unpriced_calls": sum(
            row["cost_usd"] is None and row["cost_grade"] == "unpriced" for row in rows
        ),
        "cost_by_grade": {
            grade: {
                "calls": len(of),
                "usd": _plain(sum((Decimal(row["cost_usd"]) for row in of), Decimal(0))),
            }
            for grade in GRADES
            if (of := [row for row in priced if row["cost_grade"] == grade])
        },
        "wasted_usd": _sum(row["wasted_usd"] for row in rows),
        "tokens": {
            name: _whole(row[f"{name}_tokens"] for row in rows)
            for name in ("input", "output", "cache_read", "cache_write", "reasoning")
        },
        "statuses": {name: counted[name] for name in (*statuses, "other")},
        "errors": errors,
        "error_rate": errors / len(rows) if rows else None,
        "retried_calls": retried,
        "retry_ratio": retried / len(known) if known else None,
        "tool_calls": _whole(row["tool_calls"] for row in rows),
        "cache_hits": sum(bool(row["cache_hit"]) for row in rows),
        "duration_s": _levels(row["duration_s"] for row in rows),
        "time_to_first_chunk_s": _levels(row["time_to_first_chunk_s"] for row in rows),
        "output_tokens_per_s": float(Decimal(sum(row["output_tokens"] for row in fast)) / took)
        if took
        else None,
    }


def _plain(amount: Decimal) -> str:
    written = format(amount, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _sum(amounts: Iterable[Any]) -> str | None:
    known = [Decimal(each) for each in amounts if each is not None]
    return _plain(sum(known, Decimal(0))) if known else None


def _whole(values: Iterable[Any]) -> int | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _levels(values: Iterable[Any]) -> dict[str, float | None]:
    known = sorted(each for each in values if each is not None)
    return {
        name: _quantile(known, level)
        for name, level in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def _quantile(known: Sequence[float], level: float) -> float | None:
    """Between the two values on either side, as a spreadsheet's PERCENTILE.INC."""
    if not known:
        return None
    at = level * (len(known) - 1)
    low = int(at)
    high = min(low + 1, len(known) - 1)
    return known[low] + (at - low) * (known[high] - known[low])


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    made: dict[Any, list[Row]] = {}
    for row in rows:
        made.setdefault(key(row), []).append(row)
    return made
