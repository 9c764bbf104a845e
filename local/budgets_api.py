"""`GET /v1/budgets`: where every budget stands, for applications that hold their calls to them.

Errors are `{"error": sentence}`. Money is a decimal string in US dollars, times are ISO-8601 in UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .budget_rows import budgets
from .ledger import Busy, Ledger, LedgerError

__all__ = ["OPERATIONS", "routes"]

NO_STORE = {"cache-control": "no-store"}
USD = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
TIME = {"type": "string", "format": "date-time"}
TEXT = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


BUDGET = _object(
    {
        "name": {"type": "string"},
        "filters": {"type": "object", "additionalProperties": {"type": "string"}},
        "period": {"enum": ["day", "week", "month"]},
        "period_start": TIME,
        "period_end": TIME,
        "limit_usd": USD,
        "soft_usd": USD,
        "spent_usd": USD,
        "projected_usd": USD,
        "calls": COUNT,
        "unpriced_calls": COUNT,
        "ratio": {"type": ["number", "null"]},
        "state": {"enum": ["ok", "soft", "hard"]},
        "owner": TEXT,
        "contact": TEXT,
        "action": TEXT,
    }
)


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


ERROR = _object({"error": {"type": "string"}})

OPERATIONS: dict[str, Any] = {
    "/v1/budgets": {
        "get": {
            "operationId": "budgets",
            "summary": "Where every budget stands in its period, those in trouble first",
            "description": (
                "Spent is what the calls of every machine cost whose price is known; the others "
                "stand in `unpriced_calls`. Periods are days, weeks from Monday and months in UTC."
            ),
            "parameters": [
                {
                    "name": "name",
                    "in": "query",
                    "required": False,
                    "description": "Only the budget of this name",
                    "schema": {"type": "string"},
                }
            ],
            "responses": {
                "200": _answer(
                    "The budgets",
                    _object({"budgets": {"type": "array", "items": BUDGET}, "at": TIME}),
                ),
                "400": _answer("A parameter is unknown", ERROR),
                "503": _answer("The ledger is busy; ask again", ERROR),
            },
        }
    }
}
"""OpenAPI 3.1 path items of this module."""


def routes(ledger: Ledger) -> list[Route]:
    """The route of this module."""

    async def answer(request: Request) -> Response:
        unknown = sorted({name for name, _ in request.query_params.multi_items()} - {"name"})
        if unknown:
            return _sentence(400, f"{unknown[0][:200]} is unknown: known is name")
        try:
            found = await run_in_threadpool(budgets, ledger)
        except Busy as busy:
            return _sentence(503, str(busy))
        except LedgerError as error:
            return _sentence(500, f"the ledger could not answer: {error}")
        wanted = request.query_params.getlist("name")
        if wanted:
            found = [each for each in found if each["name"] in wanted]
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return JSONResponse({"budgets": found, "at": now}, headers=NO_STORE)

    return [Route("/v1/budgets", answer, methods=["GET"])]


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)
