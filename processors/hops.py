"""The path of a call: which proxy, router and model answered, and how often each was asked.

Three counts are never merged: what the SDK sent (exact), what reached a model (with a confidence),
and what a provider did inside itself (never known).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tollspan import semconv

from .blame import blame, well
from .gateways import Receipt
from .hop_spans import End, hop_spans
from .models import label, provider_name, split
from .prices import same_model
from .reach import Reached, reached_by
from .receipt import milliseconds

__all__ = ["Path", "path"]

Attributes = Mapping[str, Any]
_BLOCKED = ("content_filter", "refusal", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST")


@dataclass(slots=True)
class Path:
    """What is known of a call's way: attributes of its span, hops, and what pricing needs."""

    attributes: dict[str, Any] = field(default_factory=dict)
    hops: tuple[Mapping[str, Any], ...] = ()
    """Attributes of each hop span, outermost first; none for a direct call."""
    provider: str = ""
    served: str | None = None
    """Model that a gateway says was served, as `provider/model`."""
    answered: str | None = None
    """Model in the answer's body, where no gateway writes an alias there."""
    reported: Decimal | None = None
    """What a gateway's header says the call cost, in USD, before anybody's margin."""
    charged: Decimal | None = None
    """What the outermost one charges, where that is another amount."""
    extra: Decimal | None = None
    """What gateways spent on calls of their own, in USD, beside both."""
    untrusted: bool = False
    """A gateway alters or guesses the token counts."""
    cache_hit: bool = False
    unreached: bool = False
    """It is certain that no model was asked."""
    through_gateway: bool = False
    overhead_ms: float | None = None
    """What the one gateway added, where that is known."""
    upstream_ms: float | None = None
    """What it waited for others, likewise."""


def path(call: Attributes, attempts: Sequence[Attributes]) -> Path:
    """The way of `call`, from the attributes of the call and of each HTTP attempt, in order."""
    get = call.get
    provider = provider_name(str(get(semconv.PROVIDER) or "unknown"))
    requested, answered = get(semconv.REQUEST_MODEL), get(semconv.RESPONSE_MODEL)
    requested = requested if isinstance(requested, str) else None
    answered = answered if isinstance(answered, str) else None
    reached = reached_by(call, attempts)
    if reached.gateway is None:
        found = Path(provider=provider, answered=answered)
        _direct(found, provider, requested, answered)
    else:
        found = _through(call, attempts, reached, provider, requested, answered)
    found.unreached = found.unreached or get(semconv.BLOCKED_STAGE) == "before"
    own = found.attributes
    if attempts:
        _count(own, reached)
    elif well(call):
        own[semconv.UPSTREAM_ATTEMPTS] = 0 if found.unreached else 1
        own[semconv.UPSTREAM_CONFIDENCE] = "at_least"
    else:
        own[semconv.UPSTREAM_CONFIDENCE] = "unknown"
    if semconv.BLOCKED_BY not in call and semconv.BLOCKED_BY not in own:
        reasons = get(semconv.FINISH_REASONS)
        if isinstance(reasons, (list, tuple)) and any(each in _BLOCKED for each in reasons):
            own[semconv.BLOCKED_BY] = "model"
    if get(semconv.STATUS) != "success" or semconv.BLOCKED_BY in own:
        _blame(own, call, attempts, reached)
    return found


def _count(own: dict[str, Any], reached: Reached) -> None:
    own[semconv.UPSTREAM_ATTEMPTS] = reached.count
    own[semconv.UPSTREAM_CONFIDENCE] = "exact" if reached.exact else "at_least"
    if reached.count > 1:
        own[semconv.RETRY_AMPLIFICATION] = float(reached.count)
    if reached.hidden or (reached.exact and reached.gateway is not None):
        own[semconv.HIDDEN_ATTEMPTS] = reached.hidden


def _blame(
    own: dict[str, Any], call: Attributes, attempts: Sequence[Attributes], reached: Reached
) -> None:
    if semconv.BLOCKED_BY in own:
        call = {**call, semconv.BLOCKED_BY: own[semconv.BLOCKED_BY]}
    blamed = blame(
        call,
        attempts,
        through_gateway=reached.gateway is not None,
        marked=reached.passed.marked,
        itself=any(each.answered_itself for each in reached.passed),
    )
    if blamed is not None:
        own[semconv.BLAME], own[semconv.BLAME_EVIDENCE] = blamed


def _direct(found: Path, provider: str, requested: Any, answered: Any) -> None:
    own = found.attributes
    own[semconv.ROUTE], swapped = _directly(provider, requested, answered)
    own[semconv.HOP_COUNT] = 1
    if answered:
        own[semconv.MODEL_SERVED] = answered
        if swapped is not None:
            own[semconv.MODEL_SWAPPED] = swapped


@lru_cache(maxsize=4096)
def _directly(provider: str, requested: Any, answered: Any) -> tuple[str, bool | None]:
    """Route and swap of a direct call; the same few over and over, hence the cache."""
    model = answered or requested
    maker, bare = split(model) if model else (None, None)
    if maker == provider:  # LiteLLM's way to ask for it
        model = bare
    route = f"{label(provider)}/{label(model)}" if model else label(provider)
    # On Azure the request names a deployment.
    if not answered or not requested or provider == "azure.ai.openai":
        return route, None
    same = same_model(provider, requested, answered)
    return route, None if same is None else not same


