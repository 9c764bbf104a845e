"""`GET /v1/openapi.json`: what all of `/v1` takes and answers, as OpenAPI 3.1.

https://spec.openapis.org/oas/v3.1.1.html. Each module of the API says its own part in `OPERATIONS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .status import tollspan_version

__all__ = ["OPERATIONS", "document", "openapi_route"]

ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
EVERYWHERE: Mapping[str, tuple[str, bool]] = {
    "401": ("A token is asked for here, and this is not it", False),
    "403": ("Pages of other sites may not ask, nor anybody under another host name", False),
    "429": ("Too many requests; `retry-after` says when to ask again", True),
    "500": ("The ledger could not answer", False),
    "503": ("The ledger is busy; ask again, or for a shorter time", False),
}
"""Answers that every operation can give, and whether `retry-after` comes with them."""

OPERATIONS: dict[str, Any] = {
    "/v1/openapi.json": {
        "get": {
            "operationId": "openapi",
            "summary": "This document",
            "tags": ["api"],
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    }
}
DESCRIPTION = """\
Money is a decimal string in US dollars, times are ISO-8601 in UTC, durations are seconds; null stands
for not known. Errors are `{"error": sentence}`. Off loopback every request shows the value of
`TOLLSPAN_TOKEN` as a bearer token."""


def document(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The document of all operations in `parts`; answers that all give are added where they lack."""
    paths: dict[str, Any] = {}
    for part in parts:
        for path, item in part.items():
            paths.setdefault(path, {}).update(deepcopy(item))
    for item in paths.values():
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                _complete(operation["responses"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tollspan",
            "version": tollspan_version(),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _complete(responses: dict[str, Any]) -> None:
    for status, (description, waits) in EVERYWHERE.items():
        answer: dict[str, Any] = {
            "description": description,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/Error"}},
            },
        }
        if waits:
            answer["headers"] = {"retry-after": {"schema": {"type": "integer", "minimum": 0}}}
        responses.setdefault(status, answer)


def openapi_route(parts: Iterable[Mapping[str, Any]]) -> Route:
    """The route of the document, which is made once."""
    made = document([OPERATIONS, *parts])

    async def answer(request: Request) -> Response:
        return JSONResponse(made, headers={"cache-control": "no-cache"})

    return Route("/v1/openapi.json", answer, methods=["GET"])
