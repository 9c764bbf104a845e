"""`GET /v1/health` as an OpenAPI 3.1 path item."""

from __future__ import annotations

from typing import Any

from tollspan.limits.backends import KINDS
from tollspan.limits.outcomes import KINDS as OUTCOMES

__all__ = ["operations"]

STATE = {"enum": ["up", "down", "unknown"]}
TIME = {"type": "string", "format": "date-time"}
TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
TEXT_OR_NULL = {"type": ["string", "null"]}
SECONDS_OR_NULL = {"type": ["number", "null"], "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


LAST = _object(
    at=TIME,
    ok={"type": "boolean"},
    kind={"enum": list(KINDS)},
    status={"type": ["integer", "null"], "minimum": 100, "maximum": 599},
    error=TEXT_OR_NULL,
    duration_s={"type": "number", "minimum": 0},
    certificate_ends=TIME_OR_NULL,
)
CHECK = _object(
    kind={"enum": list(KINDS)},
    request=TEXT_OR_NULL,
    decides={"type": "boolean"},
    state=STATE,
    since=TIME_OR_NULL,
    last=_or_null(LAST),
)
PROBES = _object(state=STATE, since=TIME_OR_NULL, checks={"type": "array", "items": CHECK})
CALLS = _object(
    state=STATE,
    calls={"type": "integer", "minimum": 0},
    failed={"type": "integer", "minimum": 0},
    outcomes={
        "type": "object",
        "propertyNames": {"enum": [*OUTCOMES, "other"]},
        "additionalProperties": {"type": "integer", "minimum": 0},
    },
    latency_p50_s=SECONDS_OR_NULL,
    latency_p95_s=SECONDS_OR_NULL,
    newest=TIME,
)
CHANGE = _object(since=TIME, state=STATE, reason={"type": "string"})
BACKEND = _object(
    name=TEXT_OR_NULL,
    provider=TEXT_OR_NULL,
    server_address=TEXT_OR_NULL,
    server_port={"type": ["integer", "null"]},
    state=STATE,
    since=TIME_OR_NULL,
    reason={"type": "string"},
    probes=_or_null(PROBES),
    calls=_or_null(CALLS),
    history={"type": "array", "items": CHANGE},
)
ANSWER = _object(
    at=TIME,
    state=STATE,
    window_s={"type": "integer"},
    history_s={"type": "integer"},
    backends={"type": "array", "items": BACKEND},
)
ERROR = _object(error={"type": "string"})


def _seconds(name: str, usual: int, most: int, doc: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return {"name": name, "in": "query", "description": doc, "schema": schema}


def _answer(doc: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": doc, "content": {"application/json": {"schema": schema}}}


def operations(window_s: int, history_s: int, most_s: int) -> dict[str, Any]:
    """The path item; the numbers are what is usual, and the most that can be asked for."""
    get = {
        "operationId": "health",
        "summary": "How the backends are",
        "description": "By probes, where a file of backends declares some, and by recent calls.",
        "parameters": [
            _seconds("window_s", window_s, most_s, "How far back calls count"),
            _seconds("history_s", history_s, most_s, "How far back changes are told"),
        ],
        "responses": {
            "200": _answer("The backends of the file, then those that calls have shown", ANSWER),
            "400": _answer("A parameter that is none", ERROR),
            "503": _answer("The ledger is busy", ERROR),
        },
    }
    return {"/v1/health": {"get": get}}