def _through(
    call: Attributes,
    attempts: Sequence[Attributes],
    reached: Reached,
    provider: str,
    requested: Any,
    answered: Any,
) -> Path:
    passed = reached.passed
    served, maker = _served(reached)
    if answered and not _is_of_model(answered, requested, passed):
        answered = None
    found = Path(provider=maker or provider, served=served, answered=answered, through_gateway=True)
    own = found.attributes
    for each in passed:
        _add(found, each)
    hit = found.cache_hit
    found.unreached = hit or (reached.exact and not reached.count and _is_own(passed))
    _add_money(found, passed)
    _add_times(found, passed, attempts)
    final = served or (answered if well(call) else None)
    end: End | None = None
    if final:
        maker, bare, part = _named(final, maker)
        end = ("model", part, bare)
        own[semconv.MODEL_SERVED] = bare
        _swap(own, requested, maker or provider, bare)
    if final or hit:
        own[semconv.CACHE_HIT] = hit
    if semconv.BLOCKED_BY in own or call.get(semconv.BLOCKED_BY) == "proxy":
        end = ("guardrail", "guardrail", None)
    elif hit:
        end = ("cache", "cache", None)
    found.hops = tuple(hop_spans(reached, end, maker, found.overhead_ms))
    own[semconv.ROUTE] = " > ".join(hop[semconv.HOP_NAME] for hop in found.hops)
    own[semconv.HOP_COUNT] = len(found.hops)
    return found


@lru_cache(maxsize=4096)
def _named(final: str, maker: str | None) -> tuple[str | None, str, str]:
    """Maker and bare name of a model, and how a route names it."""
    stated, bare = split(final)
    maker = stated or maker
    return maker, bare, f"{label(maker)}/{label(bare)}" if maker else label(bare)


def _add(found: Path, receipt: Receipt) -> None:
    """What one gateway says, where none before it, further out, has said it."""
    own = found.attributes
    if receipt.routed:
        own.setdefault(semconv.MODEL_ROUTED, receipt.routed)
    if receipt.deployment:
        own.setdefault(semconv.MODEL_DEPLOYMENT, receipt.deployment)
    if receipt.fallback is not None:
        own[semconv.FALLBACK] = own.get(semconv.FALLBACK, False) or receipt.fallback
    if receipt.cache_hit:
        found.cache_hit = True
    if receipt.sells_as:
        found.provider = receipt.sells_as
    if receipt.untrusted:
        found.untrusted = own[semconv.USAGE_UNTRUSTED] = True
    if receipt.blocked:
        own[semconv.BLOCKED_BY], own[semconv.BLOCKED_STAGE] = "proxy", "before"
        own[semconv.STATUS] = "blocked"
    if receipt.extra:
        found.extra = (found.extra or Decimal(0)) + receipt.extra
        own[semconv.COST_EXTRA] = float(found.extra)
        if receipt.extra_reason:
            own.setdefault(semconv.COST_EXTRA_REASON, receipt.extra_reason)


def _is_own(passed: Sequence[Receipt]) -> bool:
    """Whether the outermost gateway says that it asked nobody."""
    return bool(passed) and passed[0].answered_itself


def _served(reached: Reached) -> tuple[str | None, str | None]:
    """Model and provider that the innermost gateway says it asked; an outer one knows only its own
    wish."""
    if not reached.passed:
        return None, None
    inner = reached.passed[-1]
    if not inner.order_known:
        return None, None
    return inner.served, provider_name(inner.provider) if inner.provider else None


def _is_of_model(answered: str, requested: Any, passed: Sequence[Receipt]) -> bool:
    """Whether the model that the body names can be a provider's own word for it."""
    for each in passed:
        if not each.names_models:
            return False
        if each.rewrites_model and answered in (requested, each.routed):
            return False
    return True


def _add_money(found: Path, passed: Sequence[Receipt]) -> None:
    """What the innermost one reports is the provider's price; what the outermost one asks is paid."""
    stated = [each for each in passed if each.reported is not None]
    if stated:
        outer, inner = stated[0], stated[-1]
        found.reported = inner.reported
        asked = outer.charged if outer.charged is not None else outer.reported
        if asked != found.reported:
            found.charged = asked
            found.attributes[semconv.COST_CHARGED] = float(asked or 0)


def _add_times(found: Path, passed: Sequence[Receipt], attempts: Sequence[Attributes]) -> None:
    """What a gateway added is what we waited less what it waited, if it is the only one."""
    if len(passed) != 1:
        return
    found.overhead_ms, found.upstream_ms = passed[0].overhead_ms, passed[0].upstream_ms
    head = attempts[-1].get(semconv.ATTEMPT_HEAD_MS) if attempts else None
    if found.upstream_ms is not None and isinstance(head, (int, float)):
        added = milliseconds(str(head - found.upstream_ms))
        found.overhead_ms = None if added is None else round(added, 3)


def _swap(own: dict[str, Any], requested: Any, provider: str, served: str) -> None:
    """An alias of a gateway stands for no model: what it should have been is not known."""
    if not requested:
        return
    maker, bare = split(requested)
    same = bare == served or same_model(maker or provider, bare, served)
    if same is not None:
        own[semconv.MODEL_SWAPPED] = not same
