"""Gateways and routers that operators run themselves, but for LiteLLM and Portkey.

Bifrost: https://github.com/maximhq/bifrost (`transports/bifrost-http/lib/responseheaders.go`)
Kong: https://developer.konghq.com/ai-gateway/ · Envoy: https://aigateway.envoyproxy.io/docs/
vLLM semantic-router: https://github.com/vllm-project/semantic-router (`pkg/headers`)
Otoroshi: https://github.com/cloud-apim/otoroshi-llm-extension · RouteLLM: https://github.com/lm-sys/RouteLLM
TensorZero: https://www.tensorzero.com/docs/gateway/api-reference/inference-openai-compatible
llm-interactive-proxy: https://github.com/matdev83/llm-interactive-proxy
Otari: https://github.com/mozilla-ai/otari
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .receipt import (
    PROVIDER_MARKS,
    Receipt,
    Rule,
    Said,
    count,
    first,
    milliseconds,
    named,
    stated,
    text,
    usd,
)

__all__ = [
    "BIFROST",
    "ENVOY",
    "INTERACTIVE",
    "KONG",
    "KONG_ALONE",
    "OTARI",
    "OTOROSHI",
    "ROUTELLM",
    "SEMANTIC_ROUTER",
    "TENSORZERO",
]


def _of(provider: str | None, model: str | None) -> str | None:
    """`provider/model`, of which a gateway states one, both or none."""
    return named(f"{provider}/{model}" if provider and model else model)


def _bifrost(said: Said) -> Receipt:
    get = said.headers.get
    index = count(get("x-bifrost-fallback-index"))
    routed = "x-bifrost-routing-info-provider" in said.headers or index > 0
    return Receipt(
        name="bifrost",
        request_id=first(said.headers, "x-bifrost-request-id", "x-bifrost-trace-id"),
        routed=text(get("x-bifrost-routing-info-primary-model")),
        served=_of(
            first(said.headers, "x-bifrost-routing-info-provider", "x-bifrost-provider"),
            first(said.headers, "x-bifrost-routing-info-model", "x-bifrost-resolved-model"),
        ),
        requests=1 + index if said.answered or (said.marked and index) else 0,
        # Absent is no fallback, where it states its routing at all.
        fallback=index > 0 or get("x-bifrost-routing-info-is-fallback") == "true"
        if routed
        else None,
        upstream_ms=milliseconds(get("x-bifrost-upstream-latency-ms")),
    )


BIFROST = Rule(
    "bifrost",
    _bifrost,
    headers=frozenset({"x-bifrost-request-id", "x-bifrost-trace-id", "x-bifrost-provider"}),
    tells="model and provider that answered, and the first choice; which fallback it was; the time "
    "that it waited for others, over all attempts; on errors and streams too",
    hides="retries, which only its spans tell; cost on streams; a Bifrost behind it",
    switch_on="its OpenTelemetry plugin: a span for each attempt and fallback",
    level="source",
)


def _kong(said: Said) -> Receipt:
    get = said.headers.get
    model = text(get("x-kong-llm-model"))
    itself = "x-kong-response-latency" in said.headers and "x-kong-upstream-latency" not in (
        said.headers
    )
    return Receipt(
        name="kong",
        request_id=text(get("x-kong-request-id")),
        served=named(model),
        requests=1 if said.answered and not itself else 0,
        answered_itself=itself,
        upstream_ms=milliseconds(get("x-kong-upstream-latency")),
    )


KONG = Rule(
    "kong",
    _kong,
    headers=frozenset({"x-kong-llm-model"}),
    tells="provider and model that answered; the time that it waited for them; whether it answered "
    "by itself",
    hides="retries and balancing; cost, which is a metric of its own",
    switch_on="its `ai-proxy` plugin names the model by default; its OpenTelemetry plugin makes "
    "spans",
    level="source",
)
KONG_ALONE = Rule(
    "kong",
    _kong,
    headers=frozenset({"x-kong-upstream-latency", "x-kong-proxy-latency"}),
    weak=True,
)
"""A Kong without its AI plugin; providers answer through Kong, too."""


def _semantic_router(said: Said) -> Receipt:
    get = said.headers.get
    way = get("x-vsr-response-path", "")
    hit = way == "cache" or get("x-vsr-cache-hit") == "true"
    blocked = way == "blocked"
    itself = blocked or way in ("fast_response", "rate_limited")
    asked = 0 if hit or itself else max(1, count(get("x-vsr-looper-iterations")))
    return Receipt(
        name="vllm-semantic-router",
        role="router",
        request_id=text(get("x-vsr-replay-id")),
        routed=text(get("x-vsr-selected-model")),
        deployment=text(get("x-vsr-selected-decision")),
        rewrites_model=True,
        requests=asked if said.answered else 0,
        cache_hit=hit,
        blocked=blocked,
        answered_itself=itself,
    )


SEMANTIC_ROUTER = Rule(
    "vllm-semantic-router",
    _semantic_router,
    headers=frozenset({"x-vsr-schema-version", "x-vsr-response-path"}),
    tells="decision and alias that it chose; whether cache, a fast answer or a block took the "
    "model's place; how often its looper asked",
    hides="the provider's model behind the alias; retries; cost",
    switch_on="`x-vsr-debug` in the request: what its looper and its guards did",
    level="source",
)


def _otoroshi(said: Said) -> Receipt:
    get = said.headers.get
    hit = get("x-cache-status", "").lower() == "hit"
    return Receipt(
        name="otoroshi",
        request_id=text(get("otoroshi-request-id")),
        deployment=text(get("x-otoroshi-llm-provider")),
        served=_of(text(get("x-otoroshi-llm-provider-kind")), text(get("x-otoroshi-llm-model"))),
        requests=1 if said.answered and not hit else 0,
        cache_hit=hit,
        reported=(usd(get("x-otoroshi-llm-cost")) or None) if said.answered else None,
    )


OTOROSHI = Rule(
    "otoroshi",
    _otoroshi,
    headers=frozenset(
        {
            "x-otoroshi-llm-cost",
            "x-otoroshi-llm-duration-ms",
            "x-otoroshi-llm-model",
            "x-otoroshi-llm-provider",
            "x-otoroshi-llm-provider-kind",
        }
    ),
    tells="provider and model that answered last; cost, but on streams; cache hits; its request id, "
    "which joins its events, where it sends its own headers back",
    hides="fallbacks and balancing: its audit has two events for one call then; its own time, as "
    "its duration is a sum over calls",
    switch_on="its response headers; another prefix than theirs: `TOLLSPAN_OTOROSHI_PREFIX`",
    level="source",
)

_FUNCTION = re.compile(r"tensorzero::function_name::([^:]{1,80})(?:::variant_name::([^:]{1,80}))?")
_MODEL = re.compile(r"tensorzero::model_name::([^:]{1,80})")


def _tensorzero(said: Said) -> Receipt:
    call = said.call
    router = False
    routed = None
    for name in (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL):
        model = str(call.get(name) or "")
        if (chosen := _FUNCTION.match(model)) is not None:
            router, routed = True, "/".join(part for part in chosen.groups() if part)
            break
        if (asked := _MODEL.match(model)) is not None:
            routed = asked[1]
            break
    return Receipt(
        name="tensorzero",
        role="router" if router else "proxy",
        version=text(said.headers.get("x-tensorzero-gateway-version")),
        routed=text(routed),
        names_models=False,
        # A failure names every attempt, so what it names is all.
        requests=1 if said.answered else count(call.get(semconv.GATEWAY_ATTEMPTS)),
    )


def _is_tensorzero(call: Mapping[str, Any]) -> bool:
    return (
        str(call.get(semconv.REQUEST_MODEL) or "").startswith("tensorzero::")
        or str(call.get(semconv.RESPONSE_MODEL) or "").startswith("tensorzero::")
        or call.get(semconv.GATEWAY_STATED) == "tensorzero"
    )


TENSORZERO = Rule(
    "tensorzero",
    _tensorzero,
    headers=frozenset({"x-tensorzero-gateway-version"}),
    known=_is_tensorzero,
    passes_on=False,
    marks=frozenset(),
    tells="function and variant that answered; cost, where its rates are configured; every attempt "
    "of a request that failed, with the provider's status",
    hides="the provider's model, id and headers; retries and fallbacks of a request that "
    "succeeded; every upstream error is a 502, so clients retry what will never work",
    switch_on="`tensorzero::include_raw_response`; its OTLP export: a span for each attempt",
    level="ran",
)


def _interactive(said: Said) -> Receipt | None:
    session = text(said.headers.get("x-b2bua-session-id"))
    if session is not None and not session.startswith("llm-b2bua-"):
        return None
    return Receipt(
        name="llm-interactive-proxy",
        rewrites_model=True,
        requests=1 if said.answered else 0,
        untrusted=said.call.get(semconv.REQUEST_STREAM) is True,
    )


INTERACTIVE = Rule(
    "llm-interactive-proxy",
    _interactive,
    headers=frozenset({"x-b2bua-session-id"}),
    known=stated("llm-interactive-proxy"),
    tells="that it is there",
    hides="failovers, which leave no trace; the model, unless it streams; the tokens of streams, "
    "which it counts anew and wrongly: such usage is marked as untrusted",
    switch_on="nothing",
    level="ran",
)


def _otari(said: Said) -> Receipt:
    return Receipt(
        name="otari",
        request_id=text(said.headers.get("x-otari-request-id")),
        requests=1 if said.answered else 0,
    )


OTARI = Rule(
    "otari",
    _otari,
    headers=frozenset({"x-otari-request-id", "x-otari-guardrails"}),
    tells="that it is there, and its request id",
    hides="attempts, models and cost",
    switch_on="do not send it your own spans: it bills what OTLP tells it",
    level="source",
)

_ROUTER = re.compile(r"router-[^-]+-[0-9.]+")


def _is_routellm(call: Mapping[str, Any]) -> bool:
    asked, answered = call.get(semconv.REQUEST_MODEL), call.get(semconv.RESPONSE_MODEL)
    return (
        isinstance(asked, str)
        and asked.startswith("router-")
        and _ROUTER.fullmatch(asked) is not None
        and isinstance(answered, str)
        and answered != asked
    )


def _routellm(said: Said) -> Receipt:
    kind = str(said.call.get(semconv.REQUEST_MODEL)).split("-")[1]
    return Receipt(
        name="routellm",
        role="router",
        routed=text(kind),
        requests=1 if said.answered else 0,
    )


ROUTELLM = Rule(
    "routellm",
    _routellm,
    known=_is_routellm,
    passes_on=False,
    tells="the model that it chose, as the body's model",
    hides="everything else",
    switch_on="nothing",
    level="source",
)


def _envoy(said: Said) -> Receipt:
    get = said.headers.get
    return Receipt(
        name="envoy",
        inferred=True,
        rewrites_model=True,
        requests=max(1, count(get("x-envoy-attempt-count"))) if said.answered else 0,
        upstream_ms=milliseconds(get("x-envoy-upstream-service-time")),
    )


ENVOY = Rule(
    "envoy",
    _envoy,
    headers=frozenset({"x-envoy-upstream-service-time"}),
    marks=PROVIDER_MARKS,
    weak=True,
    tells="the time that it waited for others; which product it is part of nobody knows (Envoy AI "
    "Gateway, a mesh)",
    hides="all that its AI filters did",
    switch_on="`x-envoy-attempt-count` in its response headers; Envoy AI Gateway's spans",
    level="source",
)
