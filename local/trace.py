"""One trace as a tree in reading order, with what each span is to the calls in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.collector.rows import attributes_of, events_of

from .ledger import Ledger
from .queries import calls_of_trace, iso

__all__ = ["trace"]

MOST_SPANS = 5_000
SPANS = f"""
SELECT span_id, parent_id, name, kind, scope, service, toUnixTimestamp64Nano(time) AS time_ns,
       duration_ns, status, status_message, attributes, typed, events
FROM spans FINAL WHERE trace_id = {{id:String}}
ORDER BY time, span_id LIMIT {MOST_SPANS}
"""
ROLES = """
SELECT span_id, call_id, role, owner_span_id, cost_usd FROM llm_calls FINAL
WHERE trace_id = {id:String}
"""
SPANLESS_HOPS = """
SELECT call_id, hop_index, role, name, provider, model, evidence, overhead_ms, redaction
FROM tollspan_hops
WHERE trace_id = {id:String} AND span_id = '' ORDER BY call_id, hop_index
"""
"""Hops that no span stands for: of calls that other instrumentations told, read from their headers."""


def trace(ledger: Ledger, trace_id: str) -> dict[str, Any] | None:
    """`{trace_id, calls, spans}`; None where nothing of that id has come in.

    Spans stand in tree order, children after their parent by start. `role` is `app` above a call,
    `call`, `attempt`, `hop` or `other`; `cost_usd` stands on the owner alone; a row with `timed` false
    is a hop without a span.
    """
    rows = ledger.query(SPANS, {"id": trace_id})
    if not rows:
        return None
    told = {row["span_id"]: row for row in ledger.query(ROLES, {"id": trace_id})}
    by_id = {row["span_id"]: row for row in rows}
    for row in rows:
        row["attributes"] = attributes_of(row)
    above = _above_calls(by_id, told)
    rows += _spanless_hops(ledger.query(SPANLESS_HOPS, {"id": trace_id}), by_id, told)
    _note_proofs(rows, by_id)
    start_ns = min(row["time_ns"] for row in rows)
    return {
        "trace_id": trace_id,
        "calls": calls_of_trace(ledger, trace_id),
        "spans": [
            _shaped(row, start_ns, told.get(row["span_id"]), row["span_id"] in above, told)
            for row in _in_tree_order(rows)
        ],
        "truncated": len(rows) == MOST_SPANS,
    }


def _note_proofs(rows: list[dict[str, Any]], by_id: Mapping[str, Any]) -> None:
    """What `tollspan wire prove` found stands on the hop that it is about: the first proxy below the
    call under which the proof came in."""
    for proof in rows:
        state = proof["attributes"].get(semconv.HOP_REDACTION)
        if state is None or semconv.HOP_ROLE in proof["attributes"]:
            continue
        hops = [
            row
            for row in rows
            if row["attributes"].get(semconv.HOP_ROLE, "model") != "model"
            and _is_below(row, proof["parent_id"], by_id)
        ]
        for hop in sorted(hops, key=lambda row: row["attributes"].get(semconv.HOP_INDEX, 0))[:1]:
            hop["attributes"][semconv.HOP_REDACTION] = state


def _is_below(row: Mapping[str, Any], span_id: str, by_id: Mapping[str, Any]) -> bool:
    for _ in range(64):
        if row["parent_id"] == span_id:
            return True
        above = by_id.get(row["parent_id"])
        if above is None:
            return False
        row = above
    return False


def _spanless_hops(
    hops: list[dict[str, Any]], by_id: Mapping[str, Any], told: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows for them under their calls; when they ran nobody says, so they get the call's time.

    The model of a call without a gateway is no row of its own: the attempt shows it.
    """
    span_of = {row["call_id"]: span_id for span_id, row in told.items()}
    through = {hop["call_id"] for hop in hops if hop["role"] != "model"}
    rows = []
    for hop in hops:
        call = by_id.get(span_of.get(hop["call_id"], ""))
        if call is None or hop["call_id"] not in through:
            continue
        said = {
            semconv.HOP_ROLE: hop["role"],
            semconv.HOP_NAME: hop["name"],
            semconv.HOP_INDEX: hop["hop_index"],
            semconv.HOP_EVIDENCE: hop["evidence"],
            semconv.HOP_OVERHEAD: hop["overhead_ms"],
            semconv.HOP_REDACTION: hop["redaction"],
            semconv.PROVIDER: hop["provider"],
            semconv.RESPONSE_MODEL: hop["model"],
        }
        rows.append(
            call
            | {
                "span_id": f"{call['span_id']}.{hop['hop_index']}",
                "parent_id": call["span_id"],
                "name": f"hop {hop['name']}",
                "kind": "internal",
                "scope": semconv.SCOPE,
                "status": "unset",
                "status_message": "",
                "attributes": {
                    name: value for name, value in said.items() if value not in (None, "")
                },
                "events": "",
                "timed": False,
            }
        )
    return rows


