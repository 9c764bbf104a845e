"""Spans that gateways make of the requests they carry: who they are, what they asked. (foreign names)

LiteLLM V1 and V2: https://docs.litellm.ai/docs/observability/opentelemetry_integration
Envoy AI Gateway: https://aigateway.envoyproxy.io/docs/capabilities/observability/tracing
agentgateway: https://agentgateway.dev/docs/llm/observability/
TensorZero: https://www.tensorzero.com/docs/operations/export-opentelemetry-traces
Kong: https://developer.konghq.com/ai-gateway/llm-open-telemetry/
Cloudflare: https://developers.cloudflare.com/ai-gateway/observability/otel-integration
OpenRouter: https://openrouter.ai/docs/guides/features/broadcast/otel-collector
vLLM semantic router: https://vllm-semantic-router.com/docs/tutorials/observability/distributed-tracing
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tollspan import semconv

from .models import book_provider, provider_name, split

__all__ = [
    "EXTRA_PURPOSES",
    "Gateway",
    "call_id",
    "gateway_of",
    "is_extra",
    "is_on_the_way",
    "read",
]

Attributes = Mapping[str, Any]
Found = dict[str, Any]

LITELLM_CALL = "litellm.call_id"
_LITELLM_MODEL = "litellm.provider.model"
_LITELLM_PURPOSE = "litellm.request.purpose"


class Gateway(NamedTuple):
    """One gateway: by which attributes or instrumentation scopes its spans are known."""

    name: str
    marks: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    read: Callable[[Attributes, Found], None] | None = None
    """Corrects what the dialect says otherwise than its names promise."""
    sells: bool = False
    """It sends the bill: what it states is what the call cost."""


def _litellm(said: Attributes, found: Found) -> None:
    """`gen_ai.response.model` is the alias that was asked for, but for fallbacks; on an error the
    response id is LiteLLM's own call id."""
    alias = said.get("litellm.model_group") or said.get(semconv.REQUEST_MODEL)
    if isinstance(alias, str) and alias:
        found[semconv.REQUEST_MODEL] = alias
    asked = said.get(_LITELLM_MODEL)
    if isinstance(asked, str) and asked:
        prefix, slash, bare = asked.partition("/")
        if prefix == "litellm_proxy":  # another LiteLLM, which was asked for an alias of its own
            if found.get(semconv.RESPONSE_MODEL) in (alias, bare):
                found.pop(semconv.RESPONSE_MODEL, None)
        else:
            known = slash and book_provider(prefix) is not None
            if known:
                found[semconv.PROVIDER] = provider_name(prefix)
            if found.get(semconv.RESPONSE_MODEL) in (None, alias):
                found[semconv.RESPONSE_MODEL] = bare if known else split(asked)[1]
    if semconv.RESPONSE_ID in said and said[semconv.RESPONSE_ID] == said.get(LITELLM_CALL):
        found.pop(semconv.RESPONSE_ID, None)
    if _hit(said.get("hidden_params")):
        found[semconv.CACHE_HIT] = True


def _hit(hidden: Any) -> bool:
    """V1 tells a cache hit by the key alone, and states the full price all the same."""
    if not isinstance(hidden, str) or '"cache_key"' not in hidden:
        return False
    try:
        return bool(json.loads(hidden).get("cache_key"))
    except (ValueError, AttributeError):
        return False


def _semantic_router(said: Attributes, found: Found) -> None:
    """Names of its own throughout."""
    for name, own in (
        (semconv.REQUEST_MODEL, "model.name"),
        (semconv.PROVIDER, "model.provider"),
        (semconv.INPUT_TOKENS, "model.token_count_prompt"),
        (semconv.OUTPUT_TOKENS, "model.token_count_completion"),
    ):
        if own in said:
            found.setdefault(name, said[own])
    found.setdefault(semconv.OPERATION, "chat")


def _cloudflare(said: Attributes, found: Found) -> None:
    provider = said.get("gen_ai.model.provider")
    if isinstance(provider, str) and provider:
        found.setdefault(semconv.PROVIDER, provider_name(provider))


