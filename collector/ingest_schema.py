"""What `/v1/ingest` takes and answers, as OpenAPI 3.1 has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollspan import told as rules
from tollspan.config import DATA_MODES

from .told import MOST_REVISIONS
from .told_record import FIELDS, MOST_TAGS, REQUIRED

__all__ = ["ANSWER", "RECORD", "operations"]

_TEXT = {"type": ["string", "null"], "minLength": 1, "pattern": r"\S"}
_NEEDED = {"type": "string", "minLength": 1, "pattern": r"\S"}
_COUNT = {"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1}
_MS = {"type": ["number", "null"], "minimum": 0, "maximum": rules.LONGEST_MS}
_FLAG = {"type": ["boolean", "null"]}
_SAID: dict[str, tuple[dict[str, Any], str]] = {
    "externalRequestId": (_NEEDED, "Your id of the call. Sent again, it is the same call"),
    "provider": (_NEEDED, "Who was asked: `openai`, `anthropic`, `azure`, `bedrock`, …"),
    "model": (_NEEDED, "The model asked for; `openai/gpt-4o` is `gpt-4o` of `openai`"),
    "operation": (_TEXT, "`chat` unless said otherwise: `embeddings`, `rerank`, …"),
    "responseModel": (_TEXT, "The model that the answer names"),
    "responseId": (_TEXT, "The provider's id of the answer"),
    "endpointTag": (_TEXT, "Which feature of the application"),
    "promptName": (_TEXT, "Which prompt"),
    "promptVersion": (_TEXT, "Which version of it"),
    "tenantId": (_TEXT, "For which customer"),
    "userId": (_TEXT, "For which user"),
    "sessionId": (_TEXT, "In which session"),
    "tags": (
        {
            "type": ["object", "null"],
            "maxProperties": MOST_TAGS,
            "propertyNames": {"pattern": r"\S"},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "More dimensions",
    ),
    "inputTokens": (_COUNT, "All of the input, cached included"),
    "outputTokens": (_COUNT, "All of the output, reasoning included"),
    "cacheReadTokens": (_COUNT, "Part of the input"),
    "cacheWriteTokens": (_COUNT, "Part of the input"),
    "reasoningTokens": (_COUNT, "Part of the output"),
    "costUsd": (
        {
            "anyOf": [
                {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": 1_000_000},
                {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,12})?$"},
            ]
        },
        "What the provider billed; it beats the derived cost",
    ),
    "serviceTier": (_TEXT, "The tier that was served"),
    "latencyMs": (_MS, "How long the call took"),
    "timeToFirstTokenMs": (_MS, "Of a streamed answer"),
    "timestamp": (
        {
            "anyOf": [
                {"type": ["number", "null"], "minimum": 946_684_800_000},
                {"type": "string", "format": "date-time"},
            ]
        },
        "When the call started: ISO-8601 with its offset, or ms since 1970; else it ended just now",
    ),
    "status": ({"enum": [*rules.STATUSES, None]}, "How it ended; `error` where there is errorType"),
    "errorType": (_TEXT, "Class of the exception, or HTTP status"),
    "finishReasons": ({"type": ["array", "null"], "items": _NEEDED}, "`stop`, `length`, …"),
    "streaming": (_FLAG, "Whether the answer came in chunks"),
    "toolCalls": (
        {"type": ["integer", "null"], "minimum": 0, "maximum": 2**31 - 1},
        "Tools called in the answer",
    ),
    "attempts": (
        {"type": ["integer", "null"], "minimum": 0, "maximum": 9_999},
        "HTTP requests that the client made, retries included",
    ),
    "cacheHit": (_FLAG, "Answered by a gateway's cache: nothing was spent"),
    "fallback": (_FLAG, "Answered by a fallback"),
    "serverAddress": (_TEXT, "Host that was asked"),
    "gateway": (_TEXT, "Gateway between: `litellm`, `portkey`, …"),
    "gatewayRequestId": (_TEXT, "Its id of the request, which joins the record to its spans"),
    "dataMode": ({"enum": [*DATA_MODES, None]}, "`real` unless said otherwise"),
    "environment": (_TEXT, "`production`, `staging`, …"),
    "service": (_TEXT, "Which service called"),
    "revision": (
        {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_REVISIONS - 1},
        "A correction has a higher one than the record that it corrects; 0 unless said otherwise",
    ),
}

RECORD: dict[str, Any] = {
    "type": "object",
    "required": list(REQUIRED),
    "additionalProperties": False,
    "properties": {name: {**_SAID[name][0], "description": _SAID[name][1]} for name in FIELDS},
}
"""A record of the no-proxy contract. The same names in snake_case are read, too."""

_NUMBER = {"type": "integer", "minimum": 0}
ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["accepted", "duplicates", "ignored", "rejected", "errors", "more_errors"],
    "properties": {
        "accepted": {**_NUMBER, "description": "New, and now in the ledger"},
        "duplicates": {**_NUMBER, "description": "There before, with the same content"},
        "ignored": {**_NUMBER, "description": "Events that tell of no call"},
        "rejected": {**_NUMBER, "description": "Not taken; `errors` says why"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "path", "error"],
                "properties": {
                    "index": {**_NUMBER, "description": "Of the record in the request, from 0"},
                    "path": {"type": "string", "description": "Of the value; '' is the whole"},
                    "error": {"type": "string"},
                },
            },
        },
        "more_errors": {**_NUMBER, "description": "Errors that are left out here"},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_OF_GATEWAYS = {
    "otoroshi": "Otoroshi's `LLMUsageAudit` events, as its webhook or Kafka sends them; others of "
    "its events are ignored",
    "litellm": "LiteLLM's spend logs (`/spend/logs`), or its standard logging payloads",
    "llm-interactive-proxy": "Usage records of llm-interactive-proxy (`/v1/usage/export`)",
    "usage": "Lines of this server's own `/v1/usage/export`, which restore the calls as they were",
}


def operations(sources: Sequence[str], most_records: int) -> dict[str, Any]:
    """OpenAPI path items, by path, of the ingest of `sources`; '' is the one of records."""
    return {f"/v1/ingest{'/' if name else ''}{name}": _item(name, most_records) for name in sources}


def _item(name: str, most_records: int) -> dict[str, Any]:
    said = f"{_OF_GATEWAYS[name]}. No message content is kept." if name else _RECORDS
    one = RECORD if not name else {"type": "object"}
    several = {"type": "array", "items": one, "maxItems": most_records}
    return {
        "post": {
            "operationId": f"ingest_{name.replace('-', '_')}" if name else "ingest",
            "summary": f"Take events of {name}" if name else "Take records of calls",
            "description": said,
            "parameters": [
                {
                    "name": "dry_run",
                    "in": "query",
                    "required": False,
                    "schema": {"enum": ["true", "false", "1", "0"]},
                    "description": "Say what would become of them, and write nothing",
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"anyOf": [one, several]}},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            "responses": {
                "200": _answer("All were taken, or were there before", ANSWER),
                "207": _answer("Some were not taken", ANSWER),
                "400": _answer(
                    "None was taken, or the body cannot be read", {"anyOf": [ANSWER, _ERROR]}
                ),
                "401": _answer("The token is missing", _ERROR),
                "413": _answer("The body is too large", _ERROR),
                "415": _answer("The content type or encoding is not read", _ERROR),
                "503": _answer("The ledger cannot keep up; see Retry-After", _ERROR),
            },
        }
    }


_RECORDS = """One record of a finished call, an array of them, or JSON lines; gzip is read. Answered when
they are safe. Each is taken once by its `externalRequestId`, however often it is sent; where a span
with this `tollspan.request_id` is known, or comes later, the record restates it and adds nothing."""


def _answer(said: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": said, "content": {"application/json": {"schema": schema}}}
