"""What every wire has to say: the seam between the server and the shapes of the providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ._reply import Event, Reply

__all__ = ["Wire", "anthropic_error", "openai_error"]


class Wire(Protocol):
    """One API of a provider, as a module."""

    def response_id(self, reply: Reply) -> str | None: ...
    def service_tier(self, reply: Reply) -> str | None:
        """The tier that the answer names, default included."""
        ...

    def body(self, reply: Reply) -> dict[str, Any]:
        """The plain answer."""
        ...

    def events(self, reply: Reply) -> list[Event]:
        """The same answer as a stream, its last event included; empty: this API does not stream."""
        ...

    def error(self, code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """The body of an error with HTTP status `code`."""
        ...

    def error_event(self, fields: Mapping[str, Any], request_id: str) -> Event:
        """An error in the middle of a stream."""
        ...


_OPENAI_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def openai_error(code: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """https://platform.openai.com/docs/guides/error-codes"""
    kind = "server_error" if code >= 500 else "invalid_request_error"
    type_, error_code = _OPENAI_TYPES.get(code, (kind, None))
    error = {
        "message": _MESSAGES.get(code, "The request could not be served."),
        "type": type_,
        "param": None,
        "code": error_code,
    }
    return {"error": {**error, **fields}}


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def anthropic_error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """https://docs.claude.com/en/api/errors"""
    kind = "api_error" if code >= 500 else "invalid_request_error"
    error = {
        "type": _ANTHROPIC_TYPES.get(code, kind),
        "message": _MESSAGES.get(code, "The request could not be served."),
    }
    kept = {key: value for key, value in fields.items() if key != "code"}
    return {"type": "error", "error": {**error, **kept}, "request_id": request_id}


_MESSAGES = {
    401: "Incorrect API key provided.",
    404: "The requested resource does not exist.",
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The engine is currently overloaded, please try again later.",
    529: "Overloaded",
}