def _shaped(
    row: Mapping[str, Any],
    start_ns: int,
    told: Mapping[str, Any] | None,
    is_above: bool,
    calls: Mapping[str, Any],
) -> dict[str, Any]:
    attributes = row["attributes"]
    duration_ns = row["duration_ns"]
    ms = row["time_ns"] // 1_000_000
    return {
        "span_id": row["span_id"],
        "parent_id": row["parent_id"] or None,
        "name": row["name"],
        "kind": row["kind"],
        "scope": row["scope"] or None,
        "service": row["service"] or None,
        "time": iso(ms),
        "offset_s": (row["time_ns"] - start_ns) / 1e9,
        "duration_s": duration_ns / 1e9 if duration_ns is not None else None,
        "status": row["status"],
        "status_message": row["status_message"] or None,
        "role": _role(row, told, is_above, calls),
        "hop_role": attributes.get(semconv.HOP_ROLE),
        "timed": row.get("timed", True),
        "attempt": attributes.get(semconv.ATTEMPT),
        "cost_usd": told["cost_usd"] if told and told["role"] == "owner" else None,
        "restated": bool(told and told["role"] == "restated"),
        "owner_span_id": told["owner_span_id"] or None if told else None,
        "attributes": attributes,
        "events": events_of(row),
    }


def _role(
    row: Mapping[str, Any],
    told: Mapping[str, Any] | None,
    is_above: bool,
    calls: Mapping[str, Any],
) -> str:
    attributes = row["attributes"]
    if attributes.get(semconv.HOP_ROLE):
        return "hop"
    if told is not None:
        return "call"
    if semconv.ATTEMPT in attributes or (
        row["parent_id"] in calls and semconv.HTTP_METHOD in attributes
    ):
        return "attempt"
    return "app" if is_above else "other"


def _above_calls(by_id: Mapping[str, Any], calls: Mapping[str, Any]) -> set[str]:
    """Spans that have a call below them."""
    above: set[str] = set()
    for span_id in calls:
        row = by_id.get(span_id)
        while row is not None and row["parent_id"] not in above:
            above.add(row["parent_id"])
            row = by_id.get(row["parent_id"])
    return above


def _in_tree_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Depth first; a span whose parent is not here stands at the top, and so does a circle."""
    here = {row["span_id"] for row in rows}
    # An attempt and the hops that answered it start together: they stand as the request went.
    rows = sorted(
        rows, key=lambda row: (row["time_ns"], row["attributes"].get(semconv.HOP_INDEX, -1))
    )
    below: dict[str, list[dict[str, Any]]] = {}
    roots: list[dict[str, Any]] = []
    for row in rows:
        if row["parent_id"] in here and row["parent_id"] != row["span_id"]:
            below.setdefault(row["parent_id"], []).append(row)
        else:
            roots.append(row)
    ordered: list[dict[str, Any]] = []
    seen: set[str] = set()
    for start in (*roots, *rows):
        waiting = [start]
        while waiting:
            row = waiting.pop()
            if row["span_id"] in seen:
                continue
            seen.add(row["span_id"])
            ordered.append(row)
            waiting.extend(reversed(below.get(row["span_id"], ())))
    return ordered
