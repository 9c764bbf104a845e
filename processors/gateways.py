"""What gateways write on their answers: a table of rules, one row per gateway.

A row says how a gateway is recognised and reads what its headers state. Values are declared by
whoever answered: they are facts about a path, never a ground for trust. Headers of LiteLLM:
https://docs.litellm.ai/docs/proxy/response_headers, of Portkey:
https://portkey.ai/docs/api-reference/inference-api/response-schema
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from tollspan import semconv

from .models import provider_name, split

__all__ = ["RULES", "Receipt", "Rule", "headers", "receipts", "usd"]

Headers = Mapping[str, str]

_PREFIX = semconv.RESPONSE_HEADER_PREFIX
_BEHIND = "llm-provider-"
"""LiteLLM puts this before the name of each header that it received: one hop further in."""

_DEAREST = Decimal(1_000_000)
"""USD: a single call that costs more is a mistake, and would not fit the ledger."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one gateway says of itself and of the request that it carried. None is not stated."""

    name: str
    request_id: str | None = None
    version: str | None = None
    routed: str | None = None
    """Group or alias that answered."""
    deployment: str | None = None
    served: str | None = None
    """`provider/model` that it asked."""
    router: str | None = None
    """Kind of the router inside it that chose the model."""
    requests: int = 0
    """Requests that it sent onwards, at least."""
    fallback: bool | None = None
    cache_hit: bool = False
    reported: Decimal | None = None
    """USD."""
    overhead_ms: float | None = None
    rewrites_model: bool = False
    """The `model` of the answer's body may be the alias that was asked for."""
    sells_as: str | None = None
    """Provider name to price with, where the gateway itself sends the bill."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One gateway: the headers (any of them) or hosts that it is known by, and its reader."""

    name: str
    headers: frozenset[str]
    read: Callable[[Headers, Mapping[str, Any], bool], Receipt]
    """(headers at its depth, the call's attributes, whether it answered well) to its receipt."""
    hosts: frozenset[str] = frozenset()


