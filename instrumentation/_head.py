"""What the head of a response says of the attempt that it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from tollspan import semconv
from tollspan.calls import Attempt

from . import _headers
from ._hosts import provider_at

__all__ = ["Headers", "picked", "told"]

Headers = Callable[[], "Iterable[_headers.Row]"]
"""Gives the headers of a response, and holds on to nothing else of it."""


def picked(headers: Headers) -> Callable[[Attempt], Mapping[str, Any]] | None:
    """What reads the headers of a response later, of which it holds nothing but what may stay;
    None where more follows from them than what they say (`told`)."""
    found = _headers.pick(headers())
    return partial(_read, found) if _TELLING.isdisjoint(found[0].names) else None


def _read(found: _headers.Picked, _: Attempt) -> Mapping[str, Any]:
    return _headers.read(found)


def told(
    headers: Headers, asked: Mapping[str, str], head_ns: int, attempt: Attempt
) -> Mapping[str, Any]:
    """What the headers of a response say, and what follows from them.

    Args:
        headers: of the response.
        asked: headers of the request.
        head_ns: when they came, in nanoseconds since the epoch.
    """
    found = _headers.kept(headers())
    if _TELLING.isdisjoint(found):
        return found
    facts: dict[str, Any] = {**found}
    wait_s = _headers.retry_after_s(found, head_ns / 1e9)
    if wait_s is not None:
        facts[semconv.RETRY_AFTER] = wait_s
    if ".targets[" in found.get(_PORTKEY_INDEX, ""):
        from ._gateway_facts import strategy

        chosen = strategy(asked.get("x-portkey-config"), found[_PORTKEY_INDEX])
        if chosen is not None:
            facts[semconv.GATEWAY_STRATEGY] = chosen
    host = str(attempt.attributes.get(semconv.SERVER_ADDRESS))
    # Providers stand behind Envoy and Kong themselves: that is no hop.
    if not _STATE_THEIR_TIME.isdisjoint(found) and provider_at(host) is None:
        facts[semconv.ATTEMPT_HEAD_MS] = (head_ns - attempt.start_ns) / 1e6
    return facts


_PORTKEY_INDEX = semconv.RESPONSE_HEADER_PREFIX + "x-portkey-last-used-option-index"
_STATE_THEIR_TIME = frozenset(
    semconv.RESPONSE_HEADER_PREFIX + name
    for name in (
        "x-bifrost-upstream-latency-ms",
        "x-envoy-upstream-service-time",
        "x-kong-upstream-latency",
    )
)
"""What these gateways waited for others: the rest of our wait is theirs."""
_TELLING = _STATE_THEIR_TIME | {_PORTKEY_INDEX, *_headers.RETRY_AFTER}
