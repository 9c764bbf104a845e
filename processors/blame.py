"""Whose fault it is that a call did not end well, or took too long, and what shows it.

`app`, `network`, `proxy` or `provider`. Where nothing shows it, nobody is blamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollspan import semconv

__all__ = ["Blame", "blame", "blame_for_delay", "well"]

Attributes = Mapping[str, Any]


class Blame(NamedTuple):
    """Who, and why: values of `tollspan.blame` and `tollspan.blame.evidence`."""

    who: str
    evidence: str


def well(call: Attributes) -> bool:
    """Whether the call ended as it should; spans of others state no `tollspan.status`."""
    status = call.get(semconv.STATUS)
    return status == "success" or (status is None and semconv.ERROR_TYPE not in call)


def blame(
    call: Attributes,
    attempts: Sequence[Attributes],
    *,
    through_gateway: bool = False,
    marked: bool = False,
    itself: bool = False,
) -> Blame | None:
    """Who is to blame for a call that did not end well.

    Args:
        through_gateway: a gateway answered.
        marked: a provider behind it left its mark, or the gateway says what that one answered.
        itself: the gateway says that the answer is its own.
    """
    status = call.get(semconv.STATUS)
    if status in ("cancelled", "abandoned"):
        return Blame("app", "caller_left")
    if status == "blocked" or semconv.BLOCKED_BY in call:
        by = call.get(semconv.BLOCKED_BY)
        if by in ("proxy", "app"):
            return Blame(str(by), "guardrail")
        # A filter that stops an answer did not fail; a prompt that it refuses is a bad request.
        return Blame("app", "refused_prompt") if semconv.ERROR_TYPE in call else None
    if well(call):
        return None
    last = attempts[-1] if attempts else {}
    code = last.get(semconv.HTTP_STATUS)
    if not isinstance(code, int):
        error = str(last.get(semconv.ERROR_TYPE) or call.get(semconv.ERROR_TYPE) or "")
        if not (error.isascii() and error.isdigit() and len(error) == 3):
            return _of_transport(error, sent=bool(attempts))
        code = int(error)
    if code < 400:  # the answer began well and broke off, or is an error inside a good answer
        if semconv.ERROR_TYPE in last:
            return Blame("network", "broken_answer")
        return Blame("provider", "error_in_answer")
    if itself:
        return Blame("proxy", "gateway_fault")
    behind = call.get(semconv.GATEWAY_UPSTREAM_STATUS)
    if through_gateway and isinstance(behind, int):
        code = behind
    elif through_gateway and call.get(semconv.GATEWAY_CUT_OFF) is True:
        return Blame("provider", "unreachable")
    elif through_gateway and not marked:
        return _of_gateway(code)
    # A key that the provider refuses is the gateway's, not the application's.
    if through_gateway and code in (401, 403):
        return Blame("proxy", "gateway_key")
    return _of_status(code)


def _of_gateway(code: int) -> Blame:
    """The blame for a status that a gateway gave without a provider behind it."""
    if code in (408, 504):
        return Blame("provider", "upstream_timeout")  # it has waited for somebody
    if code in (401, 403):
        return Blame("app", "bad_key")
    return Blame("proxy", "gateway_answered")


def _of_status(code: int) -> Blame:
    """The blame for a status that a provider itself gave."""
    if code == 429:
        return Blame("provider", "rate_limited")
    if code in (503, 529):
        return Blame("provider", "overloaded")
    if code in (408, 504):
        return Blame("provider", "upstream_timeout")
    if code >= 500:
        return Blame("provider", "server_error")
    return Blame("app", "bad_key" if code in (401, 403) else "bad_request")


def _of_transport(error: str, *, sent: bool) -> Blame | None:
    name = error.rpartition(".")[2]
    if "Connect" in name and "Timeout" not in name:
        return Blame("network", "no_connection")
    if "Timeout" in name:
        return Blame("network", "timeout")
    if name.endswith(("ReadError", "ProtocolError")):
        return Blame("network", "broken_answer")
    return Blame("network", "no_connection") if sent else None


def blame_for_delay(
    call: Attributes,
    attempts: Sequence[Attributes],
    took_ms: float,
    waited_ms: float,
    *,
    through_gateway: bool = False,
    overhead_ms: float | None = None,
    upstream_ms: float | None = None,
) -> Blame | None:
    """Who is to blame for a call that ended well and took long: who held it for half of the time.

    Args:
        took_ms: the whole call.
        waited_ms: before the request that was answered started.
        overhead_ms: what the gateway added, where that is known.
        upstream_ms: what it waited for others, likewise.
    """
    half = took_ms / 2
    if waited_ms >= half and len(attempts) > 1:
        return _of_retry(attempts[-2])
    if overhead_ms is not None and overhead_ms >= half:
        return Blame("proxy", "gateway_slow")
    slow = Blame("provider", "slow_answer")
    if upstream_ms is not None:
        return slow if upstream_ms >= half else None
    if through_gateway:
        return None  # who of them was slow nobody says
    first_s = call.get(semconv.TIME_TO_FIRST_CHUNK)
    if isinstance(first_s, (int, float)):  # a long stream may wait for its reader
        return slow if first_s * 1000 >= half else None
    return slow


def _of_retry(attempt: Attributes) -> Blame:
    code = attempt.get(semconv.HTTP_STATUS)
    if not isinstance(code, int):
        return Blame("network", "retries")
    return Blame(_of_status(code).who if code >= 400 else "network", "retries")