def headers(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Response headers on an attempt by lower-case name with dashes.

    Two spellings exist: ours keeps the dashes, the HTTP instrumentation of OpenTelemetry writes
    underscores and lists.
    """
    found: dict[str, str] = {}
    for name, value in attributes.items():
        if name.startswith(_PREFIX):
            if not isinstance(value, str):
                value = value[0] if isinstance(value, (list, tuple)) and value else None
                if not isinstance(value, str):
                    continue
            found[name[len(_PREFIX) :].replace("_", "-").lower()] = value[:512]
    return found


MARKS = frozenset(
    {
        "apim-request-id",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "x-amzn-requestid",
        "x-groq-region",
        "x-ms-region",
        "x-request-id",
    }
)
"""What providers put on their answers, errors included, and gateways only pass on."""


def receipts(
    found: Headers, call: Mapping[str, Any], answered: bool, host: Any = None
) -> tuple[list[Receipt], bool]:
    """Receipts of the gateways that an answer passed, outermost first, and whether a provider
    behind them left its mark.

    Args:
        found: `headers(...)` of the attempt.
        call: attributes of the call: what its body says.
        answered: the status was a success.
        host: `server.address` that the application asked.
    """
    passed: list[Receipt] = []
    level: Headers = found
    for depth in range(8):
        inner = {n[len(_BEHIND) :]: value for n, value in level.items() if n.startswith(_BEHIND)}
        for rule in RULES:
            if not rule.headers.isdisjoint(level) or (depth == 0 and host in rule.hosts):
                passed.append(rule.read(level, call, answered))
        if not inner:
            break
        level = inner
    marked = not MARKS.isdisjoint(level) if level is not found else "request-id" in found
    return passed, marked


def usd(value: Any) -> Decimal | None:
    """An amount that somebody states: finite, not negative, not absurd; else None."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        amount = Decimal(value if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < _DEAREST else None


def _count(value: str | None) -> int:
    """A count of a few; what is absent, negative or absurd counts as 0, so sums stay bounds."""
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 4 else 0


def _text(value: str | None) -> str | None:
    return value[:128] if value and value.isprintable() else None


def _milliseconds(value: str | None) -> float | None:
    try:
        found = float(value or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and 0 <= found < 86_400_000 else None


def _litellm(found: Headers, call: Mapping[str, Any], answered: bool) -> Receipt:
    retries = _count(found.get("x-litellm-attempted-retries"))
    fallbacks = _count(found.get("x-litellm-attempted-fallbacks"))
    # Present only on a hit, where the answer still states the full price.
    hit = "x-litellm-cache-key" in found
    model = _text(found.get("x-litellm-model-name"))
    # On a stream it is absent and its parts are 0.0; on an error it is 0 whatever was billed; 0 on
    # an answer says that LiteLLM has no price for the model.
    reported = usd(found.get("x-litellm-response-cost")) if answered else None
    once = retries == fallbacks == 0 and "x-litellm-attempted-retries" in found
    return Receipt(
        name="litellm",
        request_id=_text(found.get("x-litellm-call-id")),
        version=_text(found.get("x-litellm-version")),
        routed=_text(found.get("x-litellm-model-group")),
        deployment=_text(found.get("x-litellm-model-id")),
        served=_named(model) if model and not model.startswith("litellm_proxy/") else None,
        router=next((name for mark, name in _ROUTERS.items() if _any(found, mark)), None),
        requests=0 if hit or not answered else 1 + retries + fallbacks,
        fallback=fallbacks > 0 if "x-litellm-attempted-fallbacks" in found else None,
        cache_hit=hit,
        reported=reported or None,
        # With retries or fallbacks it counts back-off, or only the last attempt, by the route.
        overhead_ms=_milliseconds(found.get("x-litellm-overhead-duration-ms"))
        if once and not hit
        else None,
        rewrites_model=True,
    )


_ROUTERS = {
    "x-litellm-complexity-router-": "complexity-router",
    "x-litellm-quality-router-": "quality-router",
    "x-litellm-adaptive-router-": "adaptive-router",
}


def _any(found: Headers, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in found)


def _named(model: str) -> str:
    """LiteLLM's `bedrock/…` with the provider as the conventions name it."""
    provider, bare = split(model)
    return f"{provider_name(provider)}/{bare}" if provider else model


def _portkey(found: Headers, call: Mapping[str, Any], answered: bool) -> Receipt:
    cached = found.get("x-portkey-cache-status", "").upper() in ("HIT", "SEMANTIC HIT")
    # The index names a target, but not why it was chosen: fallback, balance and condition alike.
    return Receipt(
        name="portkey",
        request_id=_text(found.get("x-portkey-trace-id")),
        routed=_text(found.get("x-portkey-last-used-option-index")),
        requests=0
        if cached or not answered
        else 1 + _count(found.get("x-portkey-retry-attempt-count")),
        cache_hit=cached,
    )


def _openrouter(found: Headers, call: Mapping[str, Any], answered: bool) -> Receipt:
    return Receipt(
        name="openrouter",
        request_id=_text(found.get("x-generation-id")),
        routed=_text(call.get(semconv.RESPONSE_PROVIDER)),
        requests=1 if answered else 0,
        cache_hit=found.get("x-openrouter-cache-status", "").upper() == "HIT",
        sells_as="openrouter",
    )


RULES: tuple[Rule, ...] = (
    # Outermost first where two leave their headers at one depth: Portkey passes on what it gets,
    # LiteLLM never does, so beside LiteLLM's own headers Portkey's are those of an outer proxy.
    Rule(
        "portkey",
        frozenset({"x-portkey-last-used-option-index", "x-portkey-provider"}),
        _portkey,
    ),
    Rule(
        "litellm",
        frozenset({"x-litellm-call-id", "x-litellm-version", "x-litellm-model-id"}),
        _litellm,
    ),
    Rule(
        "openrouter",
        frozenset({"x-openrouter-cache-status"}),
        _openrouter,
        hosts=frozenset({"openrouter.ai", "api.openrouter.ai"}),
    ),
)

FINGERPRINTS = frozenset().union(*(rule.headers for rule in RULES))
FINGERPRINT_ATTRIBUTES = frozenset(
    _PREFIX + spelled for name in FINGERPRINTS for spelled in (name, name.replace("-", "_"))
)
"""The same as they stand on an attempt; most attempts have none, which this tells fast."""

HOSTS = frozenset().union(*(rule.hosts for rule in RULES))
