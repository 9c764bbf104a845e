"""How many requests of a call reached a model, as far as its HTTP attempts tell.

A direct call is counted exactly; through a gateway the count is a lower bound, because gateways
count only what their last group of deployments did and nothing at all when they fail. The few that
list every attempt make it exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollspan import semconv

from .blame import well
from .direct import is_provider
from .gateways import (
    FINGERPRINT_ATTRIBUTES,
    HOSTS,
    MARKS,
    Passed,
    doubtful,
    headers,
    may_show,
    passed,
)

__all__ = ["Reached", "reached_by", "status_of", "transport_error", "unsent"]

Attributes = Mapping[str, Any]
_NONE = Passed()


@dataclass(slots=True)
class Reached:
    """How many requests reached a model, counted over the attempts of the SDK."""

    count: int = 0
    exact: bool = True
    hidden: int = 0
    """Of them, those beyond one for each attempt of the SDK."""
    passed: Passed = _NONE
    """Receipts on the last attempt, outermost gateway first."""
    gateway: str | None = None
    """Name of the outermost gateway that any attempt passed."""


_UNSENT = ("Connect", "Pool", "ClientConnector", "UnsupportedProtocol", "InvalidURL", "ProxyError")
_WAITED = frozenset({"ReadTimeout", "SocketTimeoutError", "ServerTimeoutError", "TimeoutError"})


def status_of(attempt: Attributes) -> int | None:
    """The HTTP status of an attempt; None where none came."""
    status = attempt.get(semconv.HTTP_STATUS)
    return status if isinstance(status, int) else None


def transport_error(attempt: Attributes) -> str | None:
    """Class name of the error that ended an attempt without a status, or None."""
    if status_of(attempt) is not None:
        return None
    error = attempt.get(semconv.ERROR_TYPE)
    return error.rpartition(".")[2] if isinstance(error, str) else None


def unsent(error: str) -> bool:
    """Whether a transport error by this name means that no request left."""
    return error.startswith(_UNSENT) or error in ("gaierror", "ConnectionRefusedError")


def reached_by(call: Attributes, attempts: Sequence[Attributes]) -> Reached:
    found = Reached()
    host = call.get(semconv.SERVER_ADDRESS)
    if host is None and attempts:
        host = attempts[-1].get(semconv.SERVER_ADDRESS)
    if not isinstance(host, str):
        host = None
    last = len(attempts) - 1
    counts: list[tuple[int, bool]] = []
    direct: list[int] = []
    answered = False
    for number, attempt in enumerate(attempts):
        status = status_of(attempt)
        answered = answered or status is not None
        if status is None:
            direct.append(number)
            counts.append(_without_status(attempt))
            continue
        way = _way(call, attempt, host, answered=status < 400, last=number == last)
        if not way:
            direct.append(number)
            known = status < 400 or _of_provider(host) or not MARKS.isdisjoint(headers(attempt)[0])
            counts.append((1, True) if known else (0, False))
            continue
        found.gateway = found.gateway or way[0].name
        stage = call.get(semconv.BLOCKED_STAGE) if number == last and status >= 400 else None
        counts.append(_through(way, stage, answered=status < 400))
        if number == last:
            found.passed = way
    if len(direct) == len(attempts) and not answered and _may_be_through(call, attempts, host):
        found.passed = passed({}, call, answered=well(call), host=host)
        found.gateway = found.passed[0].name if found.passed else None
    if found.gateway is not None:
        # Behind a gateway an answer without its headers may be the gateway's own.
        for number in direct:
            if counts[number] == (1, True):
                counts[number] = (0, False)
    elif doubtful(host, call):
        found.exact = False  # what answers there may ask others, and leave no trace of it
    for count, exact in counts:
        found.count += count
        found.exact = found.exact and exact
        found.hidden += max(0, count - 1)
    return found


def _way(
    call: Attributes, attempt: Attributes, host: str | None, *, answered: bool, last: bool
) -> Passed:
    """The gateways that an attempt passed; what a body says, it says of the last one only."""
    known = call if last else {name: call[name] for name in _ASKED if name in call}
    if (
        FINGERPRINT_ATTRIBUTES.isdisjoint(attempt)
        and host not in HOSTS
        and not may_show(known)
        and not doubtful(host, known)
    ):
        return _NONE
    return passed(attempt, known, answered=answered, host=host)


def _may_be_through(call: Attributes, attempts: Sequence[Attributes], host: str | None) -> bool:
    """Of a call without any answer: there are no headers, but its host or its model may tell."""
    return not attempts or host in HOSTS or may_show(call)


_ASKED = (semconv.REQUEST_MODEL, semconv.REQUEST_STREAM, semconv.PROVIDER)


def _through(way: Passed, stage: Any, *, answered: bool) -> tuple[int, bool]:
    """Requests behind the gateways of one attempt, and whether that is exact."""
    first, inner = way[0], way[-1]
    if first.cache_hit or first.answered_itself or stage == "before":
        return 0, True
    if any(each.cache_hit or each.answered_itself for each in way):
        return 0, False
    if stage is not None:
        return 1, False
    # Each gateway counts what it sent to the next; only the last one asked models.
    requests = inner.requests if inner.order_known else min(each.requests for each in way)
    if inner.exact and all(each.exact and each.requests == 1 for each in way[:-1]):
        return requests, True
    least = 1 if answered or way.marked else 0
    return max(least, requests), False


def _without_status(attempt: Attributes) -> tuple[int, bool]:
    error = transport_error(attempt)
    if error is None:
        return 0, False
    if unsent(error):
        return 0, True
    return (1, True) if error in _WAITED else (0, False)


def _of_provider(host: str | None) -> bool:
    return host is not None and is_provider(host)
