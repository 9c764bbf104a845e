"""Spans and calls as rows of the ledger, and rows as spans again.

Total: whatever a sender wrote, a row always fits its columns. A value that does not is not known,
and what is not known is not written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.columns import TEXTS

from .call import Call, Hop
from .known import OWNER
from .row_prices import cache_saved
from .span import Event, Span
from .values import count, flag, mapped, money, number, plain, text, texts, timestamp

__all__ = ["call_row", "hop_rows", "span_of", "span_row"]

COUNTS = {
    "server_port": (semconv.SERVER_PORT, 2**16),
    "hop_count": (semconv.HOP_COUNT, 2**16),
    "input_tokens": (semconv.INPUT_TOKENS, 2**53),
    "output_tokens": (semconv.OUTPUT_TOKENS, 2**53),
    "cache_read_tokens": (semconv.CACHE_READ_TOKENS, 2**53),
    "cache_write_tokens": (semconv.CACHE_WRITE_TOKENS, 2**53),
    "reasoning_tokens": (semconv.REASONING_TOKENS, 2**53),
    "app_attempts": (semconv.APP_ATTEMPTS, 2**32),
    "upstream_attempts": (semconv.UPSTREAM_ATTEMPTS, 2**32),
    "tool_calls": (semconv.TOOLS_CALLED, 2**32),
    "limit_requests": (semconv.LIMIT_REQUESTS, 2**53),
    "remaining_requests": (semconv.REMAINING_REQUESTS, 2**53),
    "limit_tokens": (semconv.LIMIT_TOKENS, 2**53),
    "remaining_tokens": (semconv.REMAINING_TOKENS, 2**53),
    "max_tokens": (semconv.REQUEST_MAX_TOKENS, 2**53),
    "estimated_input_tokens": (semconv.ESTIMATED_INPUT_TOKENS, 2**53),
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
    semconv.FILE_SEARCHES,
    semconv.CODE_RUNS,
    semconv.OTHER_FEES,
    semconv.SEARCH_UNITS,
    semconv.CLASSIFICATIONS,
    semconv.DOCUMENT_PAGES,
    semconv.ANNOTATED_PAGES,
    semconv.BILLED_INPUT_TOKENS,
    semconv.BILLED_OUTPUT_TOKENS,
    semconv.ANSWERS_SUMMED,
    semconv.AUDIO_INPUT_SECONDS,
    semconv.INPUT_CHARACTERS,
)
"""Counts that a price can depend on beside those with a column: history can be priced again."""
_OTHER_USAGE = frozenset(OTHER_USAGE)

OF_CALL = {
    "data_mode": semconv.DATA_MODE,
    "endpoint": semconv.ENDPOINT_TAG,
    "tenant": semconv.TENANT,
    "route": semconv.ROUTE,
}
"""Columns of `llm_hops` that say what the call says."""

OF_HOP = {
    "role": semconv.HOP_ROLE,
    "name": semconv.HOP_NAME,
    "provider": semconv.PROVIDER,
    "evidence": semconv.HOP_EVIDENCE,
    "gateway": semconv.GATEWAY_NAME,
    "gateway_version": semconv.GATEWAY_VERSION,
    "redaction": semconv.HOP_REDACTION,
}


def call_row(call: Call) -> dict[str, Any]:
    """The row of `llm_calls`."""
    span, said = call.span, call.attributes
    row: dict[str, Any] = {name: text(said.get(key)) for name, key in TEXTS.items()}
    row |= {name: count(said.get(key), below) for name, (key, below) in COUNTS.items()}
    row |= {name: money(said.get(key)) for name, key in MONEY.items()}
    row |= {name: flag(said.get(key)) for name, key in FLAGS.items()}
    row |= {
        "call_id": call.call_id,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "time": timestamp(span.start_ns),
        "role": call.role,
        "owner_span_id": call.owner_span_id,
        "service": span.service,
        "environment": span.environment,
        "scope": span.scope,
        "tags": tags(said),
        "usage": usage(said),
        "cache_saved_usd": cache_saving(call),
        "time_to_first_chunk_s": number(said.get(semconv.TIME_TO_FIRST_CHUNK)),
        "duration_s": call.lasted_s,
        "status": status(call),
        "finish_reasons": texts(said.get(semconv.FINISH_REASONS)),
        "version": call.version,
    }
    return row


def hop_rows(call: Call) -> list[dict[str, Any]]:
    """The rows of `llm_hops`; places that an earlier version had and this one lacks are `gone`."""
    said = call.attributes
    of_call = {
        "call_id": call.call_id,
        "trace_id": call.span.trace_id,
        "time": timestamp(call.span.start_ns),
        "owner": call.role,
        "service": call.span.service,
        "environment": call.span.environment,
        "version": call.version,
        **{name: text(said.get(key)) for name, key in OF_CALL.items()},
    }
    there = [of_call | _hop(hop) for hop in call.hops]
    gone = [of_call | {"hop_index": index, "owner": "gone"} for index in call.hops_gone]
    return there + gone


def _hop(hop: Hop) -> dict[str, Any]:
    said = hop.attributes
    return {
        "hop_index": hop.index,
        "span_id": hop.span_id,
        "model": text(model_of(said)),
        "overhead_ms": number(said.get(semconv.HOP_OVERHEAD)),
        "status": hop.status,
        **{name: text(said.get(key)) for name, key in OF_HOP.items()},
    }


def model_of(said: Mapping[str, Any]) -> Any:
    """The model that a hop's attributes name, the best that is known of it."""
    found = said.get(semconv.RESPONSE_MODEL) or said.get(semconv.MODEL_SERVED)
    return found or said.get(semconv.REQUEST_MODEL)


def span_row(span: Span) -> dict[str, Any]:
    """The row of `spans`."""
    attributes, typed = mapped(span.attributes)
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
        "time": timestamp(span.start_ns),
        "duration_ns": span.duration_ns,
        "status": span.status,
        "status_message": span.status_message,
        "resource": mapped(span.resource)[0],
        "attributes": attributes,
        "typed": typed,
        "events": events(span) if span.events else "",
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


def events(span: Span) -> str:
    """The events of a span as JSON."""
    return json.dumps(
        [
            {
                "name": event.name,
                "offset_s": (event.time_ns - span.start_ns) / 1e9 if event.time_ns else 0.0,
                "attributes": {key: plain(value) for key, value in event.attributes.items()},
            }
            for event in span.events[:128]
        ]
    )


def tags(said: Mapping[str, Any]) -> dict[str, str]:
    """Tags by their key."""
    return {
        key.removeprefix(semconv.TAG_PREFIX): text(value)
        for key, value in said.items()
        if key.startswith(semconv.TAG_PREFIX)
    }


def usage(said: Mapping[str, Any]) -> dict[str, float]:
    """Counts that have no column, by attribute."""
    if _OTHER_USAGE.isdisjoint(said):  # nearly always
        return {}
    return {key: said[key] for key in OTHER_USAGE if number(said.get(key)) is not None}


def status(call: Call) -> str:
    """How a call ended; foreign spans say no more than that they failed."""
    said = text(call.attributes.get(semconv.STATUS))
    return said or ("error" if call.span.status == "error" else "success")


def cache_saving(call: Call) -> str | None:
    """US dollars that prompt caching saved the owner of an answer."""
    if call.role != OWNER:
        return None
    maker = str(call.hops[-1].attributes.get(semconv.PROVIDER) or "") if call.hops else ""
    saved = cache_saved(call.attributes, maker, call.span.start_ns)
    return None if saved is None else format(saved, "f")
