"""Spans and calls as rows of the ledger, and rows as spans again.

Total: whatever a sender wrote, a row always fits its columns. A value that does not is not known,
and what is not known is not written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tollspan import semconv

from .call import Call, Hop
from .span import Event, Span

__all__ = ["call_row", "hop_rows", "span_of", "span_row"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONEY_STEP = Decimal("0.000000000001")
MOST_MONEY = 1_000_000
"""US dollars of one call that a Decimal(18,12) holds."""

TEXTS = {
    "data_mode": semconv.DATA_MODE,
    "operation": semconv.OPERATION,
    "endpoint": semconv.ENDPOINT_TAG,
    "prompt": semconv.PROMPT_NAME,
    "prompt_version": semconv.PROMPT_VERSION,
    "tenant": semconv.TENANT,
    "user": semconv.USER,
    "session": semconv.SESSION,
    "provider": semconv.PROVIDER,
    "server_address": semconv.SERVER_ADDRESS,
    "request_model": semconv.REQUEST_MODEL,
    "response_model": semconv.RESPONSE_MODEL,
    "served_model": semconv.MODEL_SERVED,
    "route": semconv.ROUTE,
    "cost_grade": semconv.COST_GRADE,
    "cost_grade_reason": semconv.GRADE_REASON,
    "cost_source": semconv.COST_SOURCE,
    "waste_reason": semconv.WASTE_REASON,
    "unpriced_reason": semconv.UNPRICED_REASON,
    "service_tier": semconv.SERVICE_TIER,
    "price_version": semconv.PRICE_VERSION,
    "error_type": semconv.ERROR_TYPE,
    "upstream_confidence": semconv.UPSTREAM_CONFIDENCE,
    "blocked_by": semconv.BLOCKED_BY,
    "blame": semconv.BLAME,
    "response_id": semconv.RESPONSE_ID,
    "request_id": semconv.REQUEST_ID,
}
COUNTS = {
    "hop_count": (semconv.HOP_COUNT, 2**16),
    "input_tokens": (semconv.INPUT_TOKENS, 2**53),
    "output_tokens": (semconv.OUTPUT_TOKENS, 2**53),
    "cache_read_tokens": (semconv.CACHE_READ_TOKENS, 2**53),
    "cache_write_tokens": (semconv.CACHE_WRITE_TOKENS, 2**53),
    "reasoning_tokens": (semconv.REASONING_TOKENS, 2**53),
    "app_attempts": (semconv.APP_ATTEMPTS, 2**32),
    "upstream_attempts": (semconv.UPSTREAM_ATTEMPTS, 2**32),
}
MONEY = {
    "cost_usd": semconv.COST_AMOUNT,
    "reported_usd": semconv.COST_REPORTED,
    "derived_usd": semconv.COST_DERIVED,
    "avoided_usd": semconv.COST_AVOIDED,
    "wasted_usd": semconv.COST_WASTED,
}
FLAGS = {
    "streaming": semconv.REQUEST_STREAM,
    "model_swapped": semconv.MODEL_SWAPPED,
    "fallback": semconv.FALLBACK,
    "cache_hit": semconv.CACHE_HIT,
}
OTHER_USAGE = (
    semconv.CACHE_WRITE_5M_TOKENS,
    semconv.CACHE_WRITE_1H_TOKENS,
    semconv.AUDIO_INPUT_TOKENS,
    semconv.AUDIO_OUTPUT_TOKENS,
    semconv.AUDIO_CACHE_READ_TOKENS,
    semconv.IMAGE_INPUT_TOKENS,
    semconv.IMAGE_OUTPUT_TOKENS,
    semconv.TEXT_INPUT_TOKENS,
    semconv.TEXT_OUTPUT_TOKENS,
    semconv.WEB_SEARCHES,
    semconv.AUDIO_INPUT_SECONDS,
)


def call_row(call: Call) -> dict[str, Any]:
    """The row of `llm_calls`."""
    span, said = call.span, call.attributes
    duration_ns = span.duration_ns
    row: dict[str, Any] = {name: _text(said.get(key)) for name, key in TEXTS.items()}
    row |= {name: _count(said.get(key), below) for name, (key, below) in COUNTS.items()}
    row |= {name: _money(said.get(key)) for name, key in MONEY.items()}
    row |= {name: _flag(said.get(key)) for name, key in FLAGS.items()}
    row |= {
        "call_id": call.call_id,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "time": _time(span.start_ns),
        "role": call.role,
        "owner_span_id": call.owner_span_id,
        "service": span.service,
        "environment": span.environment,
        "scope": span.scope,
        "tags": {
            key.removeprefix(semconv.TAG_PREFIX): _text(value)
            for key, value in said.items()
            if key.startswith(semconv.TAG_PREFIX)
        },
        "usage": {key: said[key] for key in OTHER_USAGE if _number(said.get(key)) is not None},
        "time_to_first_chunk_s": _number(said.get(semconv.TIME_TO_FIRST_CHUNK)),
        "duration_s": duration_ns / 1e9 if duration_ns is not None else None,
        "status": _text(said.get(semconv.STATUS)) or _status(span),
        "finish_reasons": _texts(said.get(semconv.FINISH_REASONS)),
        "version": call.version,
    }
    return row


def hop_rows(call: Call) -> list[dict[str, Any]]:
    """The rows of `llm_hops`; places that an earlier version had and this one lacks are `gone`."""
    said = call.attributes
    of_call = {
        "call_id": call.call_id,
        "trace_id": call.span.trace_id,
        "time": _time(call.span.start_ns),
        "owner": call.role,
        "service": call.span.service,
        "environment": call.span.environment,
        "data_mode": _text(said.get(semconv.DATA_MODE)),
        "endpoint": _text(said.get(semconv.ENDPOINT_TAG)),
        "tenant": _text(said.get(semconv.TENANT)),
        "route": _text(said.get(semconv.ROUTE)),
        "version": call.version,
    }
    there = [of_call | _hop(hop) for hop in call.hops]
    gone = [of_call | {"hop_index": index, "owner": "gone"} for index in call.hops_gone]
    return there + gone


def _hop(hop: Hop) -> dict[str, Any]:
    said = hop.attributes
    model = said.get(semconv.RESPONSE_MODEL) or said.get(semconv.MODEL_SERVED)
    return {
        "hop_index": hop.index,
        "span_id": hop.span_id,
        "role": _text(said.get(semconv.HOP_ROLE)),
        "name": _text(said.get(semconv.HOP_NAME)),
        "provider": _text(said.get(semconv.PROVIDER)),
        "model": _text(model or said.get(semconv.REQUEST_MODEL)),
        "evidence": _text(said.get(semconv.HOP_EVIDENCE)),
        "gateway": _text(said.get(semconv.GATEWAY_NAME)),
        "gateway_version": _text(said.get(semconv.GATEWAY_VERSION)),
        "overhead_ms": _number(said.get(semconv.HOP_OVERHEAD)),
        "status": hop.status,
    }


def span_row(span: Span) -> dict[str, Any]:
    """The row of `spans`."""
    attributes, typed = _mapped(span.attributes)
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "scope": span.scope,
        "scope_version": span.scope_version,
        "service": span.service,
        "environment": span.environment,
        "time": _time(span.start_ns),
        "duration_ns": span.duration_ns,
        "status": span.status,
        "status_message": span.status_message,
        "resource": _mapped(span.resource)[0],
        "attributes": attributes,
        "typed": typed,
        "events": _events(span) if span.events else "",
        "version": span.version,
    }


def span_of(row: Mapping[str, Any]) -> Span:
    """A row of `spans` as the span it was; `time_ns` is the start as a number."""
    start_ns = row["time_ns"]
    duration_ns = row["duration_ns"]
    return Span(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_id=row["parent_id"],
        name=row["name"],
        kind=row["kind"],
        start_ns=start_ns,
        end_ns=start_ns + duration_ns if duration_ns is not None else 0,
        attributes=attributes_of(row),
        resource=row["resource"],
        scope=row["scope"],
        scope_version=row["scope_version"],
        status=row["status"],
        status_message=row["status_message"],
        stored_version=row["version"],
        events=[
            Event(each["name"], start_ns + round(each["offset_s"] * 1e9), each["attributes"])
            for each in events_of(row)
        ],
    )


def attributes_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a row of `spans`, each with its type."""
    typed = set(row["typed"])
    return {
        name: json.loads(value) if name in typed else value
        for name, value in row["attributes"].items()
    }


