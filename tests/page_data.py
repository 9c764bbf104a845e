"""Calls and traces for the page: realistic, broken and hostile, in the shape of the local API."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Call = dict[str, Any]

# USD per token: input, cached input, output.
PRICES = {
    "gpt-4o-mini": ("0.00000015", "0.000000075", "0.0000006"),
    "gpt-4o": ("0.0000025", "0.00000125", "0.00001"),
    "claude-sonnet-4-5": ("0.000003", "0.0000003", "0.000015"),
    "text-embedding-3-small": ("0.00000002", "0.00000002", "0"),
}
PROVIDERS = {"claude-sonnet-4-5": "anthropic"}

IMAGE = '<img src=x onerror="alert(1)">'
SCRIPT = "</script><script>alert(2)</script>"
DROP = "'; DROP TABLE tollspan_calls; --"
EMOJI = "🌉💸" * 2500  # 10 kB of UTF-8 twice over
BIDI = "abc\u202egnp.exe\u202c\u0000\u0007"


def priced(model: str, input_tokens: int, cached: int, output_tokens: int) -> str | None:
    """USD as a decimal string, None for a model without a price."""
    if model not in PRICES:
        return None
    fresh_price, cached_price, output_price = (Decimal(price) for price in PRICES[model])
    cost = (
        (input_tokens - cached) * fresh_price + cached * cached_price + output_tokens * output_price
    )
    return str(cost.quantize(Decimal("1E-12")))


def cache_saved(model: str, cached: int | None) -> str | None:
    """USD that reading `cached` tokens from the cache saved; None where there is nothing to say."""
    if model not in PRICES or not cached:
        return None
    fresh_price, cached_price, _ = (Decimal(price) for price in PRICES[model])
    return str((cached * (fresh_price - cached_price)).quantize(Decimal("1E-12")))


def call(number: int, at: datetime, **changes: Any) -> Call:
    """One call with every field of the API; `changes` win, `model` and `gateway` shape the rest."""
    model = changes.pop("model", "gpt-4o-mini")
    gateway = changes.pop("gateway", None)
    provider = PROVIDERS.get(model, "openai")
    input_tokens, cached, output_tokens = changes.pop("tokens", (540, 0, 180))
    cost = priced(model, input_tokens, cached, output_tokens)
    model_hop = {"role": "model", "name": provider, "model": model, "evidence": "observed"}
    hops = [model_hop]
    if gateway:
        hops.insert(0, {"role": "proxy", "name": gateway, "model": None, "evidence": "observed"})
        model_hop["evidence"] = "reported"
    route = " > ".join(filter(None, [gateway, f"{provider}/{model}"]))
    made: Call = {
        "call_id": f"call-{number:06d}",
        "trace_id": f"{number + 7:032x}",
        "span_id": f"{number + 7:016x}",
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "service": "shop-api",
        "environment": "development",
        "data_mode": "real",
        "operation": "chat",
        "streaming": False,
        "endpoint": "checkout.ai_summary",
        "prompt": "summary",
        "prompt_version": "v3",
        "tenant": "acme",
        "user": "u_42",
        "session": f"s_{number % 17}",
        "tags": {"team": "growth"},
        "provider": provider,
        "server_address": "127.0.0.1" if gateway else f"api.{provider}.com",
        "request_model": model,
        "response_model": f"{model}-2026-07-18" if model in PRICES else model,
        "served_model": f"{model}-2026-07-18" if model in PRICES else model,
        "route": route,
        "hops": hops,
        "hop_count": len(hops),
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": cached or None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": cost,
        "cost_grade": "derived" if cost else "unpriced",
        "cost_source": "local" if cost else None,
        "reported_usd": None,
        "derived_usd": cost,
        "avoided_usd": None,
        "wasted_usd": None,
        "waste_reason": None,
        "unpriced_reason": None if cost else "unknown_model",
        "service_tier": "default",
        "price_version": "genai-prices 0.2.3",
        "time_to_first_chunk_s": None,
        "duration_s": 0.892,
        "status": "success",
        "error_type": None,
        "app_attempts": 1,
        "upstream_attempts": 1,
        "upstream_confidence": "exact",
        "model_swapped": False,
        "fallback": False,
        "cache_hit": False,
        "blocked_by": None,
        "blame": None,
        "finish_reasons": ["stop"],
        "request_id": f"{number * 7919:032x}",
    }
    return made | changes


def failed_call(number: int, at: datetime, **changes: Any) -> Call:
    """A call that ended with an error after three attempts; nothing is known of its money."""
    return call(number, at, **changes) | {
        "status": "error",
        "error_type": "RateLimitError",
        "blame": "provider",
        "app_attempts": 3,
        "upstream_attempts": 3,
        "cost_usd": None,
        "cost_grade": None,
        "cost_source": None,
        "derived_usd": None,
        "input_tokens": None,
        "output_tokens": None,
        "served_model": None,
        "response_model": None,
        "finish_reasons": [],
        "duration_s": 2.31,
    }


START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def few(at: datetime = START) -> list[Call]:
    """Ten calls, one of each kind that a person should be able to tell apart at a glance."""
    moments = [at + timedelta(seconds=3.7 * n) for n in range(10)]
    chat = {"endpoint": "chat.reply", "prompt": "reply", "prompt_version": "v12"}
    plan = {"endpoint": "agent.plan", "prompt": "plan", "prompt_version": "v4", "tenant": "globex"}
    search = {"endpoint": "search.index", "prompt": None, "prompt_version": None}
    unknown = {"tenant": None, "endpoint": None, "prompt": None, "prompt_version": None}
    return [
        call(1, moments[0]),
        call(2, moments[1], **chat, gateway="litellm", streaming=True, tokens=(2140, 1536, 655))
        | {"time_to_first_chunk_s": 0.412, "duration_s": 3.84, "tenant": "initech"},
        call(3, moments[2], **plan, model="claude-sonnet-4-5", tokens=(6120, 0, 1431))
        | {"reasoning_tokens": 896, "duration_s": 11.2, "streaming": True}
        | {"time_to_first_chunk_s": 1.93, "cache_write_tokens": 2048},
        call(4, moments[3], gateway="litellm")
        | {"cost_grade": "billed", "cost_source": "provider", "app_attempts": 2}
        | {"reported_usd": "0.000189", "wasted_usd": "0.000081", "waste_reason": "retry"}
        | {"upstream_attempts": 2, "duration_s": 1.61},
        call(5, moments[4], **chat, gateway="litellm", model="gpt-4o", tokens=(812, 0, 240))
        | {"request_model": "smart", "fallback": True, "model_swapped": True}
        | {"upstream_attempts": 4, "upstream_confidence": "at_least", "duration_s": 4.2},
        call(6, moments[5], gateway="litellm")
        | {"cache_hit": True, "cost_usd": "0", "avoided_usd": "0.000189", "duration_s": 0.0123}
        | {"upstream_attempts": 0, "cost_grade": "derived"},
        failed_call(7, moments[6], **plan),
        call(8, moments[7], **unknown, model="house-model-7b", tokens=(300, 0, 90)),
        call(9, moments[8], **chat, gateway="litellm", streaming=True, tokens=(900, 0, 61))
        | {"status": "abandoned", "cost_grade": "lower_bound", "duration_s": 0.73}
        | {"wasted_usd": "0.0001716", "waste_reason": "abandoned", "time_to_first_chunk_s": 0.39},
        call(10, moments[9], **search, model="text-embedding-3-small", tokens=(4096, 0, 0))
        | {"operation": "embeddings", "output_tokens": None, "data_mode": "test"}
        | {"duration_s": 0.21, "finish_reasons": []},
    ]


def many(count: int = 400, at: datetime = START) -> list[Call]:
    """Calls in the proportions of a busy service; the same for every run."""
    rand = random.Random(7)
    endpoints = ["checkout.ai_summary", "chat.reply", "agent.plan", "search.rerank", "docs.digest"]
    found = []
    for number in range(1, count + 1):
        moment = at + timedelta(seconds=number * 1.3)
        model = rand.choices(list(PRICES), weights=[60, 15, 20, 5])[0]
        written = rand.randint(200, 9000)
        cached = rand.choice([0, 0, written // 2, written * 9 // 10])
        shape: Call = {
            "endpoint": rand.choices(endpoints, weights=[40, 30, 12, 12, 6])[0],
            "tenant": rand.choice(["acme", "globex", "initech", "umbrella", None]),
            "prompt_version": rand.choice(["v3", "v4", "v12"]),
            "model": model,
            "gateway": rand.choice([None, "litellm", "litellm"]),
            "tokens": (written, cached, rand.randint(10, 1800)),
            "duration_s": round(rand.lognormvariate(0.2, 0.8), 3),
        }
        one = rand.random()
        if one < 0.03:
            found.append(failed_call(number, moment, **shape))
        else:
            made = call(number, moment, **shape)
            if one < 0.4:
                made |= {"streaming": True}
                made |= {"time_to_first_chunk_s": round(made["duration_s"] * 0.3, 3)}
            if 0.4 < one < 0.44:
                made |= {"fallback": True, "upstream_attempts": 3}
            if 0.44 < one < 0.48:
                made |= {"app_attempts": 2, "upstream_attempts": 2, "wasted_usd": made["cost_usd"]}
                made |= {"waste_reason": "retry"}
            found.append(made)
    return found


def hostile(at: datetime = START) -> list[Call]:
    """Calls whose every text was written by somebody who does not mean well."""
    found = []
    for number, text in enumerate([IMAGE, SCRIPT, DROP, EMOJI, BIDI, "x" * 10_000], start=900):
        hop = {"role": text, "name": text, "model": text, "evidence": text}
        made = call(number, at + timedelta(seconds=number))
        made |= {"endpoint": text, "tenant": text, "prompt": text, "prompt_version": text}
        made |= {"user": text, "session": text, "tags": {text: text}, "service": text}
        made |= {"provider": text, "request_model": text, "response_model": text}
        made |= {"served_model": text, "route": f"{text} > {text}", "hops": [hop, hop]}
        made |= {"error_type": text, "blame": text, "status": text, "cost_grade": text}
        made |= {"operation": text, "data_mode": text, "waste_reason": text, "wasted_usd": "1E-9"}
        made |= {"finish_reasons": [text], "service_tier": text, "model_swapped": True}
        found.append(made)
    odd = {"hops": None, "route": None, "tags": None, "finish_reasons": None, "cost_usd": "NaN"}
    return [*found, call(950, at + timedelta(seconds=950)) | odd]


def budget(name: str, spent: str, **changes: Any) -> dict[str, Any]:
    """A budget of 100 dollars a month, as the API tells it."""
    ratio = float(spent) / 100
    return {
        "name": name,
        "filters": {"tenant": "globex"},
        "period": "month",
        "limit_usd": "100",
        "soft_usd": "80",
        "spent_usd": spent,
        "calls": 12,
        "unpriced_calls": 0,
        "ratio": ratio,
        "projected_usd": str(float(spent) * 1.5),
        "state": "hard" if ratio >= 1 else "soft" if ratio >= 0.8 else "ok",
        "owner": "growth team",
        "contact": "#growth",
        "action": None,
        "period_start": (datetime.now(UTC) - timedelta(days=10)).isoformat(),
        "period_end": (datetime.now(UTC) + timedelta(days=3, hours=5, minutes=1)).isoformat(),
    } | changes


def _span(one: Call, name: str, role: str, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "span_id": one["span_id"],
        "parent_id": None,
        "name": name,
        "kind": "CLIENT",
        "scope": "tollspan",
        "service": one["service"],
        "time": one["time"],
        "offset_s": 0.0,
        "duration_s": one["duration_s"],
        "status": "OK",
        "status_message": "",
        "role": role,
        "hop_role": None,
        "attempt": None,
        "cost_usd": None,
        "restated": False,
        "attributes": {},
        "events": [],
    }
    return made | changes


def trace(one: Call) -> dict[str, Any]:
    """The trace of a call: application, call, attempts with back-off, hops; inner calls restated."""
    ids = iter(f"{int(one['span_id'], 16) * 1000 + n:016x}" for n in range(1, 100))
    long = one["duration_s"]
    failed = one["status"] == "error"
    app = _span(one, f"POST /{one['endpoint']}", "app", span_id=next(ids), kind="SERVER")
    app |= {"duration_s": long + 0.06, "scope": "opentelemetry.instrumentation.fastapi"}
    app |= {"attributes": {"http.request.method": "POST", "http.route": f"/{one['endpoint']}"}}
    own = _span(one, f"{one['operation']} {one['request_model']}", "call")
    own |= {"parent_id": app["span_id"], "offset_s": 0.02, "cost_usd": one["cost_usd"]}
    own["attributes"] = {
        "gen_ai.operation.name": one["operation"],
        "gen_ai.request.model": one["request_model"],
        "gen_ai.usage.input_tokens": one["input_tokens"],
        "tollspan.cost.grade": one["cost_grade"],
        "tollspan.cost.role": "owner",
        "tollspan.model.deployment": "azure-eu-1",
        "tollspan.tenant": one["tenant"],
    }
    if failed:
        own |= {"status": "ERROR", "status_message": "Error code: 429"}
        own["attributes"]["error.type"] = one["error_type"]
    spans = [app, own]
    tries = max(1, one["app_attempts"] or 1)
    each = long / (tries * 1.5)
    for number in range(1, tries + 1):
        lost = failed or number < tries
        at = 0.03 + (number - 1) * each * 1.5
        made = _span(one, "POST", "attempt", span_id=next(ids), parent_id=own["span_id"])
        made |= {"attempt": number, "offset_s": at, "status": "ERROR" if lost else "OK"}
        made["duration_s"] = each * 0.6 if lost else max(0.001, long - at)
        made["attributes"] = {
            "tollspan.attempt": number,
            "http.request.method": "POST",
            "http.response.status_code": 429 if lost else 200,
            "http.response.header.x-request-id": f"req_{number}",
        }
        if lost:
            made["attributes"] |= {"error.type": "429", "tollspan.retry_after_s": 0.5}
        spans.append(made)
    parent = own["span_id"]
    for number, hop in enumerate(one["hops"] or []):
        made = _span(one, f"hop {hop['name']}", "hop", span_id=next(ids), parent_id=parent)
        made |= {"hop_role": hop["role"], "kind": "INTERNAL", "offset_s": 0.04 + 0.02 * number}
        made["duration_s"] = max(0.001, long - 0.03 - 0.05 * number)
        made["attributes"] = {
            "tollspan.hop.role": hop["role"],
            "tollspan.hop.evidence": hop["evidence"],
            "gen_ai.response.model": hop["model"],
        }
        spans.append(made)
        parent = made["span_id"]
    if one["fallback"]:
        made = _span(one, own["name"], "call", span_id=next(ids), parent_id=parent, restated=True)
        made |= {"offset_s": 0.12, "duration_s": max(0.001, long - 0.2), "scope": "other.tracer"}
        made["attributes"] = {
            "tollspan.cost.role": "restated",
            "tollspan.owner_span_id": own["span_id"],
            "tollspan.restated.cost_usd": float(one["cost_usd"] or 0),
        }
        made["events"] = [{"name": "fallback", "offset_s": 0.4, "attributes": {"from": "smart"}}]
        spans.append(made)
    return {"trace_id": one["trace_id"], "calls": [one], "spans": spans}
