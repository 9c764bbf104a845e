"""What OpenRouter and Cloudflare send over OTLP themselves: read, joined, paid once, without content.

Shapes: https://openrouter.ai/docs/guides/features/broadcast/otel-collector and
https://developers.cloudflare.com/ai-gateway/observability/otel-integration
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from spans import START_NS, owner, protobuf, span
from test_ingest_joins import at_the_end

from tollspan import config, semconv
from tollspan.collector import wire
from tollspan.collector.rows import call_row
from tollspan.collector.span import Span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
OPENROUTER: dict[str, Any] = {
    "span.type": "generation",
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "openai",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "openai/gpt-4o-mini",
    "gen_ai.response.model": "openai/gpt-4o-mini",
    "gen_ai.response.id": "gen-1764-abcdef",
    "gen_ai.response.finish_reason": "stop",
    "gen_ai.response.finish_reasons": '["stop"]',
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.usage.total_tokens": 1100,
    "gen_ai.usage.input_tokens.cached": 400,
    "gen_ai.usage.output_tokens.reasoning": 20,
    "gen_ai.usage.input_cost": 0.0001,
    "gen_ai.usage.output_cost": 0.0001,
    "gen_ai.usage.total_cost": 0.00020001,
    "gen_ai.prompt": '{"messages": [{"content": "a secret"}]}',
    "gen_ai.completion": '{"completion": "a secret", "rawRequest": {}}',
    "trace.input": "a secret",
    "trace.output": "a secret",
    "span.input": "a secret",
    "span.output": "a secret",
    "user.id": "u_1",
    "session.id": "s_1",
    "trace.metadata.tenant": "acme",
    "trace.metadata.team": "growth",
    "trace.metadata.provider_responses": '[{"id": "req_1", "status": 200}]',
    "trace.metadata.openrouter.source": "openrouter",
    "trace.metadata.openrouter.first_token_ms": 125,
    "trace.metadata.openrouter.provider_name": "OpenAI",
}
CLOUDFLARE: dict[str, Any] = {
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.model.provider": "openai",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.usage.cost": 0.9,
    "gen_ai.prompt_json": '[{"role": "user", "content": "a secret"}]',
    "gen_ai.completion_json": '{"content": "a secret"}',
    "team": "growth",
}


@pytest.fixture(autouse=True)
def usual_settings() -> None:
    config.reload({})


def value(given: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return {kinds[type(given)]: str(given) if isinstance(given, int) else given}


def export(scope: str, *spans: dict[str, Any], **resource: str) -> list[Span]:
    """What the receiver makes of an OTLP/JSON request as these gateways send it."""
    made = [
        {
            "traceId": TRACE_ID,
            "spanId": f"{number:016x}",
            "kind": 3,
            "startTimeUnixNano": str(START_NS + 1_100_000_000),
            "endTimeUnixNano": str(START_NS + 1_400_000_000),
            **each,
            "attributes": [
                {"key": name, "value": value(given)} for name, given in each["attributes"].items()
            ],
        }
        for number, each in enumerate(spans, start=1)
    ]
    said = {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [
                        {"key": key, "value": value(given)} for key, given in resource.items()
                    ]
                },
                "scopeSpans": [{"scope": {"name": scope}, "spans": made}],
            }
        ]
    }
    return list(wire.traces(json.dumps(said).encode(), is_json=True).spans)


def broadcast(**more: Any) -> list[Span]:
    root = {"name": "LLM Generation", "attributes": OPENROUTER | more}
    below = {"parentSpanId": f"{1:016x}"}
    return export(
        "openrouter",
        root,
        {"name": "generation", "attributes": {"span.type": "span"}, **below},
        {
            "name": "provider attempt 1: OpenAI",
            "attributes": {"gen_ai.provider.name": "openai", "http.response.status_code": 200},
            **below,
        },
        **{"service.name": "openrouter"},
    )


def test_a_broadcast_of_openrouter_is_one_call_at_what_it_billed() -> None:
    spans = broadcast()
    assert not any("a secret" in repr(span) for span in spans)
    (call,) = at_the_end([spans]).values()
    row = call_row(call)
    expected = {
        "role": "owner",
        "provider": "openai",
        "request_model": "openai/gpt-4o-mini",
        "route": "openrouter > openai/gpt-4o-mini",
        "input_tokens": 1000,
        "cache_read_tokens": 400,
        "reasoning_tokens": 20,
        "cost_usd": "0.000200010000",
        "cost_grade": "billed",
        "time_to_first_chunk_s": 0.125,
        "tenant": "acme",
        "user": "u_1",
        "session": "s_1",
        "tags": {"team": "growth"},
        "finish_reasons": ["stop"],
        "response_id": "gen-1764-abcdef",
    }
    assert {name: row[name] for name in expected} == expected


def test_a_broadcast_restates_the_call_with_its_answer() -> None:
    call = owner(1, attributes={semconv.RESPONSE_ID: "gen-1764-abcdef"})
    said = broadcast()
    for order in itertools.permutations([[call], said[:1], said[1:]]):
        ended = at_the_end(order)
        assert {each.owner_span_id for each in ended.values()} == {call.span_id}


def test_of_many_broadcasts_each_keeps_its_own_attribution() -> None:
    """Spans of one shape are settled once: what differs must not be taken from the first."""
    made = [
        span(
            number,
            attributes=OPENROUTER
            | {
                "trace.metadata.tenant": f"t{number % 3}",
                "trace.metadata.openrouter.first_token_ms": 100 + number % 5,
            },
            kind="client",
            scope="openrouter",
            trace_id=f"{number:032x}",
        )
        for number in range(1, 60)
    ]
    for body in (protobuf(made), protobuf(made)):
        ended = at_the_end([list(wire.traces(body).spans)])
        for each in made:
            row = call_row(ended[each.span_id])
            number = int(each.span_id, 16)
            assert (row["tenant"], row["tags"]) == (f"t{number % 3}", {"team": "growth"})
            assert row["time_to_first_chunk_s"] == (100 + number % 5) / 1000
            assert row["cost_usd"] == "0.000200010000"


def test_openrouters_names_of_providers_are_those_of_the_conventions() -> None:
    for slug, name in (("google-ai-studio", "gcp.gemini"), ("amazon-bedrock", "aws.bedrock")):
        (call,) = at_the_end([broadcast(**{"gen_ai.provider.name": slug})]).values()
        assert call_row(call)["provider"] == name


def test_an_export_of_cloudflare_is_one_call_without_its_content() -> None:
    spans = export("cloudflare", {"name": "ai-gateway", "attributes": CLOUDFLARE})
    assert "a secret" not in repr(spans)
    (call,) = at_the_end([spans]).values()
    row = call_row(call)
    assert row["route"] == "cloudflare-ai-gateway > openai/gpt-4o-mini"
    assert (row["input_tokens"], row["output_tokens"]) == (1000, 100)
    assert (row["cost_usd"], row["cost_grade"]) == ("0.000210000000", "derived")


def test_an_export_of_cloudflare_below_our_call_restates_it() -> None:
    """As it is with the bridge, which gives Cloudflare the ids of the call."""
    call = owner(9, trace_id=TRACE_ID)
    below = {"name": "ai-gateway", "attributes": CLOUDFLARE, "parentSpanId": call.span_id}
    spans = export("cloudflare", below)
    for order in ([[call], spans], [spans, [call]]):
        ended = at_the_end(order)
        assert {each.owner_span_id for each in ended.values()} == {call.span_id}
