"""A week of a shop's traffic, made up but settled by the same code as real calls: the demo data.

Nothing in it is random from run to run but the ids: the same week, moved to end now. Every kind of
thing that the page tells apart happens in it: retries, a gateway, fallbacks, cache hits, streams
left early, errors, a rate-limit storm, a prompt version that costs more, calls without name or price.
"""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tollspan import semconv
from tollspan.processors.settle import settle

from .otlp_json import Spans, request

__all__ = ["CALLS", "DATA_MODE", "ENVIRONMENT", "TRACE_PREFIX", "requests"]

CALLS = 1_200
DAYS = 7
DATA_MODE = "test"
ENVIRONMENT = "demo-data"
"""Nobody else's, so that its sums by time can be told from those of other tests."""
TRACE_PREFIX = "de300da7a000"
"""How the trace ids of demo data begin: what is removed is chosen by it."""

RESOURCE = {semconv.SERVICE_NAME: "demo-shop", semconv.DEPLOYMENT_ENVIRONMENT: ENVIRONMENT}
MS, SECOND, HOUR = 1_000_000, 1_000_000_000, 3_600_000_000_000
STORM_H = (29.0, 30.0)
"""Hours before the end, in which the provider refused most requests."""
NEW_VERSION_H = 52.0
"""Hours before the end, when checkout.ai_summary got its v4, which writes longer answers."""

CALLS_AT_ONCE = 300
LITELLM = "http.response.header.x-litellm-"
OF_AN_ANSWER = (
    semconv.RESPONSE_MODEL,
    semconv.RESPONSE_ID,
    semconv.FINISH_REASONS,
    semconv.TIME_TO_FIRST_CHUNK,
    semconv.INPUT_TOKENS,
    semconv.OUTPUT_TOKENS,
    semconv.CACHE_READ_TOKENS,
)
TENANTS = (("acme", 40), ("globex", 26), ("initech", 18), ("umbrella", 10), ("hooli", 6))


@dataclass(frozen=True, slots=True)
class Visit:
    """One thing that the shop asks models for; tokens are medians, `weight` is how often."""

    endpoint: str
    prompt: str
    version: str
    team: str
    provider: str
    model: str
    weight: int
    input_tokens: int
    output_tokens: int
    alias: str = ""
    """Asked for by this name through the gateway; empty is without a gateway."""
    cached: float = 0.0
    streams: bool = False
    operation: str = "chat"


CHECKOUT, SUPPORT, LEGAL = "checkout.ai_summary", "support.chat", "legal.review"
VISITS = (
    Visit(CHECKOUT, "summary", "v3", "growth", "openai", "gpt-4o-mini-2024-07-18", 30, 900, 160),
    Visit(
        *(SUPPORT, "reply", "v12", "support", "openai", "gpt-4.1-mini-2025-04-14", 26, 2600, 310),
        alias="chat-fast",
        cached=0.6,
        streams=True,
    ),
    Visit(
        *(LEGAL, "clauses", "v2", "legal", "anthropic", "claude-sonnet-4-5-20250929", 7, 9000, 900),
        cached=0.8,
    ),
    Visit(
        *(
            "agents.plan",
            "plan",
            "v4",
            "platform",
            "openai",
            "gpt-5-mini-2025-08-07",
            12,
            3100,
            1200,
        ),
    ),
    Visit(
        *("faq.answer", "faq", "v2", "support", "openai", "gpt-4o-mini-2024-07-18", 14, 440, 60),
        alias="faq",
    ),
    Visit(
        *("search.index", "", "", "search", "openai", "text-embedding-3-small", 9, 4000, 0),
        operation="embeddings",
    ),
    Visit("labs.tone", "tone", "v1", "", "openai", "house-model-7b", 2, 300, 90),
    Visit("", "", "", "", "anthropic", "claude-haiku-4-5-20251001", 3, 700, 200),
)


def requests(end_ns: int) -> Iterator[bytes]:
    """OTLP/JSON requests with the spans of the week that ends at `end_ns`, oldest first."""
    rand = random.Random(7)
    waiting: list[dict[str, Any]] = []
    for number, ago_h in enumerate(_moments(rand), start=1):
        waiting += _visit(rand, end_ns, ago_h)
        if number % CALLS_AT_ONCE == 0:
            yield request(waiting, RESOURCE)
            waiting = []
    if waiting:
        yield request(waiting, RESOURCE)


