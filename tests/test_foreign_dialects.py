"""A span of another instrumentation says the same wherever it is read: in process, in the ledger."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from spans import START_NS, span

from tollspan import semconv
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.rows import call_row
from tollspan.collector.stage import Remembered, Stage
from tollspan.processors.ownership import owned
from tollspan.processors.spans import adopt_provider

OLD = {
    "gen_ai.system": "OpenAI",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reason": "stop",
    "gen_ai.usage.prompt_tokens": "1000",
    "gen_ai.usage.completion_tokens": 100.0,
}
OPENLLMETRY = {
    "gen_ai.system": "openai",
    "llm.request.type": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.prompt_tokens": 1_000,
    "gen_ai.usage.completion_tokens": 100,
    "gen_ai.usage.cache_read_input_tokens": 0,
    "llm.usage.total_tokens": 1_100,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 1_000,
    "llm.token_count.completion": 100,
    "llm.token_count.prompt_details.cache_read": 0,
    "llm.cost.total": 0.9,
}
AI_SDK = {
    "operation.name": "ai.generateText.doGenerate",
    "ai.operationId": "ai.generateText.doGenerate",
    "ai.model.provider": "openai.chat",
    "ai.model.id": "gpt-4o",
    "ai.response.finishReason": "content-filter",
    "ai.response.id": "chatcmpl-1",
    "ai.response.model": "gpt-4o-2024-08-06",
    "ai.usage.promptTokens": 1_000,
    "ai.usage.completionTokens": 100,
    "gen_ai.system": "openai.chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.finish_reasons": ["content-filter"],
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.output_tokens": 100,
}
AI_SDK_ALONE = {name: value for name, value in AI_SDK.items() if not name.startswith("gen_ai.")}
LITELLM = {
    "gen_ai.system": "openai",
    "gen_ai.operation.name": "acompletion",
    "gen_ai.request.model": "house-model",
    "gen_ai.usage.prompt_tokens": 1_000,
    "gen_ai.usage.completion_tokens": 100,
    "gen_ai.usage.cost.amount": 0.0,
    "gen_ai.cost.total_cost": 0.9,
}
DIALECTS: dict[str, dict[str, Any]] = {
    "old": OLD,
    "openllmetry": OPENLLMETRY,
    "openinference": OPENINFERENCE,
    "ai sdk": AI_SDK,
    "litellm": LITELLM,
}
FACTS = (
    semconv.OPERATION,
    semconv.PROVIDER,
    semconv.REQUEST_MODEL,
    semconv.RESPONSE_MODEL,
    semconv.RESPONSE_ID,
    semconv.FINISH_REASONS,
    semconv.INPUT_TOKENS,
    semconv.OUTPUT_TOKENS,
    semconv.CACHE_READ_TOKENS,
    semconv.STATUS,
    semconv.ROUTE,
    semconv.COST_AMOUNT,
    semconv.COST_GRADE,
    semconv.GRADE_REASON,
    semconv.COST_DERIVED,
    semconv.COST_REPORTED,
    semconv.RESTATED_COST,
)


def in_the_ledger(attributes: dict[str, Any], **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes of the one call that a span makes, and its row without what names the span."""
    came = span(1, attributes=attributes, kind="client", scope="another", **more)
    (call,) = Stage(settled, normalised, lambda trace_ids: Remembered()).take([came])
    row = call_row(call)
    # Only the application knows whether its data are real.
    return dict(call.attributes), {n: row[n] for n in row.keys() - {"version", "data_mode"}}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_copy_made_in_process_and_the_row_of_the_bare_span_agree(
    dialect: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    undo = adopt_provider(provider)
    try:
        tracer = provider.get_tracer("another")
        made = tracer.start_span("call", kind=SpanKind.CLIENT, start_time=START_NS)
        made.set_attributes(DIALECTS[dialect])
        made.end()
    finally:
        undo()
    (copy,) = exporter.get_finished_spans()
    own = dict(copy.attributes or {})
    told, row = in_the_ledger(DIALECTS[dialect])

    def plain(said: dict[str, Any]) -> dict[str, Any]:
        listed = {n: list(v) if isinstance(v, tuple) else v for n, v in said.items()}
        return {name: listed.get(name) for name in FACTS}

    assert plain(own) == plain(told)
    assert own[semconv.COST_ROLE] == "owner"
    assert in_the_ledger(own)[1] == row, "the copy, sent on, makes the same row"
    assert row["input_tokens"] == 1_000
    assert row["output_tokens"] == 100
    assert row["provider"] == "openai"
    assert row["operation"] == "chat"
    unknown = dialect == "litellm"
    assert row["cost_usd"] == ("0.900000000000" if unknown else "0.003500000000")
    assert row["cost_grade"] == ("estimated" if unknown else "derived")
    assert row["status"] == "success"
    assert row["blocked_by"] == ("model" if dialect == "ai sdk" else "")


def test_names_of_the_ai_sdk_alone_say_all_that_is_needed() -> None:
    told, _ = in_the_ledger(AI_SDK_ALONE)
    own = owned(AI_SDK_ALONE, {}, start_ns=START_NS)

    assert {name: own.get(name) for name in FACTS} == {name: told.get(name) for name in FACTS}
    assert own[semconv.COST_AMOUNT] == 0.0035
    assert own[semconv.RESPONSE_ID] == "chatcmpl-1"
    assert own[semconv.BLOCKED_BY] == "model"


@pytest.mark.parametrize("value", ["many", -1, 1.5, True, float("nan"), [], "9" * 40])
def test_what_is_no_count_gives_way_to_another_name_that_is_one(value: Any) -> None:
    said = {**OLD, "gen_ai.usage.input_tokens": value}
    assert in_the_ledger(said)[1]["input_tokens"] == 1_000
    assert owned(said, {})[semconv.INPUT_TOKENS] == 1_000
    del said["gen_ai.usage.prompt_tokens"]
    assert in_the_ledger(said)[1]["input_tokens"] is None
    assert semconv.INPUT_TOKENS not in owned(said, {})


def test_a_failed_span_is_a_failed_call_in_both_places() -> None:
    told, row = in_the_ledger(OPENLLMETRY, status="error")
    own = owned(OPENLLMETRY, {}, failed=True, start_ns=START_NS)

    assert row["status"] == own[semconv.STATUS] == "error"
    assert told[semconv.COST_GRADE] == own[semconv.COST_GRADE] == "lower_bound"
    assert row["waste_reason"] == own[semconv.WASTE_REASON] == "error"


@pytest.mark.parametrize(
    "said",
    [
        {"openinference.span.kind": "CHAIN", "llm.model_name": "gpt-4o"},
        {"openinference.span.kind": "AGENT", "llm.model_name": "gpt-4o"},
        {"ai.operationId": "ai.generateText", "ai.model.id": "gpt-4o"},
    ],
)
def test_spans_around_calls_are_none(said: dict[str, Any]) -> None:
    came = span(1, attributes={**said, "llm.token_count.prompt": 10}, scope="another")
    assert Stage(settled, normalised, lambda trace_ids: Remembered()).take([came]) == []


ONE = {semconv.PROVIDER: "openai", semconv.REQUEST_MODEL: "gpt-4o"}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "langfuse": (
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.usage_details": '{"input": 1000, "output": 100, "total": 1100}',
            "langfuse.observation.cost_details": '{"total": 0.9}',
            "gen_ai.system": "openai",
        },
    ),
    "langsmith": (
        "langsmith",
        {
            "langsmith.span.kind": "llm",
            "langsmith.metadata.ls_provider": "openai",
            "langsmith.metadata.ls_model_name": "gpt-4o",
            "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 100,
        },
    ),
    "agentgateway": (
        "agentgateway",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 100,
            "agw.ai.usage.cost.total": 0.9,
        },
    ),
    "tensorzero": (
        "tensorzero",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 100,
            "tensorzero.cost_usd": "0.9",
        },
    ),
    "envoy-ai-gateway": ("envoyproxy/ai-gateway", OPENINFERENCE),
    "bifrost": ("bifrost", {**OPENLLMETRY, "gen_ai.usage.cost": 0.9}),
    "kong": ("kong-internal", {**OLD, "gen_ai.provider.name": "openai"}),
    "cloudflare-ai-gateway": (
        "cloudflare",
        {
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.model.provider": "openai",
            "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.cost": 0.9,
        },
    ),
    "vllm-semantic-router": (
        "vllm-semantic-router",
        {
            "model.name": "gpt-4o",
            "model.provider": "openai",
            "model.token_count_prompt": 1_000,
            "model.token_count_completion": 100,
            "decision.name": "cheap",
        },
    ),
}


