"""Portkey's gateway: https://portkey.ai/docs/api-reference/inference-api/response-schema

The index names a target, but not why it was chosen: that stands in the request's own config, of
which only the modes are kept (`tollspan.gateway.strategy`), outermost first.
"""

from __future__ import annotations

import re

from tollspan import semconv

from .receipt import PROVIDER_MARKS, Receipt, Rule, Said, count, stated, text

__all__ = ["PORTKEY"]

_TARGET = re.compile(r"\.targets\[(\d{1,3})\]")
_HIT = ("HIT", "SEMANTIC HIT")


def _read(said: Said) -> Receipt:
    get = said.headers.get
    index = text(get("x-portkey-last-used-option-index"))
    hit = get("x-portkey-cache-status", "").upper() in _HIT
    found = Receipt(
        name="portkey",
        request_id=text(get("x-portkey-trace-id")),
        deployment=index,
        provider=text(get("x-portkey-provider")),
        cache_hit=hit,
        answered_itself=get("x-portkey-gateway-exception", "").lower() == "true",
    )
    passed_over = 0
    if index and (places := _TARGET.findall(index)):
        found.role = "router"
        modes = str(said.attempt.get(semconv.GATEWAY_STRATEGY) or "").split(">")
        for mode, place in zip(modes, places, strict=False):
            if mode == "fallback":
                passed_over += int(place)
                found.fallback = found.fallback or int(place) > 0
    # -1 says that all retries are used up, not how many there were.
    again = passed_over + count(get("x-portkey-retry-attempt-count"))
    if said.answered:
        found.requests = 0 if hit else 1 + again
    elif said.marked:
        found.requests = 1 + again
    return found


PORTKEY = Rule(
    "portkey",
    _read,
    headers=frozenset({"x-portkey-last-used-option-index", "x-portkey-provider"}),
    hosts=frozenset({"api.portkey.ai"}),
    known=stated("portkey"),
    marks=PROVIDER_MARKS | {"x-request-id"},
    tells="the target that answered and its retries; the provider's own model and headers; cache "
    "status; guardrails with their place (before or after the model)",
    hides="requests to targets before the last; how many retries were used up (-1); why a target "
    "was chosen, unless the config stands in the request; cost; its own time",
    switch_on="the config in the request (`x-portkey-config`) rather than a saved `pc-…` id; "
    "`x-portkey-trace-id`; `forward_headers` with `traceparent`",
    level="ran",
)