def _moments(rand: random.Random) -> list[float]:
    """Hours before the end, busiest at noon and never quite still at night, the longest ago first."""
    found: list[float] = []
    while len(found) < CALLS:
        ago_h = rand.random() * DAYS * 24
        if rand.random() < 0.55 + 0.45 * math.sin((ago_h % 24) / 24 * 2 * math.pi):
            found.append(ago_h)
    return sorted(found, reverse=True)


def _visit(rand: random.Random, end_ns: int, ago_h: float) -> list[dict[str, Any]]:
    """The trace of one visit of the shop: a request of its own, a call in it, its attempts, its hops."""
    visit = rand.choices(VISITS, [each.weight for each in VISITS])[0]
    tenant = rand.choices([name for name, _ in TENANTS], [weight for _, weight in TENANTS])[0]
    start_ns = end_ns - int(ago_h * HOUR) - 30 * SECOND
    said = _said(rand, visit, tenant, ago_h)
    attempts = _attempts(rand, visit, said, STORM_H[0] < ago_h < STORM_H[1])
    took_s = sum(each.pop("took_s") for each in attempts)
    if semconv.TIME_TO_FIRST_CHUNK in said:
        said[semconv.TIME_TO_FIRST_CHUNK] = round(took_s * rand.uniform(0.15, 0.4), 3)
    call_ns, call_end_ns = start_ns + 4 * MS, start_ns + 4 * MS + int(took_s * SECOND)
    found = settle(said, attempts, start_ns=call_ns, end_ns=call_end_ns)

    spans = Spans(TRACE_PREFIX + secrets.token_hex(10))
    failed = said[semconv.STATUS] == "error"
    route = f"/{visit.endpoint.replace('.', '/')}" if visit.endpoint else "/internal/job"
    asked = {semconv.HTTP_METHOD: "POST", "http.route": route}
    app = spans.add(f"POST {route}", asked, start_ns, call_end_ns + 3 * MS, kind="server")
    name = f"{visit.operation} {said[semconv.REQUEST_MODEL]}"
    call = spans.add(
        *(name, said | found.attributes, call_ns, call_end_ns, app), kind="client", failed=failed
    )
    last_ns = at_ns = call_ns + MS
    share_ns = (call_end_ns - at_ns) // len(attempts)
    for attempt in attempts:
        refused = attempt[semconv.HTTP_STATUS] >= 400
        until_ns = at_ns + (share_ns // 2 if refused else share_ns)
        spans.add("POST", attempt, at_ns, until_ns, call, kind="client", failed=refused)
        last_ns, at_ns = at_ns, at_ns + share_ns
    for depth, hop in enumerate(found.hops):
        hop_ns = last_ns + (1 + 3 * depth) * MS
        name = f"hop {hop[semconv.HOP_NAME]}"
        spans.add(name, hop, hop_ns, max(hop_ns, call_end_ns - (2 + depth) * MS), call)
    return spans.made


def _said(rand: random.Random, visit: Visit, tenant: str, ago_h: float) -> dict[str, Any]:
    """What the call span says before it is settled."""
    longer = 1.0
    version = visit.version
    if visit.endpoint == CHECKOUT and ago_h < NEW_VERSION_H:
        version, longer = "v4", 1.9
    written = max(20, int(visit.input_tokens * rand.lognormvariate(0, 0.35)))
    answered = int(visit.output_tokens * longer * rand.lognormvariate(0, 0.4))
    said: dict[str, Any] = {
        semconv.OPERATION: visit.operation,
        semconv.PROVIDER: visit.provider,
        semconv.REQUEST_MODEL: visit.alias or visit.model,
        semconv.RESPONSE_MODEL: visit.model,
        semconv.SERVER_ADDRESS: "gateway.shop.internal" if visit.alias else _host(visit.provider),
        semconv.INPUT_TOKENS: written,
        semconv.OUTPUT_TOKENS: answered,
        semconv.FINISH_REASONS: ["stop"],
        semconv.STATUS: "success",
        semconv.DATA_MODE: DATA_MODE,
        semconv.TENANT: tenant,
        semconv.USER: f"u_{rand.randint(10, 60)}",
        semconv.REQUEST_ID: secrets.token_hex(16),
        semconv.ENDPOINT_TAG: visit.endpoint,
        semconv.PROMPT_NAME: visit.prompt,
        semconv.PROMPT_VERSION: version,
        f"{semconv.TAG_PREFIX}team": visit.team,
    }
    if visit.operation == "chat":
        said[semconv.RESPONSE_ID] = f"chatcmpl-{secrets.token_hex(8)}"
    if visit.cached and rand.random() < 0.7:
        said[semconv.CACHE_READ_TOKENS] = int(written * visit.cached)
    if visit.streams:
        said |= {semconv.REQUEST_STREAM: True, semconv.TIME_TO_FIRST_CHUNK: 0.0}
        if rand.random() < 0.04:  # somebody closed the window before the answer was whole
            said[semconv.STATUS] = "abandoned"
            said.pop(semconv.FINISH_REASONS)
    return {name: value for name, value in said.items() if value != ""}


def _attempts(
    rand: random.Random, visit: Visit, said: dict[str, Any], storm: bool
) -> list[dict[str, Any]]:
    """The HTTP requests of the call, each with the seconds it took; `said` learns of their end."""
    refusals = rand.choices((0, 1, 2, 3), (10, 15, 20, 55) if storm else (93, 4, 1, 2))[0]
    took_s = 0.25 + visit.output_tokens / 130 * rand.lognormvariate(0, 0.35)
    made: list[dict[str, Any]] = []
    for number in range(min(refusals, 3)):
        made.append(
            {
                semconv.ATTEMPT: number + 1,
                semconv.HTTP_METHOD: "POST",
                semconv.HTTP_STATUS: 429,
                semconv.ERROR_TYPE: "429",
                semconv.RETRY_AFTER: 0.5 * 2**number,
                "took_s": 0.1 + 0.5 * 2**number,
            }
        )
    if refusals == 3:
        error = f"{visit.provider}.RateLimitError"
        said |= {semconv.STATUS: "error", semconv.ERROR_TYPE: error}
        for name in OF_AN_ANSWER:
            said.pop(name, None)
    else:
        answered = {semconv.HTTP_METHOD: "POST", semconv.HTTP_STATUS: 200, "took_s": took_s}
        made.append({semconv.ATTEMPT: refusals + 1} | answered)
    for each in made:
        each[semconv.SERVER_ADDRESS] = said[semconv.SERVER_ADDRESS]
        if visit.alias:
            each |= _receipt(rand, visit, each)
    said[semconv.APP_ATTEMPTS] = len(made)
    return made


def _receipt(rand: random.Random, visit: Visit, attempt: dict[str, Any]) -> dict[str, Any]:
    """What a LiteLLM proxy writes on its answer."""
    written: dict[str, Any] = {
        f"{LITELLM}call-id": secrets.token_hex(16),
        f"{LITELLM}version": "1.106.0",
        f"{LITELLM}model-group": visit.alias,
    }
    if attempt[semconv.HTTP_STATUS] >= 400:
        return written
    fell_back = rand.random() < 0.05
    written |= {
        f"{LITELLM}model-id": "azure-west" if fell_back else "openai-east",
        f"{LITELLM}model-name": f"{visit.provider}/{visit.model}",
        f"{LITELLM}attempted-retries": str(int(rand.random() < 0.08)),
        f"{LITELLM}attempted-fallbacks": str(int(fell_back)),
        f"{LITELLM}overhead-duration-ms": f"{rand.uniform(2, 9):.2f}",
        "http.response.header.llm_provider-x-request-id": f"req_{secrets.token_hex(8)}",
    }
    if visit.endpoint == "faq.answer" and rand.random() < 0.45:
        written[f"{LITELLM}cache-key"] = secrets.token_hex(8)
        attempt["took_s"] = 0.012
    return {name: [value] for name, value in written.items()}


def _host(provider: str) -> str:
    return f"api.{provider}.com"
