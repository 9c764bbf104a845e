"""What was used, as the application asked, as a gateway sent it on, as the provider reported it and as
the gateway reported it back, side by side.

Every row of a call that the ledger has is one witness: the application's own, a gateway's span, event or
spend log, the call that an instrumented gateway made itself. Only the application's owns the money;
the others stand restated, with all their numbers. A witness that hears the provider itself `observed`
what the provider said; a gateway that tells it `reported` it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollspan import semconv
from tollspan.collector.rows import attributes_of

from .queries import MODEL, iso
from .reconcile_ledger import Rows

__all__ = ["POINTS", "points_of"]

POINTS = ("asked", "sent_on", "provider", "reported_back")
PARTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
COUNTS = (*PARTS, "max_tokens", "estimated_input_tokens")
MONEY = ("cost_usd", "reported_usd", "derived_usd")
APPLICATIONS = (semconv.SCOPE, semconv.TOLD_SCOPE)
"""Scopes of calls that tell what the caller itself heard."""

INSIDE, GATEWAY, DIRECT, BACK, SERVER = "inside", "gateway", "direct", "back", "server"
"""Kinds of witnesses: another layer of the same program, a gateway, one that asked the provider itself,
one that asked through a gateway, and the model's own server."""

PROMPT_IN = "llm_interactive_proxy.verbatim_prompt_tokens"
PROMPT_OUT = "llm_interactive_proxy.mutated_prompt_tokens"
ANSWER_OUT = "llm_interactive_proxy.mutated_completion_tokens"
"""What llm-interactive-proxy counts itself, at each of its doors."""

OWNER = f"""
SELECT call_id, trace_id, span_id, service, scope, toUnixTimestamp64Milli(time) AS time_ms,
       toUnixTimestamp64Nano(time) AS time_ns, provider, request_model, {MODEL} AS model, route
FROM llm_calls FINAL WHERE call_id = {{id:String}} AND role = 'owner'
"""
WITNESSES = f"""
SELECT call_id, trace_id, span_id, role, service, scope, provider, request_model, {MODEL} AS model,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,
       max_tokens, estimated_input_tokens, toString(cost_usd) AS cost_usd,
       toString(reported_usd) AS reported_usd, toString(derived_usd) AS derived_usd
FROM llm_calls FINAL
WHERE owner_span_id = {{span:String}} AND role IN ('owner', 'restated')
  AND time >= fromUnixTimestamp64Nano({{since:Int64}})
  AND time < fromUnixTimestamp64Nano({{until:Int64}})
ORDER BY role, call_id LIMIT 100
"""
HOPS = """
SELECT call_id, role, name, gateway FROM llm_hops FINAL
WHERE call_id IN {ids:Array(String)} AND owner != 'gone' ORDER BY call_id, hop_index
"""
SPANS = """
SELECT span_id, kind, attributes, typed FROM spans FINAL
WHERE trace_id IN {traces:Array(String)} AND span_id IN {spans:Array(String)}
"""
NEAR_NS = 3_600 * 10**9
"""How far from the owner's start other witnesses' may be: clocks differ, and records are dated."""


def points_of(ledger: Rows, call_id: str) -> dict[str, Any] | None:
    """The four points of one call, each with who says so, and what differs; None where there is no
    such call."""
    found = ledger.query(OWNER, {"id": call_id})
    if not found:
        return None
    owner = found[0]
    start_ns = int(owner["time_ns"])
    rows = ledger.query(
        WITNESSES,
        {"span": owner["span_id"], "since": start_ns - NEAR_NS, "until": start_ns + NEAR_NS},
    )
    hops: dict[str, list[dict[str, Any]]] = {}
    for hop in ledger.query(HOPS, {"ids": [row["call_id"] for row in rows]}):
        hops.setdefault(hop["call_id"], []).append(hop)
    asked = {"traces": [row["trace_id"] for row in rows], "spans": [row["span_id"] for row in rows]}
    spans = {row["span_id"]: row for row in ledger.query(SPANS, asked)}
    witnesses = [
        _witness(row, owner, hops.get(row["call_id"], []), spans.get(row["span_id"]))
        for row in rows
    ]
    points = {name: _point(name, witnesses) for name in POINTS}
    return {
        "call_id": owner["call_id"],
        "trace_id": owner["trace_id"],
        "time": iso(int(owner["time_ms"])),
        "provider": owner["provider"] or None,
        "model": owner["model"] or None,
        "route": owner["route"] or None,
        "points": points,
        "differences": differences(points),
    }


def _witness(
    row: Mapping[str, Any],
    owner: Mapping[str, Any],
    hops: list[dict[str, Any]],
    span: Mapping[str, Any] | None,
) -> dict[str, Any]:
    gateways = [hop["gateway"] or hop["name"] for hop in hops if hop["role"] in ("proxy", "router")]
    said = attributes_of(span) if span is not None else {}
    counts = {name: None if row[name] is None else int(row[name]) for name in COUNTS}
    money = {name: None if row[name] is None else str(row[name]) for name in MONEY}
    return {
        **row,
        **counts,  # servers write numbers of 64 bits as text unless told otherwise
        **money,
        "kind": _kind(row, owner, bool(gateways), span["kind"] if span is not None else ""),
        "gateway": gateways[0] if gateways else None,
        "untrusted": said.get(semconv.USAGE_UNTRUSTED) is True,
        "prompt_in": _count(said.get(PROMPT_IN)),
        "prompt_out": _count(said.get(PROMPT_OUT)),
        "answer_out": _count(said.get(ANSWER_OUT)),
    }