def events_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Events of a row of `spans`: `{name, offset_s, attributes}`."""
    found: list[dict[str, Any]] = json.loads(row["events"]) if row["events"] else []
    return found


def _events(span: Span) -> str:
    return json.dumps(
        [
            {
                "name": event.name,
                "offset_s": (event.time_ns - span.start_ns) / 1e9 if event.time_ns else 0.0,
                "attributes": {key: _plain(value) for key, value in event.attributes.items()},
            }
            for event in span.events[:128]
        ]
    )


def _mapped(attributes: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    mapped: dict[str, str] = {}
    typed: list[str] = []
    for name, value in attributes.items():
        if isinstance(value, str):
            mapped[name] = value
        else:
            mapped[name] = json.dumps(_plain(value))
            typed.append(name)
    return mapped, typed


def _plain(value: Any) -> Any:
    """`value` as JSON has it: there is no NaN and no infinity in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


def _time(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 10**9)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}.{rest_ns:09d}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, list | dict) else str(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [_text(each) for each in value] if isinstance(value, Sequence) else []


def _count(value: Any, below: int) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < below else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _money(value: Any) -> str | None:
    """US dollars as a decimal string; exact, because `repr` of a float gives its decimal back."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite() or not 0 <= amount < MOST_MONEY:
        return None
    return format(amount.quantize(MONEY_STEP, ROUND_HALF_EVEN), "f")


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _status(span: Span) -> str:
    """Foreign spans say no more than that they failed."""
    return "error" if span.status == "error" else "success"
