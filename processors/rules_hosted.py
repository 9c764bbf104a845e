"""Gateways that somebody else runs: known by their host as well as by what they answer.

OpenRouter: https://openrouter.ai/docs/guides/routing/routers/router-metadata
Cloudflare AI Gateway: https://developers.cloudflare.com/ai-gateway/glossary
Vercel AI Gateway: https://vercel.com/docs/ai-gateway
Helicone: https://docs.helicone.ai/helicone-headers/header-directory
ngrok AI gateway: https://ngrok.com/changelog/ai-gateway-response-headers
Foundry model router: https://learn.microsoft.com/azure/foundry/openai/how-to/model-router
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .receipt import Receipt, Rule, Said, count, first, named, stated, text

__all__ = ["CLOUDFLARE", "FOUNDRY", "HELICONE", "NGROK", "OPENROUTER", "VERCEL"]


def _openrouter(said: Said) -> Receipt:
    attempts = count(said.call.get(semconv.GATEWAY_ATTEMPTS))
    strategy = said.call.get(semconv.GATEWAY_STRATEGY)
    hit = said.headers.get("x-openrouter-cache-status", "").upper() == "HIT"
    return Receipt(
        name="openrouter",
        role="router" if strategy not in (None, "direct") else "proxy",
        request_id=text(said.headers.get("x-generation-id")),
        deployment=text(said.call.get(semconv.RESPONSE_PROVIDER)),
        requests=0 if hit or not said.answered else attempts or 1,
        exact=attempts > 0 and said.answered,
        fallback=attempts > 1 if attempts else None,
        cache_hit=hit,
        sells_as="openrouter",
    )


def _is_openrouter(call: Mapping[str, Any]) -> bool:
    if call.get(semconv.GATEWAY_STATED) == "openrouter":
        return True
    if semconv.RESPONSE_PROVIDER not in call:
        return False
    return str(call.get(semconv.RESPONSE_ID, "")).startswith("gen-")


OPENROUTER = Rule(
    "openrouter",
    _openrouter,
    headers=frozenset({"x-openrouter-cache-status"}),
    hosts=frozenset({"openrouter.ai", "api.openrouter.ai"}),
    known=_is_openrouter,
    passes_on=False,
    tells="the model and provider that answered; what it bills, on streams too; with its metadata "
    "every attempt, and so the exact number",
    hides="attempts and strategy, unless asked; the provider's own request id and headers",
    switch_on="the request header `X-OpenRouter-Metadata: enabled`",
    level="documents",
)


def _cloudflare(said: Said) -> Receipt:
    step = said.headers.get("cf-aig-step")
    hit = said.headers.get("cf-aig-cache-status", "").upper() == "HIT"
    return Receipt(
        name="cloudflare-ai-gateway",
        request_id=first(said.headers, "cf-aig-log-id", "cf-aig-event-id"),
        requests=0 if hit or not said.answered else 1 + count(step),
        fallback=None if step is None else count(step) > 0,
        cache_hit=hit,
    )


CLOUDFLARE = Rule(
    "cloudflare-ai-gateway",
    _cloudflare,
    headers=frozenset({"cf-aig-log-id", "cf-aig-step", "cf-aig-cache-status", "cf-aig-event-id"}),
    hosts=frozenset({"gateway.ai.cloudflare.com"}),
    tells="which entry of a fallback list answered; cache hits; the provider's own model",
    hides="retries (`cf-aig-max-attempts`); cost, which only its log has; W3C trace context",
    switch_on="`cf-aig-otel-trace-id` and `cf-aig-otel-parent-span-id` in the request",
    level="documents",
)


def _vercel(said: Said) -> Receipt:
    return Receipt(name="vercel-ai-gateway", requests=1 if said.answered else 0)


VERCEL = Rule(
    "vercel-ai-gateway",
    _vercel,
    hosts=frozenset({"ai-gateway.vercel.sh"}),
    tells="the model as `creator/model`",
    hides="provider, fallbacks, attempts and cost, which are looked up by generation id afterwards",
    switch_on="nothing that clients of OpenAI's wire could ask for",
    level="documents",
)


def _helicone(said: Said) -> Receipt:
    passed_over = said.headers.get("helicone-fallback-index")
    hit = said.headers.get("helicone-cache", "").upper() == "HIT"
    return Receipt(
        name="helicone",
        request_id=text(said.headers.get("helicone-id")),
        provider=text(said.headers.get("helicone-provider")),
        requests=0 if hit or not said.answered else 1 + count(passed_over),
        fallback=None if passed_over is None else count(passed_over) > 0,
        cache_hit=hit,
    )


HELICONE = Rule(
    "helicone",
    _helicone,
    headers=frozenset(
        {"helicone-id", "helicone-cache", "helicone-fallback-index", "helicone-provider"}
    ),
    hosts=frozenset(
        {
            "ai-gateway.helicone.ai",
            "anthropic.helicone.ai",
            "gateway.helicone.ai",
            "oai.helicone.ai",
        }
    ),
    tells="cache hits; which of its fallbacks answered; the provider's own model",
    hides="retries; cost; its own time",
    switch_on="the headers `helicone-provider` and `helicone-provider-req-id` of the self-hosted one",
    level="source",
)


def _ngrok(said: Said) -> Receipt:
    attempts = said.headers.get("ngrok-aig-attempts")
    return Receipt(
        name="ngrok-ai-gateway",
        request_id=text(said.headers.get("ngrok-aig-request-id")),
        served=named(text(said.headers.get("ngrok-aig-model"))),
        rewrites_model=True,
        requests=count(attempts) or (1 if said.answered else 0),
        exact=attempts == "0" or count(attempts) > 0,
        answered_itself=attempts == "0",
    )


NGROK = Rule(
    "ngrok-ai-gateway",
    _ngrok,
    headers=frozenset({"ngrok-aig-request-id", "ngrok-aig-model", "ngrok-aig-attempts"}),
    hosts=frozenset({"gateway.ngrok.ai"}),
    tells="the model that answered and the exact number of attempts, on errors too",
    hides="which attempts failed and why, which its API tells by request id; cost; its own time",
    switch_on="nothing: all of it is on",
    level="documents",
)


def _foundry(said: Said) -> Receipt:
    attempts = count(said.call.get(semconv.GATEWAY_ATTEMPTS))
    return Receipt(
        name="foundry-model-router",
        role="router",
        requests=max(1, attempts) if said.answered else attempts,
        fallback=attempts > 1 if attempts else None,
    )


FOUNDRY = Rule(
    "foundry-model-router",
    _foundry,
    known=stated("foundry-model-router"),
    passes_on=False,
    tells="the model that answered; in its preview each attempt of a request",
    hides="without the preview that it is there at all",
    switch_on="the request header `Foundry-Features: ModelRouterControls=V1Preview`",
    level="documents",
)
