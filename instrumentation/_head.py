"""What the head of a response says of the attempt that it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollspan import semconv
from tollspan.calls import Attempt

from . import _headers
from ._hosts import provider_at

__all__ = ["told"]


def told(
    headers: Iterable[_headers.Row], asked: Mapping[str, str], head_ns: int, attempt: Attempt
) -> Mapping[str, Any]:
    """What the headers of a response say, and what follows from them.

    Args:
        headers: of the response.
        asked: headers of the request.
        head_ns: when they came, in nanoseconds since the epoch.
    """
    found = _headers.kept(headers)
    if _headers.TELLING.isdisjoint(found):
        return found
    facts: dict[str, Any] = {**found}
    wait_s = _headers.retry_after_s(found, head_ns / 1e9)
    if wait_s is not None:
        facts[semconv.RETRY_AFTER] = wait_s
    if ".targets[" in found.get(_headers.PORTKEY_INDEX, ""):
        from ._gateway_facts import strategy

        chosen = strategy(asked.get("x-portkey-config"), found[_headers.PORTKEY_INDEX])
        if chosen is not None:
            facts[semconv.GATEWAY_STRATEGY] = chosen
    host = str(attempt.attributes.get(semconv.SERVER_ADDRESS))
    # Providers stand behind Envoy and Kong themselves: that is no hop.
    if not _headers.STATE_THEIR_TIME.isdisjoint(found) and provider_at(host) is None:
        facts[semconv.ATTEMPT_HEAD_MS] = (head_ns - attempt.start_ns) / 1e6
    return facts
