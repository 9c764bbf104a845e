"""Whose fault a call is that did not end well: `app`, `network`, `proxy` or `provider`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv

__all__ = ["blame", "well"]

Attributes = Mapping[str, Any]


def well(call: Attributes) -> bool:
    """Whether the call ended as it should; spans of others state no `tollspan.status`."""
    status = call.get(semconv.STATUS)
    return status == "success" or (status is None and semconv.ERROR_TYPE not in call)


def blame(
    call: Attributes, attempts: Sequence[Attributes], through_gateway: bool, marked: bool
) -> str | None:
    status = call.get(semconv.STATUS)
    if status in ("cancelled", "abandoned"):
        return "app"
    if status == "blocked" or semconv.BLOCKED_BY in call:
        by = call.get(semconv.BLOCKED_BY)
        if by in ("proxy", "app"):
            return str(by)
        # A filter that stops an answer did not fail; a prompt that it refuses is a bad request.
        return "app" if semconv.ERROR_TYPE in call else None
    if well(call):
        return None
    last = attempts[-1] if attempts else {}
    code = last.get(semconv.HTTP_STATUS)
    if not isinstance(code, int):
        error = str(last.get(semconv.ERROR_TYPE) or call.get(semconv.ERROR_TYPE) or "")
        if error.isdigit():
            code = int(error)
        else:
            return "network" if attempts or _transport(error) else None
    if code < 400:  # the answer began well and broke off, or is an error inside a good answer
        return "network" if semconv.ERROR_TYPE in last else "provider"
    if through_gateway:
        if not marked:
            return "provider" if code == 408 else "proxy"
        # A key that the provider refuses is the gateway's, not the application's.
        if code in (401, 403):
            return "proxy"
    return "provider" if code in (408, 429) or code >= 500 else "app"


def _transport(error: str) -> bool:
    name = error.rpartition(".")[2]
    return "Connect" in name or "Timeout" in name or name.endswith(("ReadError", "ProtocolError"))
