"""How many requests of a call reached a model, as far as its HTTP attempts tell.

A direct call is counted exactly; through a gateway the count is a lower bound, because gateways
count only what their last group of deployments did and nothing at all when they fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollspan import semconv

from .blame import well
from .gateways import FINGERPRINT_ATTRIBUTES, HOSTS, MARKS, Receipt, headers, receipts

__all__ = ["Reached", "reached_by", "status_of", "transport_error", "unsent"]

Attributes = Mapping[str, Any]


@dataclass(slots=True)
class Reached:
    """How many requests reached a model, counted over the attempts of the SDK."""

    count: int = 0
    exact: bool = True
    passed: Sequence[Receipt] = ()
    """Receipts on the last attempt, outermost gateway first."""
    marked: bool = False
    """A provider behind the gateways left its mark on the last attempt."""
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
    by_host = host in HOSTS
    winner = len(attempts) - 1
    counts: list[tuple[int, bool]] = []
    for number, attempt in enumerate(attempts):
        status = status_of(attempt)
        if status is None:
            counts.append(_without_status(attempt))
            continue
        if not by_host and FINGERPRINT_ATTRIBUTES.isdisjoint(attempt):
            known = status < 400 or _of_provider(host) or not MARKS.isdisjoint(headers(attempt))
            counts.append((1, True) if known else (0, False))
            continue
        stated = headers(attempt)
        passed, marked = receipts(stated, call, status < 400, host)
        if not passed:  # only a gateway behind left its headers: nothing to say of this one
            counts.append((1, False))
            continue
        found.gateway = found.gateway or passed[0].name
        if any(each.cache_hit for each in passed):
            counts.append((0, True))
        elif status < 400:
            # Each gateway counts what it sent to the next; only the last one asked models.
            counts.append((max(1, passed[-1].requests), False))
        elif number == winner and (stage := call.get(semconv.BLOCKED_STAGE)) is not None:
            counts.append((0, True) if stage == "before" else (1, False))
        else:
            counts.append((1 if marked else 0, False))
        if number == winner:
            found.passed, found.marked = passed, marked
    if found.gateway is None and by_host:
        found.passed, _ = receipts({}, call, well(call), host)
        found.gateway = found.passed[0].name
    for count, exact in counts:
        # Behind a gateway an answer without its headers may be the gateway's own.
        if found.gateway is not None and exact and count:
            count, exact = 0, False
        found.count += count
        found.exact = found.exact and exact
    return found


def _without_status(attempt: Attributes) -> tuple[int, bool]:
    error = transport_error(attempt)
    if error is None:
        return 0, False
    if unsent(error):
        return 0, True
    return (1, True) if error in _WAITED else (0, False)


_PROVIDERS = (
    ".anthropic.com",
    ".openai.com",
    ".openai.azure.com",
    ".amazonaws.com",
    ".googleapis.com",
    ".mistral.ai",
    ".groq.com",
    ".cohere.com",
    ".deepseek.com",
    ".x.ai",
    ".together.xyz",
    ".perplexity.ai",
    ".fireworks.ai",
    ".cognitiveservices.azure.com",
)


def _of_provider(host: Any) -> bool:
    return isinstance(host, str) and host.endswith(_PROVIDERS)