_OF_TRACE = "trace.metadata."
_OF_OPENROUTER = f"{_OF_TRACE}openrouter."
_MEANT = {
    "tenant": semconv.TENANT,
    "tenant_id": semconv.TENANT,
    "endpoint": semconv.ENDPOINT_TAG,
    "endpoint_tag": semconv.ENDPOINT_TAG,
    "prompt": semconv.PROMPT_NAME,
    "prompt_version": semconv.PROMPT_VERSION,
    "request_id": semconv.REQUEST_ID,
}
"""Keys of the `trace` object that a request to OpenRouter carries; all others are tags."""


def _openrouter(said: Attributes, found: Found) -> None:
    """Broadcast writes what the request's `trace` object held as `trace.metadata.<key>`."""
    first_ms = said.get(f"{_OF_OPENROUTER}first_token_ms")
    if isinstance(first_ms, (int, float)) and 0 < first_ms < 1e9:
        found.setdefault(semconv.TIME_TO_FIRST_CHUNK, first_ms / 1000)
    for name, value in said.items():
        key = name[len(_OF_TRACE) :] if name.startswith(_OF_TRACE) else ""
        if not key or "." in key or not isinstance(value, str) or value[:1] in ("", "{", "["):
            continue
        found.setdefault(_MEANT.get(key) or f"{semconv.TAG_PREFIX}{key[:64]}", value[:256])


GATEWAYS: tuple[Gateway, ...] = (
    Gateway("litellm", (LITELLM_CALL, _LITELLM_MODEL), ("litellm",), _litellm),
    Gateway("agentgateway", ("agw.ai.usage.cost.total", "agw.ai.time_to_first_token")),
    Gateway("tensorzero", ("tensorzero.cost_usd",), ("tensorzero",)),
    Gateway(
        "vllm-semantic-router",
        ("model.token_count_prompt", "model.token_count_completion"),
        ("vllm-semantic-router", "semantic-router"),
        _semantic_router,
    ),
    Gateway("cloudflare-ai-gateway", ("gen_ai.model.provider",), (), _cloudflare),
    Gateway(
        "openrouter",
        (
            "openrouter.generation_id",
            *(f"{_OF_OPENROUTER}{name}" for name in ("source", "provider_name", "api_key_name")),
        ),
        ("openrouter",),
        _openrouter,
        sells=True,
    ),
    Gateway("envoy-ai-gateway", (), ("envoyproxy/ai-gateway",)),
    Gateway("bifrost", (), ("bifrost",)),
    Gateway("kong", (), ("kong",)),
    Gateway("otoroshi", (), ("otoroshi",)),
    Gateway("llm-interactive-proxy", (), ("llm-interactive-proxy",)),
    Gateway("traefik", (), ("github.com/traefik/", "traefik")),
)
_BY_MARK = {mark: each for each in GATEWAYS for mark in each.marks}

EXTRA_PURPOSES = frozenset({"", "completion", "request", "user", "main"})
"""Values of `litellm.request.purpose` of the request itself; others name work of the proxy's own."""


def gateway_of(attributes: Attributes, scope: str = "") -> Gateway | None:
    """The gateway that made a span, or None."""
    for mark, gateway in _BY_MARK.items():
        if mark in attributes:
            return gateway
    for gateway in GATEWAYS:
        if scope and scope.startswith(gateway.scopes or ("\0",)):
            return gateway
    return None


_OF_PROXY = ("litellm.request.route", "metadata.user_api_key_request_route")


def is_on_the_way(attributes: Attributes, gateway: Gateway) -> bool:
    """Whether the gateway stood between an application and a model: LiteLLM is a library, too."""
    return gateway.name != "litellm" or any(name in attributes for name in _OF_PROXY)


def read(attributes: Attributes, found: Found) -> None:
    """Put into `found` (a copy of `attributes`) what the dialect of a gateway means by them."""
    for mark, gateway in _BY_MARK.items():
        if mark in attributes:
            if gateway.read is not None:
                gateway.read(attributes, found)
            return


def call_id(attributes: Attributes) -> str | None:
    """The id that the gateway gave the request, which its answer carries as a header too."""
    value = attributes.get(LITELLM_CALL)
    return value if isinstance(value, str) and 8 <= len(value) <= 128 else None


def is_extra(attributes: Attributes) -> bool:
    """Whether the gateway asked a model for itself: a judge, a classifier, an embedding.

    That is spent besides the answer, and restates nothing.
    """
    purpose = attributes.get(_LITELLM_PURPOSE)
    return isinstance(purpose, str) and purpose not in EXTRA_PURPOSES