@pytest.mark.parametrize("dialect", OTHERS)
def test_other_dialects_say_the_same(dialect: str) -> None:
    scope, said = OTHERS[dialect]
    came = span(1, attributes=said, kind="client", scope=scope)
    (call,) = Stage(settled, normalised, lambda trace_ids: Remembered()).take([came])
    row = call_row(call)
    assert (row["provider"], row["request_model"]) == ("openai", "gpt-4o")
    assert (row["input_tokens"], row["output_tokens"]) == (1_000, 100)
    assert row["cost_usd"] == "0.003500000000", "0.9 is somebody's own reckoning"
    gateway = dialect not in ("langfuse", "langsmith")
    assert row["route"] == (f"{dialect} > openai/gpt-4o" if gateway else "openai/gpt-4o")


def test_traefik_writes_on_the_span_of_the_request_that_it_serves() -> None:
    said = {**ONE, semconv.INPUT_TOKENS: 1_000, semconv.OUTPUT_TOKENS: 100, "http.route": "/v1"}
    came = span(1, attributes=said, kind="server", scope="github.com/traefik/traefik")
    (call,) = Stage(settled, normalised, lambda trace_ids: Remembered()).take([came])
    assert call.attributes[semconv.COST_AMOUNT] == 0.0035


def test_what_xai_bills_in_ticks_is_billed() -> None:
    said = {**ONE, "gen_ai.usage.input_tokens": 10, "gen_ai.usage.cost_in_usd_ticks": 5_000_000}
    own = owned({**said, semconv.PROVIDER: "xai"}, {})
    assert (own[semconv.COST_AMOUNT], own[semconv.COST_GRADE]) == (0.0005, "billed")


