"""LiteLLM's proxy: https://docs.litellm.ai/docs/proxy/response_headers

Its counters describe the last group of deployments only, and on errors there are none. What it
received from behind it renames to `llm_provider-*`.
"""

from __future__ import annotations

from tollspan import semconv

from .receipt import Receipt, Rule, Said, count, milliseconds, named, stated, text, usd

__all__ = ["LITELLM"]

_ROUTERS = {
    f"x-litellm-{kind}-router-{fact}": f"{kind}-router"
    for kind in ("complexity", "quality", "adaptive")
    for fact in ("cause", "complexity", "keyword", "model", "score", "tier", "via")
}


def _router(said: Said) -> str | None:
    """Kind of the router of its own that chose the model."""
    marks = _ROUTERS.keys() & said.headers.keys()
    return _ROUTERS[min(marks)] if marks else None


def _read(said: Said) -> Receipt:
    get = said.headers.get
    retries, fallbacks = get("x-litellm-attempted-retries"), get("x-litellm-attempted-fallbacks")
    again = count(retries) + count(fallbacks)
    # Present only on a hit, where the answer still states the full price.
    hit = "x-litellm-cache-key" in said.headers
    model = text(get("x-litellm-model-name"))
    found = Receipt(
        name="litellm",
        router=_router(said),
        request_id=text(get("x-litellm-call-id")),
        version=text(get("x-litellm-version")),
        routed=text(get("x-litellm-model-group")),
        deployment=text(get("x-litellm-model-id")),
        served=named(model) if model and not model.startswith("litellm_proxy/") else None,
        rewrites_model=True,
        fallback=count(fallbacks) > 0 if fallbacks is not None else None,
        cache_hit=hit,
        extra=usd(get("x-litellm-classifier-cost")) or None,
    )
    if found.extra is not None:
        found.extra_reason = "classifier"
    if said.answered:
        found.requests = 0 if hit else 1 + again
        _read_cost(found, said)
    elif said.marked:
        found.requests = count(said.call.get(semconv.GATEWAY_ATTEMPTS))  # what its error tells
    # With retries or fallbacks it counts back-off, or only the last attempt, by the route.
    if retries is not None and not again and not hit:
        found.overhead_ms = milliseconds(get("x-litellm-overhead-duration-ms"))
    return found


def _read_cost(found: Receipt, said: Said) -> None:
    """On a stream the total is absent and its parts are 0.0; 0 says that LiteLLM has no price; on
    an error it is 0 whatever was billed."""
    get = said.headers.get
    total = usd(get("x-litellm-response-cost"))
    if not total:
        return
    found.reported = total
    changes = (
        get("x-litellm-response-cost-margin-amount", "0.0"),
        get("x-litellm-response-cost-discount-amount", "0.0"),
    )
    if changes != ("0.0", "0.0") and any(map(usd, changes)):
        original = usd(get("x-litellm-response-cost-original"))
        if original:
            found.reported, found.charged = original, total


LITELLM = Rule(
    "litellm",
    _read,
    headers=frozenset({"x-litellm-call-id", "x-litellm-version", "x-litellm-model-id"}),
    known=stated("litellm"),
    passes_on=False,
    # Renamed to `llm_provider-request-id`, but for this copy.
    marks=frozenset({"request-id"}),
    tells="group, deployment and model that answered; retries and fallbacks of the last group; "
    "cost with margin and discount; cache hits; its auto-router; guardrails that block; every "
    "gateway behind it (`llm_provider-*`)",
    hides="retries of groups before the last; all counters on errors, but for its own sentence in "
    "the message; the model in the body, which is the alias; how long it took, once it retried; "
    "what a stream cost, in its headers (the last chunk says it)",
    switch_on="`include_fallback_errors` (`expose_fallback_errors_to_caller`); its OpenTelemetry "
    "V2, whose events count requests exactly",
    level="ran",
)
