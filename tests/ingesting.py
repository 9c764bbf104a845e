"""Records of calls for the ingest, and how they are sent to a stack."""

from __future__ import annotations

import gzip
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import needs

from tollspan.local import LocalStack

__all__ = ["otoroshi_event", "post", "record", "rows", "spent"]

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def record(number: int = 1, **more: Any) -> dict[str, Any]:
    """A record of 1000 tokens in and 100 out, which cost 0.00021 USD."""
    return {
        "externalRequestId": f"call-{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "inputTokens": 1000,
        "outputTokens": 100,
        "latencyMs": 892,
        "tenantId": "acme",
    } | more


def post(
    stack: LocalStack,
    body: Any,
    path: str = "",
    *,
    kind: str = "application/json",
    packed: bool = False,
) -> tuple[int, Any]:
    """Status and parsed answer of `POST /v1/ingest<path>`; `body` is bytes, or JSON to be."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind}
    if packed:
        data, headers["content-encoding"] = gzip.compress(data), "gzip"
    request = urllib.request.Request(f"{stack.page_url}/v1/ingest{path}", data, headers)
    try:
        with OPENER.open(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def rows(
    stack: LocalStack, where: str = "1", table: str = "tollspan_calls"
) -> list[dict[str, Any]]:
    return stack.ledger.query(f"SELECT * FROM {table} WHERE {where} ORDER BY time, call_id")


def spent(stack: LocalStack, where: str = "1") -> tuple[int, str, int]:
    """Calls, US dollars, input tokens."""
    (row,) = stack.ledger.query(
        "SELECT count() AS calls, toString(sum(cost_usd)) AS usd, sum(input_tokens) AS tokens "
        f"FROM tollspan_calls WHERE {where}"
    )
    return row["calls"], row["usd"], row["tokens"]


def otoroshi_event() -> dict[str, Any]:
    """The event as Otoroshi's documentation has it."""
    found: Path = needs.SHARED / "evidence" / "llm-usage-audit.json"
    if not found.exists():
        needs.missing("evidence", f"no {found.name} beside the project")
    event: dict[str, Any] = json.loads(found.read_text("utf-8"))
    return event