def langfuse(model: str, usage: str) -> dict[str, Any]:
    """What Langfuse's wrapper of the openai SDK writes: usage as the SDK has it, and no provider."""
    said = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": model,
        "langfuse.observation.usage_details": usage,
    }
    return owned(said, {})


def test_who_serves_is_guessed_from_a_dated_release_that_only_its_maker_serves() -> None:
    usage = '{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}'
    found = langfuse("gpt-4o-2024-08-06", usage)
    assert found[semconv.COST_AMOUNT] == 0.0035
    assert found[semconv.COST_GRADE] == "estimated"
    assert found[semconv.GRADE_REASON] == "unknown_provider"

    for model in ("gpt-4o", "gpt-oss-120b-2025-08-05", "llama-3.1-8b-2024-07-23"):
        found = langfuse(model, usage)
        assert found[semconv.COST_GRADE] == "unpriced", model
        assert semconv.COST_AMOUNT not in found


@pytest.mark.parametrize("words", [("prompt", "completion"), ("input", "output")])
def test_parts_of_the_usage_that_the_sdk_states_are_read(words: tuple[str, str]) -> None:
    asked, answered = words
    usage = {
        f"{asked}_tokens": 1000,
        f"{answered}_tokens": 100,
        f"{asked}_tokens_details": {"cached_tokens": 800, "audio_tokens": None},
        f"{answered}_tokens_details": {"reasoning_tokens": 40},
    }
    found = langfuse("gpt-4o-2024-08-06", json.dumps(usage))
    assert found[semconv.INPUT_TOKENS] == 1000
    assert found[semconv.CACHE_READ_TOKENS] == 800
    assert found[semconv.REASONING_TOKENS] == 40
    assert found[semconv.COST_AMOUNT] == 0.0025  # 200 and 800 at half the price, and 100


@pytest.mark.parametrize("held", ["null", "7", '"x"', "[]", '{"cached_tokens": -1}'])
def test_parts_of_any_shape_cost_no_call(held: str) -> None:
    usage = f'{{"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {held}}}'
    assert langfuse("gpt-4o-2024-08-06", usage)[semconv.COST_AMOUNT] == 0.0035
