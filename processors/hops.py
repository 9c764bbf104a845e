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
from .models import label, provider_name, split
from .prices import same_model
from .reach import Reached, reached_by

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
    """What a gateway's header says the call cost, in USD."""
    cache_hit: bool = False
    unreached: bool = False
    """It is certain that no model was asked."""


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
        found = _through(call, reached, provider, requested, answered)
    found.unreached = found.unreached or get(semconv.BLOCKED_STAGE) == "before"
    own = found.attributes
    if attempts:
        own[semconv.UPSTREAM_ATTEMPTS] = reached.count
        own[semconv.UPSTREAM_CONFIDENCE] = "exact" if reached.exact else "at_least"
    elif well(call):
        own[semconv.UPSTREAM_ATTEMPTS] = 0 if found.cache_hit else 1
        own[semconv.UPSTREAM_CONFIDENCE] = "at_least"
    else:
        own[semconv.UPSTREAM_CONFIDENCE] = "unknown"
    if semconv.BLOCKED_BY not in call:
        reasons = get(semconv.FINISH_REASONS)
        if isinstance(reasons, (list, tuple)) and any(each in _BLOCKED for each in reasons):
            own[semconv.BLOCKED_BY] = "model"
    if get(semconv.STATUS) != "success" and (
        blamed := blame(call, attempts, reached.gateway is not None, reached.marked)
    ):
        own[semconv.BLAME] = blamed
    return found


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
    call: Attributes, reached: Reached, provider: str, requested: Any, answered: Any
) -> Path:
    passed = reached.passed
    last = passed[-1] if passed else None
    hit = any(each.cache_hit for each in passed)
    served = last.served if last is not None else None
    rewrites = any(each.rewrites_model for each in passed)
    seller = next((each.sells_as for each in passed if each.sells_as), None)
    if answered == requested and rewrites:
        answered = None
    found = Path(
        provider=seller or provider,
        served=served,
        answered=answered,
        reported=next((each.reported for each in passed if each.reported is not None), None),
        cache_hit=hit,
        unreached=hit,
    )
    own = found.attributes
    final, maker = served or (answered if well(call) else None), None
    if final:
        maker, bare = split(final)
        own[semconv.MODEL_SERVED] = bare
        own[semconv.CACHE_HIT] = hit
        _swap(own, requested, maker or provider, bare)
    for name in ("routed", "deployment"):
        value = next((getattr(each, name) for each in passed if getattr(each, name)), None)
        if value:
            own[_STATED[name]] = value
    fallbacks = [each.fallback for each in passed if each.fallback is not None]
    if fallbacks:
        own[semconv.FALLBACK] = any(fallbacks)
    end: tuple[str, str, str | None] | None
    if call.get(semconv.BLOCKED_BY) == "proxy":
        end = ("guardrail", "guardrail", None)
    elif hit:
        end = ("cache", "cache", None)
    elif final:
        maker, bare = split(final)
        named = f"{label(maker)}/{label(bare)}" if maker else label(bare)
        end = ("model", named, bare)
    else:
        end = None
    found.hops = tuple(_hops(reached, end, maker))
    own[semconv.ROUTE] = " > ".join(hop[semconv.HOP_NAME] for hop in found.hops)
    own[semconv.HOP_COUNT] = len(found.hops)
    return found


_STATED = {"routed": semconv.MODEL_ROUTED, "deployment": semconv.MODEL_DEPLOYMENT}


def _swap(own: dict[str, Any], requested: Any, provider: str, served: str) -> None:
    """An alias of a gateway stands for no model: what it should have been is not known."""
    if not requested:
        return
    maker, bare = split(requested)
    same = bare == served or same_model(maker or provider, bare, served)
    if same is not None:
        own[semconv.MODEL_SWAPPED] = not same


def _hops(
    reached: Reached, end: tuple[str, str, str | None] | None, maker: str | None
) -> list[dict[str, Any]]:
    hops: list[dict[str, Any]] = []

    def add(role: str, name: str, **more: Any) -> None:
        hops.append(
            {
                semconv.HOP_INDEX: len(hops),
                semconv.HOP_ROLE: role,
                semconv.HOP_NAME: name,
                semconv.HOP_EVIDENCE: "reported",
                **{key: value for key, value in more.items() if value is not None},
            }
        )

    for receipt in reached.passed or (Receipt(reached.gateway or "unknown"),):
        add(
            "proxy",
            receipt.name,
            **{
                semconv.GATEWAY_NAME: receipt.name,
                semconv.GATEWAY_VERSION: receipt.version,
                semconv.GATEWAY_REQUEST_ID: receipt.request_id,
                semconv.MODEL_ROUTED: receipt.routed,
                semconv.MODEL_DEPLOYMENT: receipt.deployment,
                semconv.HOP_OVERHEAD: receipt.overhead_ms,
            },
        )
        if receipt.router:
            add("router", receipt.router, **{semconv.GATEWAY_NAME: receipt.name})
    if end is not None:
        role, name, model = end
        add(
            role,
            name,
            **{semconv.RESPONSE_MODEL: model, semconv.PROVIDER: maker if model else None},
        )
    return hops
