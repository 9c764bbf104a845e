"""HTTP client spans of OpenTelemetry's own instrumentations, as the attempts of a call.

Where one is made, it is the attempt's span: it gets our attributes, and no second one is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import calls, semconv

__all__ = ["SCOPES", "complete", "enriched", "linked"]

SCOPES = frozenset(
    "opentelemetry.instrumentation." + name
    for name in (
        "aiohttp_client",
        "botocore",
        "httpx",
        "requests",
        "tornado",
        "urllib",
        "urllib3",
    )
)

_PREFIX = semconv.RESPONSE_HEADER_PREFIX
_STATUSES = (semconv.HTTP_STATUS, "http.status_code")


def linked(call: calls.OpenCall, taken: calls.Attempt | None) -> calls.Attempt | None:
    """The attempt of `call` that a span which starts now is of, if it is of one.

    The recorder appends an attempt before its request, and none for requests that are not the
    call's own, such as fetching a token. `taken` is the attempt that got its span already.
    """
    if not call.attempts:
        return None
    last = call.attempts[-1]
    return last if last is not taken and last.span is None and not last.end_ns else None


def complete(attempt: calls.Attempt, span: Mapping[str, Any], end_ns: int) -> None:
    """Learn from the span what the recorder did not see: status, error, response headers."""
    own = attempt.attributes
    attempt.end_ns = attempt.end_ns or end_ns
    if semconv.HTTP_STATUS not in own:
        for name in _STATUSES:
            if isinstance(span.get(name), int):
                own[semconv.HTTP_STATUS] = span[name]
                break
        else:
            if semconv.ERROR_TYPE in span:
                own.setdefault(semconv.ERROR_TYPE, span[semconv.ERROR_TYPE])
    if semconv.SERVER_ADDRESS in span:
        own.setdefault(semconv.SERVER_ADDRESS, span[semconv.SERVER_ADDRESS])
    known = {_dashed(name) for name in own if name.startswith(_PREFIX)}
    for name, value in span.items():
        if name.startswith(_PREFIX) and _dashed(name) not in known:
            first = value[0] if isinstance(value, (list, tuple)) and value else value
            if isinstance(first, str):
                own[_dashed(name)] = first[:512]


def enriched(span: Mapping[str, Any], attempt: calls.Attempt) -> dict[str, Any]:
    """Attributes of the span with those of its attempt; a header that it has is not doubled."""
    found = dict(span)
    known = {_dashed(name) for name in span if name.startswith(_PREFIX)}
    for name, value in attempt.attributes.items():
        if name not in found and _dashed(name) not in known:
            found[name] = value
    return found


def _dashed(name: str) -> str:
    """A header attribute in one spelling: both `_` and `-` are written for the same header."""
    return _PREFIX + name[len(_PREFIX) :].replace("_", "-").lower()
