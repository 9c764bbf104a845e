"""One call as a line of an export, and a line as the spans that it stands for.

A line is a record of `POST /v1/ingest`: its members are those of the no-proxy contract, and one more,
`tollspan`, which holds all that the ledger knows of the call and its hops. Who takes records ignores
it; who restores a ledger makes spans of it that are settled already: nothing is priced, joined or
guessed again, so the restored ledger answers the same to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from tollspan import semconv
from tollspan.collector.known import OWNER
from tollspan.collector.rows import COUNTS, FLAGS, MONEY, OF_HOP
from tollspan.collector.span import Span, fault
from tollspan.columns import TEXTS

__all__ = ["FIELDS", "WHOLE", "NoLine", "spans_of"]

WHOLE = "tollspan"
"""The member of a line that holds everything."""

FIELDS = {
    "provider": "provider",
    "model": "request_model",
    "responseModel": "response_model",
    "responseId": "response_id",
    "operation": "operation",
    "endpointTag": "endpoint",
    "promptName": "prompt",
    "promptVersion": "prompt_version",
    "tenantId": "tenant",
    "userId": "user",
    "sessionId": "session",
    "tags": "tags",
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadTokens": "cache_read_tokens",
    "cacheWriteTokens": "cache_write_tokens",
    "reasoningTokens": "reasoning_tokens",
    "costUsd": "reported_usd",
    "serviceTier": "service_tier",
    "status": "status",
    "errorType": "error_type",
    "finishReasons": "finish_reasons",
    "streaming": "streaming",
    "toolCalls": "tool_calls",
    "attempts": "app_attempts",
    "cacheHit": "cache_hit",
    "fallback": "fallback",
    "serverAddress": "server_address",
    "dataMode": "data_mode",
    "environment": "environment",
    "service": "service",
}
"""Members of the no-proxy contract, and the columns that they are."""

SETTLED_VERSION = 1
"""Of restored spans: below that of any span that was sent, which knows more."""


class NoLine(ValueError):
    """It is no line of an export; the message says what is wrong with it."""


def spans_of(made: Mapping[str, Any]) -> list[Span]:
    """The call of a line and its hops, settled.

    Raises:
        NoLine: the member `tollspan` is not there, or is not as it was written.
    """
    whole = made.get(WHOLE)
    if not isinstance(whole, Mapping):
        raise NoLine(f"{WHOLE} is not there: this is no line of an export")
    try:
        call = _call(whole)
        hops = [_hop(call, hop) for hop in whole.get("hops", []) if _has_span(hop, whole)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoLine(f"{WHOLE} is not as it was written ({error!r})") from error
    for span in (call, *hops):
        span.stored_version = SETTLED_VERSION
        if wrong := fault(span):
            raise NoLine(f"{WHOLE}: {wrong}")
    return [call, *hops]


def _call(row: Mapping[str, Any]) -> Span:
    start_ns = int(row["time_ns"])
    said: dict[str, Any] = {semconv.COST_ROLE: OWNER}
    said |= {key: str(row[name]) for name, key in TEXTS.items() if name in row}
    said |= {key: int(row[name]) for name, (key, _) in COUNTS.items() if name in row}
    said |= {key: float(row[name]) for name, key in MONEY.items() if name in row}
    said |= {key: bool(row[name]) for name, key in FLAGS.items() if name in row}
    said |= {str(key): float(value) for key, value in row.get("usage", {}).items()}
    said |= {semconv.TAG_PREFIX + key: str(value) for key, value in row.get("tags", {}).items()}
    if "finish_reasons" in row:
        said[semconv.FINISH_REASONS] = [str(each) for each in row["finish_reasons"]]
    if "time_to_first_chunk_s" in row:
        said[semconv.TIME_TO_FIRST_CHUNK] = float(row["time_to_first_chunk_s"])
    if "status" in row:
        said[semconv.STATUS] = str(row["status"])
    resource = {
        semconv.SERVICE_NAME: row.get("service"),
        semconv.DEPLOYMENT_ENVIRONMENT: row.get("environment"),
    }
    lasted_s = row.get("duration_s")
    return Span(
        trace_id=str(row["trace_id"]),
        span_id=str(row["span_id"]),
        parent_id="",
        name=f"{row.get('operation', 'call')} {row.get('request_model', '')}".strip(),
        kind="client",
        start_ns=start_ns,
        end_ns=0 if lasted_s is None else start_ns + round(lasted_s * 1e9),
        attributes=said,
        resource={name: str(value) for name, value in resource.items() if value},
        scope=str(row.get("scope", "")),
        status="error" if row.get("status") == "error" else "unset",
    )


def _has_span(hop: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a span stands for the hop: for the model of a direct call none does, and none has to."""
    direct = len(row["hops"]) == 1 and row.get("hop_count", 1) == 1 and hop.get("role") == "model"
    return bool(hop.get("span_id")) or not direct


def _hop(call: Span, hop: Mapping[str, Any]) -> Span:
    index = int(hop.get("hop_index", 0))
    said: dict[str, Any] = {key: str(hop[name]) for name, key in OF_HOP.items() if name in hop}
    said[semconv.HOP_INDEX] = index
    if "model" in hop:
        said[semconv.RESPONSE_MODEL] = str(hop["model"])
    if "overhead_ms" in hop:
        said[semconv.HOP_OVERHEAD] = float(hop["overhead_ms"])
    made_of = f"{call.span_id} hop {index}".encode()
    return Span(
        trace_id=call.trace_id,
        span_id=str(hop.get("span_id") or blake2b(made_of, digest_size=8).hexdigest()),
        parent_id=call.span_id,
        name=f"hop {hop.get('name', '')}",
        kind="internal",
        start_ns=call.start_ns,
        end_ns=call.end_ns,
        attributes=said,
        resource=call.resource,
        scope=call.scope,
        status=str(hop.get("status", "unset")),
    )
