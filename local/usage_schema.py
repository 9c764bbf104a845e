"""What the usage API takes and answers, as OpenAPI 3.1 path items."""

from __future__ import annotations

from typing import Any

from .usage_answers import KEYS, MONTH, RECENT, REPLACEMENT, SESSIONS, STATS, TIME, Schema
from .usage_asked import DIMENSIONS, FLAGS, IDS, RANGE
from .usage_export import FORMATS
from .usage_sums import SORTS

__all__ = ["OPERATIONS"]


def _parameter(name: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _several(name: str) -> Schema:
    values = {"type": "array", "items": {"type": "string", "maxLength": 1000}, "maxItems": 50}
    known = "Only calls with one of these values; `-` is not known"
    return _parameter(name, values, known) | {"explode": True}


FILTERS = [
    _parameter("from", TIME, "Calls that started then or later"),
    _parameter("to", TIME, "Calls that started before"),
    _parameter(
        "last",
        {"type": "string", "pattern": r"^([1-9][0-9]{0,5}[smhdw]|all)$"},
        "Back from now: `15m`, `24h`, `7d`, `all`; 30 days where no time is said",
    ),
    *(_several(name) for name in DIMENSIONS if name != "data_mode"),
    _several("data_mode")
    | {"description": "`real` and not known where nothing is said; `all` for every call"},
    *(_several(name) for name in IDS),
    *(_parameter(name, {"type": "boolean"}, f"Only calls that are {name}") for name in FLAGS),
    _parameter("tag.team", {"type": "string"}, "`tag.<key>`: only calls with this tag"),
]
BY = _parameter(
    "by",
    {"type": "string"},
    f"At most four, commas between: {', '.join(DIMENSIONS)}, tag.<key>",
)
LIMIT = _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "Lines at most (50)")
OFFSET = _parameter(
    "offset", {"type": "integer", "minimum": 0, "maximum": 1_000_000}, "Lines left out"
)
ORDER = _parameter("order", {"enum": ["asc", "desc"]}, "Most first (desc), or least")
INTERVAL = _parameter(
    "interval",
    {"type": "string"},
    "Over time as well: `minute`, `hour`, `day`, `week`, `month`, or a length such as `15m`",
)
TZ = _parameter(
    "tz",
    {"type": "string"},
    "Whose days, weeks and months they are, and times without an offset: `Europe/Berlin` (UTC)",
)
OF_MONTH = _parameter(
    "month", {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}, "`2026-10` (the one of now)"
)
PERIOD = _parameter("charge_period", {"enum": ["hour", "day"]}, "Of a row of FOCUS (day)")
OPT_OUT = _parameter(
    "opt_out",
    {"type": "string"},
    "The tag of a caller who wants no replacement (tag.replacement:off)",
)


def _sort(*more: str) -> Schema:
    return _parameter("sort", {"enum": [*SORTS, *more]}, "What lines are ordered by")


def _answer(schema: Schema) -> Schema:
    return {"description": "The answer", "content": {"application/json": {"schema": schema}}}


WRONG = _answer({"$ref": "#/components/schemas/Error"}) | {
    "description": "The query cannot be understood; the sentence says which member, and what to write"
}


_OF_CALLS = [each for each in FILTERS if each["name"] not in RANGE]


def _get(
    name: str,
    summary: str,
    parameters: list[Schema],
    answer: Schema,
    filters: list[Schema] = FILTERS,
) -> Schema:
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": ["usage"],
            "parameters": [*filters, *parameters],
            "responses": {"200": answer, "400": WRONG},
        }
    }


FILE: Schema = {
    "description": "The file",
    "headers": {"content-disposition": {"schema": {"type": "string"}}},
    "content": {media_type.partition(";")[0]: {} for _, media_type, _ in FORMATS.values()},
}
OPERATIONS: dict[str, Any] = {
    "/v1/usage/stats": _get(
        "usage_stats",
        "Calls, tokens, spend and times, in total, by names and over time",
        [BY, INTERVAL, TZ, _sort(), ORDER, LIMIT, OFFSET],
        _answer(STATS),
    ),
    "/v1/usage/month": _get(
        "usage_month",
        "Spend of a month beside the month before it, and where it ends, with a range",
        [BY, OF_MONTH, TZ, LIMIT, OFFSET],
        _answer(MONTH),
        _OF_CALLS,
    ),
    "/v1/usage/recent": _get(
        "usage_recent",
        "Single calls, the newest first",
        [
            LIMIT,
            _parameter(
                "cursor",
                {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                "`next_cursor` of the page before",
            ),
        ],
        _answer(RECENT),
    ),
    "/v1/usage/export": _get(
        "usage_export",
        "Every call that is asked for, in a file: JSON lines, CSV, Parquet, FOCUS 1.4",
        [_parameter("format", {"enum": list(FORMATS)}, "Of the file (jsonl)"), PERIOD],
        FILE,
    ),
    "/v1/usage/sessions": _get(
        "usage_sessions",
        "Sessions: calls, spend, how long, which models",
        [_sort("lasted"), ORDER, LIMIT, OFFSET],
        _answer(SESSIONS),
    ),
    "/v1/usage/keys": _get(
        "usage_keys",
        "Spend and use by the fingerprint of the provider's API key",
        [_sort("lasted"), ORDER, LIMIT, OFFSET],
        _answer(KEYS),
    ),
    "/v1/replacement/metrics": _get(
        "replacement_metrics",
        "The model that was asked for against the one that answered",
        [OPT_OUT, LIMIT],
        _answer(REPLACEMENT),
    ),
}
"""OpenAPI 3.1 path items of the usage API."""
