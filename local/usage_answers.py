"""What the usage API answers, as JSON schemas."""

from __future__ import annotations

from typing import Any

from .usage_sums import AMOUNTS, GRADES, STATUSES, TOKENS

__all__ = ["KEYS", "MONTH", "RECENT", "REPLACEMENT", "SESSIONS", "STATS", "TIME", "Schema"]

Schema = dict[str, Any]

COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
USD: Schema = {"type": ["string", "null"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
NUMBER: Schema = {"type": ["number", "null"]}
RATIO: Schema = {"type": ["number", "null"], "minimum": 0}
TEXT: Schema = {"type": ["string", "null"]}
TEXTS: Schema = {"type": "array", "items": {"type": "string"}}
TIME: Schema = {"type": "string", "format": "date-time"}
BY_NAMES: Schema = {"type": "object", "additionalProperties": TEXT}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}


def _object(properties: Schema, *, more: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": more,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


LEVELS = _object({"p50": NUMBER, "p95": NUMBER, "p99": NUMBER})
TWO_LEVELS = _object({"p50": NUMBER, "p95": NUMBER})
MEASURED: Schema = {
    "calls": COUNT,
    "cost_usd": USD,
    "cost_per_call_usd": USD,
    "priced_calls": COUNT,
    "unpriced_calls": COUNT,
    "cost_by_grade": {
        "type": "object",
        "propertyNames": {"enum": [*GRADES, "other"]},
        "additionalProperties": _object({"calls": COUNT, "usd": USD}),
    },
    **dict.fromkeys(AMOUNTS, USD),
    "tokens": _object(dict.fromkeys(TOKENS, COUNT_OR_NULL)),
    "other_usage": {"type": "object", "additionalProperties": {"type": "number"}},
    "statuses": _object(dict.fromkeys((*STATUSES, "other"), COUNT)),
    "errors": COUNT,
    "error_rate": RATIO,
    "app_attempts": COUNT_OR_NULL,
    "upstream_attempts": COUNT_OR_NULL,
    "retried_calls": COUNT,
    "retry_ratio": RATIO,
    "fallbacks": COUNT,
    "swapped_calls": COUNT,
    "cache_hits": COUNT,
    "tool_calls": COUNT_OR_NULL,
    "duration_s": LEVELS,
    "time_to_first_chunk_s": LEVELS,
    "output_tokens_per_s": RATIO,
}
BUCKETS = _list(
    _object(
        {
            "time": TIME,
            "calls": COUNT,
            "cost_usd": USD,
            "unpriced_calls": COUNT,
            "tokens": _object({"input": COUNT_OR_NULL, "output": COUNT_OR_NULL}),
            "errors": COUNT,
            "error_rate": RATIO,
            "duration_s": LEVELS,
            "time_to_first_chunk_s": LEVELS,
        }
    )
)
RANGE: Schema = {"from": TIME_OR_NULL, "to": TIME_OR_NULL}
ERROR_TYPES = _list(_object({"error_type": {"type": "string"}, "calls": COUNT}))


def _total(more: Schema) -> Schema:
    found = _object(MEASURED | more)
    found["properties"] = found["properties"] | {"buckets": BUCKETS}
    return found


GROUP = _object({"by": BY_NAMES, **MEASURED, "last_time": TIME})
GROUP["properties"] = GROUP["properties"] | {"buckets": BUCKETS}
STATS = _object(
    RANGE | {"by": TEXTS, "interval": TEXT, "total": _total({"error_types": ERROR_TYPES})}
)
STATS["properties"] = STATS["properties"] | {
    "groups": _list(GROUP),
    "group_count": COUNT,
    "next_offset": COUNT_OR_NULL,
}
MONTH_LINE: Schema = {
    "calls": COUNT,
    "cost_usd": USD,
    **dict.fromkeys(("unpriced_calls", "lower_bound_calls", "estimated_calls"), COUNT),
    **dict.fromkeys(("projected_usd", "projected_low_usd", "projected_high_usd"), USD),
    "change_usd": USD,
    "before_calls": COUNT,
    "before_cost_usd": USD,
    "last_month_calls": COUNT,
    "last_month_cost_usd": USD,
}
MONTH = _object(
    {
        "month": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"},
        "tz": {"type": "string"},
        **dict.fromkeys(("from", "to", "as_of"), TIME),
        "by": TEXTS,
        "total": _object(MONTH_LINE),
    }
)
MONTH["properties"] = MONTH["properties"] | {
    "groups": _list(_object({"by": BY_NAMES} | MONTH_LINE)),
    "group_count": COUNT,
    "next_offset": COUNT_OR_NULL,
}
CALL = _object({"call_id": {"type": "string"}, "time": TIME, "cost_usd": USD}, more=True)
RECENT = _object(RANGE | {"calls": _list(CALL), "next_cursor": TEXT})


def _view(plural: str, name: str, lists: tuple[str, ...]) -> Schema:
    line = {name: {"type": "string"}, "first_time": TIME, "last_time": TIME, "lasted_s": NUMBER}
    line |= dict.fromkeys(lists, TEXTS)
    return _object(
        RANGE
        | {
            "total": _object(MEASURED | {f"calls_without_{name}": COUNT}),
            plural: _list(_object(line | MEASURED)),
            f"{name}_count": COUNT,
            "next_offset": COUNT_OR_NULL,
        }
    )


EFFECT = _object(
    {
        "calls": COUNT,
        "cost_usd": USD,
        "cost_per_call_usd": USD,
        "cost_per_1k_tokens_usd": USD,
        "duration_s": TWO_LEVELS,
        "time_to_first_chunk_s": TWO_LEVELS,
        "error_rate": RATIO,
    }
)
DIFFERENCE = _object(
    {
        "cost_per_call_usd": USD,
        "cost_per_1k_tokens_usd": USD,
        "duration_p50_s": NUMBER,
        "time_to_first_chunk_p50_s": NUMBER,
    }
)
RATE: Schema = {"calls": COUNT, "replaced_calls": COUNT, "activation_rate": RATIO}
PAIR = _object(
    {
        "requested_model": TEXT,
        "served_model": TEXT,
        "last_time": TIME,
        "replaced": EFFECT,
        "kept": {"oneOf": [EFFECT, {"type": "null"}]},
        "difference": {"oneOf": [DIFFERENCE, {"type": "null"}]},
    }
)
TURNS = _object(
    {
        "sessions": COUNT,
        "replaced_sessions": COUNT,
        "mean": NUMBER,
        "p50": NUMBER,
        "p95": NUMBER,
        "max": COUNT_OR_NULL,
    }
)
REPLACEMENT = _object(
    RANGE
    | {
        "calls": COUNT,
        "calls_not_known": COUNT,
        "replaced_calls": COUNT,
        "activation_rate": RATIO,
        "replaceable_calls": COUNT,
        "replaceable_activation_rate": RATIO,
        "kept_calls": COUNT,
        "opt_out_calls": COUNT,
        "opt_out_ignored_calls": COUNT,
        "turns_before_replacement": TURNS,
        "by_pair": _list(PAIR),
        "by_route": _list(_object({"route": TEXT} | RATE)),
        "by_request_model": _list(_object({"requested_model": TEXT} | RATE)),
    }
)
SESSIONS = _view("sessions", "session", ("models", "endpoints", "tenants", "users"))
KEYS = _view("keys", "api_key", ("providers", "models", "services", "environments", "tenants"))
