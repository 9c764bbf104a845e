"""What one gateway says of a request that it carried, and how a rule reads that.

Values are declared by whoever answered: facts about a path, never a ground for trust.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from tollspan import semconv

from .models import provider_name, split

__all__ = [
    "PROVIDER_MARKS",
    "Receipt",
    "Rule",
    "Said",
    "count",
    "first",
    "milliseconds",
    "named",
    "stated",
    "text",
    "usd",
]

Headers = Mapping[str, str]

PROVIDER_MARKS = frozenset(
    {
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-limit",
        "apim-request-id",
        "openai-processing-ms",
        "openai-version",
        "x-amzn-requestid",
        "x-groq-region",
        "x-ms-region",
    }
)
"""What only providers put on their answers, errors included, and gateways pass on."""

_DEAREST = Decimal(1_000_000)
"""USD: a single call that costs more is a mistake, and would not fit the ledger."""


_LONGEST_NUMBER = 64
"""Characters of a number; what is longer is hostile, and slow to read."""


class Said(NamedTuple):
    """All that one answer says to the rule of one gateway."""

    headers: Headers
    """At the gateway's depth: lower-case names with dashes."""
    call: Mapping[str, Any]
    """Attributes of the call; of an attempt that was not the last, only what was asked for."""
    attempt: Mapping[str, Any]
    answered: bool
    """The status was a success."""
    marked: bool
    """A provider behind this gateway left its mark."""


@dataclass(slots=True)
class Receipt:
    """What one gateway says of itself and of the request that it carried. None is not stated."""

    name: str
    role: str = "proxy"
    """`proxy`, or `router` for one that chose the model."""
    router: str | None = None
    """Kind of a router inside it that chose the model: a hop of its own."""
    request_id: str | None = None
    version: str | None = None
    routed: str | None = None
    """Group or alias that answered."""
    deployment: str | None = None
    served: str | None = None
    """`provider/model` that it asked, or the model alone."""
    provider: str | None = None
    """Whom it asked, where it names the model elsewhere or not at all."""
    rewrites_model: bool = False
    """The `model` of the answer's body may be the alias that was asked for, or that answered."""
    names_models: bool = True
    """If not, the `model` of the answer's body is never a provider's."""
    requests: int = 0
    """Requests that it sent onwards, at least; 0 on an error is not stated."""
    exact: bool = False
    """`requests` is all of them."""
    fallback: bool | None = None
    cache_hit: bool = False
    answered_itself: bool = False
    """It is certain that this gateway asked nobody: neither a model nor the next gateway."""
    blocked: bool = False
    """A guardrail of its stopped the prompt."""
    reported: Decimal | None = None
    """USD, before margin and discount."""
    charged: Decimal | None = None
    """USD after them, where there are some."""
    extra: Decimal | None = None
    """USD for calls of its own, beside both."""
    extra_reason: str | None = None
    untrusted: bool = False
    """It alters or guesses token counts."""
    overhead_ms: float | None = None
    """What it says that it added."""
    upstream_ms: float | None = None
    """What it says that it waited for others."""
    sells_as: str | None = None
    """Provider name to price with, where the gateway itself sends the bill."""
    inferred: bool = False
    """Nothing names it: something that is no provider stands there."""
    order_known: bool = True


class Rule(NamedTuple):
    """One gateway: what it is known by (any of it is enough), its reader, and words for people."""

    name: str
    read: Callable[[Said], Receipt | None]
    """None says that it was another's header after all."""
    headers: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    known: Callable[[Mapping[str, Any]], bool] | None = None
    """Whether the attributes of the call show it: models and facts out of the body."""
    passes_on: bool = True
    """Headers of what stands behind it reach its client; if not, it is the inner one of two."""
    marks: frozenset[str] = PROVIDER_MARKS
    """Headers at its own depth that prove that a provider answered behind it."""
    weak: bool = False
    """Providers use the same product: it says nothing at a host that is known to be one, nor
    beside or behind another gateway."""
    tells: str = ""
    hides: str = ""
    switch_on: str = ""
    level: str = ""
    """How we know: `ran`, `source` or `documents`."""


def usd(value: Any) -> Decimal | None:
    """An amount that somebody states: finite, not negative, not absurd; else None."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    spelled = value if isinstance(value, str) else repr(value)
    if len(spelled) > _LONGEST_NUMBER:
        return None
    try:
        amount = Decimal(spelled)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < _DEAREST else None


def count(value: Any) -> int:
    """A count of a few; what is absent, negative or absurd counts as 0, so sums stay bounds."""
    if type(value) is int:
        return value if 0 <= value < 1000 else 0
    if not isinstance(value, str) or not value.isascii():
        return 0
    return int(value) if value.isdigit() and len(value) < 4 else 0


def text(value: Any) -> str | None:
    return value[:128] if isinstance(value, str) and value and value.isprintable() else None


def first(headers: Headers, *names: str) -> str | None:
    """The first of the headers by these names that says something."""
    return next((found for name in names if (found := text(headers.get(name)))), None)


def milliseconds(value: str | None) -> float | None:
    if not value or len(value) > _LONGEST_NUMBER:
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) and 0 <= found < 86_400_000 else None


@lru_cache(maxsize=4096)
def named(model: str | None) -> str | None:
    """A gateway's `bedrock/…` with the provider as the conventions name it."""
    if not model:
        return None
    provider, bare = split(model)
    return f"{provider_name(provider)}/{bare}" if provider else model


def stated(name: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether the body of the call's answer or error shows the gateway `name`."""
    return lambda call: bool(call.get(semconv.GATEWAY_STATED) == name)
