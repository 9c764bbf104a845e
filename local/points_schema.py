"""`/v1/points` and `/v1/keys/events` as OpenAPI 3.1 path items."""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from .points import COMPARED, PARTS, POINTS
from .points_sums import GATEWAY, GROUPS, MOST_GROUPS
from .points_sums import PARTS as SHORT_PARTS
from .usage_asked import DIMENSIONS

__all__ = ["OPERATIONS"]

TEXT_OR_NULL = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
TIME = {"type": "string", "format": "date-time"}
TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
USD = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
USD_OR_NULL = {"anyOf": [USD, {"type": "null"}]}
CALL_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


POINT = _object(
    evidence={"enum": ["observed", "reported", "estimated"]},
    told_by=TEXT_OR_NULL,
    scope=TEXT_OR_NULL,
    span_id={"type": "string"},
    model=TEXT_OR_NULL,
    max_tokens=COUNT_OR_NULL,
    **dict.fromkeys(PARTS, COUNT_OR_NULL),
    cost_usd=USD_OR_NULL,
)
DIFFERENCE = _object(
    name={"enum": [name for name, _, _ in COMPARED]},
    field={"type": "string"},
    **{"from": {"enum": list(POINTS)}},
    to={"enum": list(POINTS)},
    difference={"oneOf": [{"type": "integer"}, USD]},
)
ONE = _object(
    call_id=CALL_ID,
    trace_id={"type": "string"},
    time=TIME,
    provider=TEXT_OR_NULL,
    model=TEXT_OR_NULL,
    route=TEXT_OR_NULL,
    points=_object(**{name: {"anyOf": [POINT, {"type": "null"}]} for name in POINTS}),
    differences={"type": "array", "items": DIFFERENCE},
)
TOKENS = {f"{part}_tokens": COUNT_OR_NULL for part in SHORT_PARTS}
GROUP = _object(
    calls=COUNT,
    through_gateway=COUNT,
    points=_object(
        asked=_object(calls=COUNT, input_tokens=COUNT_OR_NULL, max_tokens=COUNT_OR_NULL),
        sent_on=_object(calls=COUNT, input_tokens=COUNT_OR_NULL),
        provider=_object(**TOKENS, cost_usd=USD_OR_NULL),
        reported_back=_object(**TOKENS, cost_usd=USD_OR_NULL),
    ),
    altered_by_gateway=_object(
        compared_calls=COUNT,
        altered_calls=COUNT,
        **{f"{part}_tokens": {"type": "integer"} for part in SHORT_PARTS},
        cost_usd=USD,
    ),
)
GROUP["additionalProperties"] = TEXT_OR_NULL  # what it is grouped by
MANY = _object(
    **{"from": TIME_OR_NULL},
    to=TIME_OR_NULL,
    by={"type": "array", "items": {"type": "string"}},
    groups={"type": "array", "items": GROUP},
)
EVENT = _object(
    event={"const": semconv.EVENT_NEW_KEY},
    time=TIME,
    fingerprint={"type": "string"},
    call_id=CALL_ID,
    trace_id=TEXT_OR_NULL,
    provider=TEXT_OR_NULL,
    service=TEXT_OR_NULL,
    environment=TEXT_OR_NULL,
)
EVENTS = _object(
    **{"from": TIME_OR_NULL}, to=TIME_OR_NULL, events={"type": "array", "items": EVENT}
)


def _parameter(name: str, says: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": says, "schema": schema, **more}


def _answers(says: str, schema: dict[str, Any], **errors: str) -> dict[str, Any]:
    error = {"schema": _object(error={"type": "string"})}
    return {
        "200": {"description": says, "content": {"application/json": {"schema": schema}}},
        **{
            status.removeprefix("e"): {"description": why, "content": {"application/json": error}}
            for status, why in errors.items()
        },
    }


LENGTH = {"type": "string", "pattern": "^([1-9][0-9]{0,5}[smhdw]|all)$"}
RANGE = [
    _parameter("from", "From this time on", TIME),
    _parameter("to", "Before this time", TIME),
    _parameter("last", "So long back from now: 24h, 7d, all", LENGTH),
]
NAMED = "|".join([*DIMENSIONS, GATEWAY])
BY = {"type": "string", "pattern": f"^({NAMED})(,({NAMED})){{0,3}}$"}
WRONG, BUSY = "The query cannot be understood", "The ledger is busy; ask again"


def _limit(most: int, usual: int) -> dict[str, Any]:
    return _parameter(
        "limit", f"At most so many ({usual})", {"type": "integer", "minimum": 1, "maximum": most}
    )


OPERATIONS: dict[str, Any] = {
    "/v1/points": {
        "get": {
            "operationId": "points",
            "summary": "Usage as asked, sent on, reported by providers and reported back, in groups",
            "parameters": [
                _parameter("by", "Names to group by (model,gateway)", BY),
                _limit(MOST_GROUPS, GROUPS),
                *RANGE,
                _parameter("provider", "Only these", {"type": "string"}),
                _parameter("model", "Only these", {"type": "string"}),
                _parameter("route", "Only these", {"type": "string"}),
            ],
            "responses": _answers(
                "Groups, those that differ most first", MANY, e400=WRONG, e503=BUSY
            ),
        }
    },
    "/v1/points/{call_id}": {
        "get": {
            "operationId": "pointsOfCall",
            "summary": "The four points of one call, each with who says so, and what differs",
            "parameters": [{"name": "call_id", "in": "path", "required": True, "schema": CALL_ID}],
            "responses": _answers(
                "The points", ONE, e400="No call id", e404="There is no such call", e503=BUSY
            ),
        }
    },
    "/v1/keys/events": {
        "get": {
            "operationId": "keyEvents",
            "summary": "Provider API keys never seen before, by their first call, the newest first",
            "parameters": [
                *RANGE,
                _limit(500, 500),
                _parameter("provider", "Only these", {"type": "string"}),
                _parameter("service", "Only these", {"type": "string"}),
                _parameter("environment", "Only these", {"type": "string"}),
            ],
            "responses": _answers("The events", EVENTS, e400=WRONG, e503=BUSY),
        }
    },
}
