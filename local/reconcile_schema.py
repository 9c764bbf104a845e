"""`/v1/reconcile` as an OpenAPI 3.1 path item."""

from __future__ import annotations

from typing import Any

from .reconcile_ledger import FAMILIES, ZONES
from .reconcile_reasons import REASONS

__all__ = ["OPERATIONS"]

DAY = {"type": "string", "format": "date"}
USD = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
AMOUNT = {"oneOf": [USD, {"type": "integer"}]}
"""US dollars as a decimal string, or tokens, as `unit` says."""
COUNT_OR_NULL = {"type": ["integer", "null"], "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _needing(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    """`schema`, but that only `names` are always there."""
    return schema | {"required": [*names]}


TOKENS = _needing(
    _object(
        **{part: {"type": "integer"} for part in ("input", "output", "cache_read", "cache_write")}
    )
)
TOKENS_OR_NULL = {"anyOf": [TOKENS, {"type": "null"}]}
SIDE = _object(usd={"anyOf": [USD, {"type": "null"}]}, calls=COUNT_OR_NULL, tokens=TOKENS_OR_NULL)
REASON = _needing(
    _object(
        reason={"enum": list(REASONS)},
        usd=USD,
        tokens={"type": "integer"},
        certain={"type": "boolean"},
        calls={"type": ["integer", "null"]},
        meaning={"type": "string"},
        open={"type": "boolean"},
        next={
            "type": ["string", "null"],
            "description": "What to do about it, where something is to be done",
        },
    ),
    "reason",
    "meaning",
    "open",
    "next",
)
ROW = _object(
    **{"from": DAY},
    to=DAY,
    model={"type": "string"},
    key={"type": ["string", "null"]},
    billed=SIDE,
    ledger=SIDE,
    difference=AMOUNT,
    open=AMOUNT,
    reasons={"type": "array", "items": REASON},
)
TOTAL = _object(
    billed=AMOUNT,
    ledger=AMOUNT,
    difference=AMOUNT,
    open=AMOUNT,
    allowed=AMOUNT,
    tolerance=USD,
    calls={"type": "integer"},
    within_tolerance={"type": "boolean"},
)
EXPORT = _object(
    name={"type": "string"},
    shape={"type": "string"},
    lines={"type": "integer"},
    skipped={"type": "integer"},
)
REPORT = _object(
    **{"from": DAY},
    to=DAY,
    provider={"type": "string"},
    zone={"enum": list(ZONES)},
    unit={"enum": ["usd", "tokens"]},
    exports={"type": "array", "items": EXPORT},
    total=TOTAL,
    reasons={"type": "array", "items": REASON},
    rows={"type": "array", "items": ROW},
)
SUM = _object(
    day=DAY,
    **{
        name: {"type": "string"} for name in ("provider", "model", "tier", "key", "grade", "source")
    },
    **{name: {"type": "integer"} for name in ("calls", "silent", "unsure", "searches")},
    tokens=TOKENS,
    usd=USD,
    early_usd=USD,
    late_usd=USD,
)
SUMS = _object(
    **{"from": DAY},
    to=DAY,
    provider={"type": ["string", "null"]},
    zone={"enum": list(ZONES)},
    sums={"type": "array", "items": SUM},
)


def _parameter(name: str, says: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": says, "schema": schema, **more}


NAME = {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}
PROVIDER = _parameter("provider", f"Whose bill: {', '.join(FAMILIES)}, or another's name", NAME)
PAIRS = {"type": "array", "items": {"type": "string", "pattern": "^[^=\\s][^=]*=\\s*\\S.*$"}}


def _answer(says: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "content": {"application/json": {"schema": schema}}}


ERRORS = {
    status: _answer(says, _object(error={"type": "string"}))
    for status, says in (
        ("400", "The query or the export cannot be used; the sentence says where and why"),
        ("413", "The export is too large"),
        ("415", "An encoding that is not read"),
        ("503", "Too much at once; ask again"),
    )
}
OPERATIONS: dict[str, Any] = {
    "/v1/reconcile": {
        "get": {
            "operationId": "reconcileLedger",
            "summary": "The ledger's side of a bill: sums by day, provider, model, tier, key and grade",
            "parameters": [
                PROVIDER,
                _parameter("from", "First day", DAY, required=True),
                _parameter("to", "Last day, included", DAY, required=True),
                _parameter("zone", "Where days begin", {"enum": list(ZONES)}),
            ],
            "responses": {
                "200": _answer("The sums", SUMS),
                "400": ERRORS["400"],
                "503": ERRORS["503"],
            },
        },
        "post": {
            "operationId": "reconcile",
            "summary": "A provider's usage or cost export against the ledger, with reasons",
            "parameters": [
                PROVIDER,
                _parameter("from", "First day; default: the export's", DAY),
                _parameter("to", "Last day, included; default: the export's", DAY),
                _parameter(
                    "tolerance",
                    "Part of the larger side that may stay open",
                    {"type": "number", "minimum": 0, "maximum": 1},
                ),
                _parameter("rate", "CURRENCY=US dollars of one", PAIRS),
                _parameter("same", "Model in the export=model in the ledger", PAIRS),
                _parameter("key", "Key in the export=fingerprint in the ledger", PAIRS),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string"}},
                    "text/csv": {"schema": {"type": "string"}},
                    "application/json": {"schema": {}},
                },
            },
            "responses": {"200": _answer("The report", REPORT), **ERRORS},
        },
    }
}