def _kind(row: Mapping[str, Any], owner: Mapping[str, Any], through: bool, kind: str) -> str:
    """What the row of a call is a witness of."""
    is_owner = row["span_id"] == owner["span_id"]
    if row["scope"] in APPLICATIONS:
        if not is_owner and row["service"] == owner["service"]:
            return INSIDE
        return BACK if through else DIRECT
    if through:
        return GATEWAY
    if is_owner:
        return DIRECT
    if kind == "server":
        return SERVER
    return INSIDE if row["service"] == owner["service"] else DIRECT


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _point(name: str, witnesses: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One point, out of the best witness of it."""
    owner = next((each for each in witnesses if each["role"] == "owner"), None)
    gateway = next((each for each in witnesses if each["kind"] == GATEWAY), None)
    back = owner if owner is not None and owner["kind"] == BACK else None
    if owner is not None and owner["kind"] == GATEWAY:  # whose books own what the application told
        back = next((each for each in witnesses if each["kind"] == BACK), None)
    if name == "asked":
        return _asked(back or owner, gateway)
    if name == "sent_on":
        return _sent_on(owner, gateway, witnesses)
    if name == "reported_back":
        return _used(back, "observed") or _answered(gateway)
    order = (DIRECT, SERVER)
    seen = sorted(
        (each for each in witnesses if each["kind"] in order and _states(each)),
        key=lambda each: (order.index(each["kind"]), each["role"] == "owner"),
    )
    if seen:
        return _used(seen[0], "observed")
    told = gateway is not None and not gateway["untrusted"]
    return _used(gateway, "reported") if told else None


def _states(row: Mapping[str, Any]) -> bool:
    return any(row[part] is not None for part in PARTS)


def _asked(
    owner: Mapping[str, Any] | None, gateway: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What the application asked for: its prompt's size is estimated, or counted by the gateway."""
    if owner is None:
        return None
    counted = gateway["prompt_in"] if gateway is not None else None
    estimated = owner["estimated_input_tokens"]
    made = _empty(owner, "observed") | {
        "model": owner["request_model"] or None,
        "max_tokens": owner["max_tokens"],
        "input_tokens": counted if counted is not None else estimated,
    }
    if counted is not None or estimated is not None:
        made["evidence"] = "reported" if counted is not None else "estimated"
    known = made["input_tokens"] is not None or made["max_tokens"] is not None
    return made if known else None


def _sent_on(
    owner: Mapping[str, Any] | None, gateway: Mapping[str, Any] | None, rows: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """What a gateway sent: as its own instrumented call asked, or as its books have it."""
    if owner is None or (gateway is None and owner["kind"] == DIRECT):
        return None
    inner = next(
        (each for each in rows if each["kind"] == DIRECT and each["role"] == "restated"), None
    )
    source = gateway or inner
    if source is None:
        return None
    prompt = source["prompt_out"]
    if prompt is None and gateway is not None:
        prompt = gateway["input_tokens"]
    asked_by = inner or source
    made = _empty(source, "observed" if inner is not None else "reported") | {
        "model": asked_by["request_model"] if inner is not None else source["model"],
        "max_tokens": asked_by["max_tokens"],
        "input_tokens": prompt,
        "cost_usd": (source["cost_usd"] or source["reported_usd"]) if gateway else None,
    }
    known = ("max_tokens", "input_tokens", "cost_usd")
    return made if any(made[name] is not None for name in known) else None


def _answered(gateway: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a gateway counts of the answer that it gave, where nobody heard that answer."""
    if gateway is None or gateway["answer_out"] is None:
        return None
    return _empty(gateway, "reported") | {"output_tokens": gateway["answer_out"]}


def _used(row: Mapping[str, Any] | None, evidence: str) -> dict[str, Any] | None:
    if row is None or not (_states(row) or row["cost_usd"] is not None):
        return None
    return _empty(row, evidence) | {
        "model": row["model"] or None,
        **{part: row[part] for part in PARTS},
        "cost_usd": row["cost_usd"] or row["reported_usd"] or row["derived_usd"],
    }


def _empty(row: Mapping[str, Any], evidence: str) -> dict[str, Any]:
    return {
        "evidence": evidence,
        "told_by": row["gateway"] if row["kind"] == GATEWAY else row["service"] or None,
        "scope": row["scope"] or None,
        "span_id": row["span_id"],
        "model": None,
        "max_tokens": None,
        **dict.fromkeys(PARTS),
        "cost_usd": None,
    }


COMPARED = (
    ("added_by_gateway", "asked", "sent_on"),
    ("counted_by_provider", "sent_on", "provider"),
    ("altered_by_gateway", "provider", "reported_back"),
)
"""Name of a difference, and the points between which it lies: the later less the earlier."""


def differences(points: Mapping[str, Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """Where two neighbouring points state the same thing otherwise. Estimates are none: a guess by
    length says nothing about a gateway."""
    found: list[dict[str, Any]] = []
    for name, one, other in COMPARED:
        first, second = points[one], points[other]
        if first is None or second is None:
            continue
        for field in ("max_tokens", *PARTS, "cost_usd"):
            before, after = first[field], second[field]
            guessed = first["evidence"] == "estimated" and field in PARTS
            if before is None or after is None or before == after or guessed:
                continue
            found.append(
                {
                    "name": name,
                    "field": field,
                    "from": one,
                    "to": other,
                    "difference": _less(after, before),
                }
            )
    return found


def _less(after: Any, before: Any) -> Any:
    if isinstance(after, int) and isinstance(before, int):
        return after - before
    return format(Decimal(str(after)) - Decimal(str(before)), "f")
