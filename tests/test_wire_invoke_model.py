"""InvokeModel's bodies and chunks, of each family of models, to attributes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tollspan.instrumentation._invoke_model import asked_body, operation, surfaces

WHOLE, STREAM = surfaces("chat")

CLAUDE = {
    "id": "msg_bdrk_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 4,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 1165,
        "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 165},
        "output_tokens": 7,
    },
}
NOVA = {
    "output": {"message": {"role": "assistant", "content": [{"text": "a"}]}},
    "stopReason": "end_turn",
    "usage": {
        "inputTokens": 4,
        "outputTokens": 7,
        "totalTokens": 21,
        "cacheReadInputTokenCount": 10,
        "cacheWriteInputTokenCount": 0,
    },
}
BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "claude": (
        CLAUDE,
        {"input": 3169, "output": 7, "reasons": ["tool_use"], "id": "msg_bdrk_1", "read": 2000},
    ),
    "claude 2": (
        {"completion": "a", "stop_reason": "stop_sequence"},
        {"reasons": ["stop_sequence"]},
    ),
    "nova": (NOVA, {"input": 14, "output": 7, "reasons": ["end_turn"], "read": 10}),
    "titan text": (
        {
            "inputTextTokenCount": 5,
            "results": [
                {"tokenCount": 7, "outputText": "a", "completionReason": "FINISH"},
                {"tokenCount": 3, "outputText": "b", "completionReason": "LENGTH"},
            ],
        },
        {"input": 5, "output": 10, "reasons": ["FINISH", "LENGTH"]},
    ),
    "titan embeddings": ({"embedding": [0.1], "inputTextTokenCount": 8}, {"input": 8}),
    "llama": (
        {
            "generation": "a",
            "prompt_token_count": 5,
            "generation_token_count": 7,
            "stop_reason": "stop",
        },
        {"input": 5, "output": 7, "reasons": ["stop"]},
    ),
    "mistral text": ({"outputs": [{"text": "a", "stop_reason": "stop"}]}, {"reasons": ["stop"]}),
    "mistral chat": (
        {
            "id": "c1",
            "model": "pixtral-large-2502",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a"}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        },
        {"input": 5, "output": 7, "reasons": ["stop"], "id": "c1"},
    ),
    "mistral large": (
        {"choices": [{"index": 0, "message": {"content": "a"}, "stop_reason": "stop"}]},
        {"reasons": ["stop"]},
    ),
    "cohere command": (
        {"id": "g1", "generations": [{"id": "x", "text": "a", "finish_reason": "COMPLETE"}]},
        {"reasons": ["COMPLETE"], "id": "g1"},
    ),
    "cohere command r": (
        {
            "generation_id": "g2",
            "text": "a",
            "finish_reason": "COMPLETE",
            "meta": {"billed_units": {"input_tokens": 5, "output_tokens": 7}},
        },
        {"input": 5, "output": 7, "reasons": ["COMPLETE"], "id": "g2"},
    ),
    "cohere embed": ({"embeddings": [[0.1]], "id": "e1", "texts": ["q"]}, {"id": "e1"}),
    "cohere rerank": ({"results": [{"index": 0, "relevance_score": 0.5}]}, {}),
    "no json object": ([1], {}),
    "nothing": (None, {}),
}
HEADERS = {
    "x-amzn-bedrock-input-token-count": "20",
    "x-amzn-bedrock-output-token-count": "9",
    "x-amzn-bedrock-cache-read-input-token-count": "3",
}
NAMES = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "read": "gen_ai.usage.cache_read.input_tokens",
    "reasons": "gen_ai.response.finish_reasons",
    "id": "gen_ai.response.id",
}


def short(found: Any) -> dict[str, Any]:
    return {name: found[full] for name, full in NAMES.items() if full in found}


def answer(body: Any, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {"body": body, "ResponseMetadata": {"HTTPHeaders": headers or {}}, **more}


@pytest.mark.parametrize("family", BODIES)
def test_each_family_says_what_its_body_states(family: str) -> None:
    body, expected = BODIES[family]
    assert short(WHOLE.response(answer(body))) == expected


@pytest.mark.parametrize("family", BODIES)
def test_what_a_body_leaves_open_bedrock_counts_in_headers(family: str) -> None:
    body, expected = BODIES[family]
    found = short(WHOLE.response(answer(body, HEADERS)))
    stated = {"input": 23, "output": 9, "read": 3}  # 20 fresh + 3 read from the cache
    if "input" in expected:
        stated = {"output": 9}  # what was read from the cache is in a sum that others made
    assert found == stated | expected


def test_the_tier_and_latency_that_were_served() -> None:
    found = WHOLE.response(
        answer(CLAUDE, serviceTier="priority", performanceConfigLatency="optimized")
    )
    assert found["tollspan.service_tier"] == "priority"
    assert found["tollspan.speed"] == "optimized"
    assert found["gen_ai.response.model"] == "claude-sonnet-4-5-20250929"
    assert found["tollspan.usage.cache_write_1h.input_tokens"] == 165


@pytest.mark.parametrize(
    ("trace", "stage"),
    [
        ({"input": {"g": {"wordPolicy": {"customWords": [{"action": "BLOCKED"}]}}}}, "before"),
        ({"outputs": [{"g": {"wordPolicy": {"customWords": [{"action": "BLOCKED"}]}}}]}, "after"),
        (None, None),
    ],
)
def test_a_guardrail_that_intervened(trace: Any, stage: str | None) -> None:
    body: dict[str, Any] = {"type": "message", "amazon-bedrock-guardrailAction": "INTERVENED"}
    if trace is not None:
        body["amazon-bedrock-trace"] = {"guardrail": trace}
    found = WHOLE.response(answer(body))
    assert found["tollspan.blocked_by"] == "model"
    assert found.get("tollspan.blocked_stage") == stage
    untouched = WHOLE.response(answer({**CLAUDE, "amazon-bedrock-guardrailAction": "NONE"}))
    assert "tollspan.blocked_by" not in untouched


# --- streams --------------------------------------------------------------------------------------


def chunk(content: Any) -> dict[str, Any]:
    inner = base64.b64encode(json.dumps(content).encode()).decode()
    return {
        "headers": {":event-type": "chunk", ":message-type": "event"},
        "payload": json.dumps({"bytes": inner, "p": "abc"}).encode(),
    }


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 7}}
STREAMS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "claude": (
        [
            {
                "type": "message_start",
                "message": {
                    **CLAUDE,
                    "stop_reason": None,
                    "usage": {**CLAUDE["usage"], "output_tokens": 1},
                },
            },
            {"type": "content_block_delta", "index": 0, "delta": {"text": '"usage"'}},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use"},
                "usage": {"output_tokens": 7},
            },
            {"type": "message_stop", **METRICS},
        ],
        {"input": 3169, "output": 7, "reasons": ["tool_use"], "id": "msg_bdrk_1", "read": 2000},
    ),
    "nova": (
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "a"}, "contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": NOVA["usage"]}, **METRICS},
        ],
        {"input": 14, "output": 7, "reasons": ["end_turn"], "read": 10},
    ),
    "titan text": (
        [
            {"outputText": "a", "inputTextTokenCount": 5, "completionReason": None},
            {
                "outputText": "b",
                "inputTextTokenCount": None,
                "totalOutputTextTokenCount": 7,
                "completionReason": "FINISH",
                **METRICS,
            },
        ],
        {"input": 5, "output": 7, "reasons": ["FINISH"]},
    ),
    "llama": (
        [
            {"generation": "a", "prompt_token_count": 5, "generation_token_count": 1},
            {
                "generation": "",
                "prompt_token_count": None,
                "generation_token_count": 7,
                "stop_reason": "stop",
                **METRICS,
            },
        ],
        {"input": 5, "output": 7, "reasons": ["stop"]},
    ),
    "mistral text": (
        [
            {"outputs": [{"text": "a", "stop_reason": None}]},
            {"outputs": [{"text": "", "stop_reason": "stop"}], **METRICS},
        ],
        {"input": 5, "output": 7, "reasons": ["stop"]},
    ),
    "cohere command r": (
        [
            {"event_type": "text-generation", "text": "a", "is_finished": False},
            {
                "event_type": "stream-end",
                "finish_reason": "COMPLETE",
                "response": {"generation_id": "g2", "text": "a"},
                **METRICS,
            },
        ],
        {"input": 5, "output": 7, "reasons": ["COMPLETE"], "id": "g2"},
    ),
    "openai": (
        [
            {"id": "c1", "choices": [{"index": 0, "delta": {"content": "a"}}]},
            {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {
                "id": "c1",
                "choices": [],
                "usage": {"prompt_tokens": 5, "completion_tokens": 7},
                **METRICS,
            },
        ],
        {"input": 5, "output": 7, "reasons": ["stop"], "id": "c1"},
    ),
}


def folded(events: list[Any]) -> dict[str, Any]:
    assert STREAM.fold is not None
    fold = STREAM.fold()
    fold.opened(answer(object(), serviceTier="flex"))  # type: ignore[attr-defined]
    for each in events:
        fold.add(each)
    return dict(fold.attributes())


@pytest.mark.parametrize("family", STREAMS)
def test_each_familys_stream(family: str) -> None:
    chunks, expected = STREAMS[family]
    found = folded([chunk(each) for each in chunks])
    assert short(found) == expected
    assert found["tollspan.service_tier"] == "flex"


def test_what_no_chunk_states_the_last_one_counts() -> None:
    counted = {"inputTokenCount": 5, "outputTokenCount": 7, "cacheReadInputTokenCount": 100}
    last = {"outputText": "a", "amazon-bedrock-invocationMetrics": counted}
    assert short(folded([chunk(last)])) == {"input": 105, "output": 7, "read": 100}


def test_a_failure_inside_a_stream() -> None:
    events = [chunk(each) for each in STREAMS["claude"][0][:2]]
    broken = {
        "headers": {":exception-type": "throttlingException", ":message-type": "exception"},
        "payload": b'{"message": "secret"}',
    }
    found = folded([*events, broken])
    assert found["error.type"] == "throttlingException"
    assert found["gen_ai.usage.input_tokens"] == 3169
    assert "secret" not in str(found)


@pytest.mark.parametrize("inner", ["!", "bm8ganNvbg==", 5, None, [], "W10=", "bnVsbA=="])
def test_chunks_that_hold_nothing_readable(inner: Any) -> None:
    payload = json.dumps({"bytes": inner}).encode()
    assert short(folded([{"headers": {":event-type": "chunk"}, "payload": payload}])) == {}


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "body", "kind", "asked"),
    [
        (
            "us.anthropic.claude-x",
            {"messages": [], "max_tokens": 9, "top_k": 5, "tools": [{"name": "weather"}]},
            "chat",
            {"max_tokens": 9, "top_k": 5.0, "tools.sent": 1},
        ),
        (
            "amazon.nova-lite-v1:0",
            {"messages": [], "inferenceConfig": {"max_new_tokens": 9, "top_p": 0.5}},
            "chat",
            {"max_tokens": 9, "top_p": 0.5},
        ),
        (
            "amazon.titan-text-lite-v1",
            {"inputText": "q", "textGenerationConfig": {"maxTokenCount": 9, "temperature": 1}},
            "text_completion",
            {"max_tokens": 9, "temperature": 1.0},
        ),
        ("amazon.titan-embed-text-v2:0", {"inputText": "q"}, "embeddings", {}),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "q", "max_gen_len": 9}, "text_completion", {"max_tokens": 9}),
        ("mistral.mixtral-8x7b-instruct-v0:1", {"prompt": "q", "stop": ["|"]}, "text_completion", {"stop_sequences": ["|"]}),
        ("cohere.command-r-v1:0", {"message": "q", "p": 0.5, "k": 3}, "chat", {"top_p": 0.5, "top_k": 3.0}),
        ("cohere.embed-english-v3", {"texts": ["q"], "input_type": "search_query"}, "embeddings", {}),
        ("cohere.rerank-v3-5:0", {"query": "q", "documents": []}, "rerank", {}),
        ("amazon.nova-canvas-v1:0", {"taskType": "TEXT_IMAGE"}, "image_generation", {}),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a", {"messages": []}, "chat", {}),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/a", {"texts": []}, "embeddings", {}),
    ],
)  # fmt: skip
def test_what_is_asked(model: str, body: Any, kind: str, asked: dict[str, Any]) -> None:
    params = {"modelId": model, "body": json.dumps(body)}
    read = asked_body(params)
    assert read == body
    assert operation(model, read) == kind
    found = WHOLE.request({"api_params": params, "body": read})
    assert found["gen_ai.request.model"] == model
    for name, value in asked.items():
        prefix = "tollspan." if name == "tools.sent" else "gen_ai.request."
        assert found[prefix + name] == value


@pytest.mark.parametrize(
    "body", [b"{" + b" " * 70_000 + b"}", b"no json", "[]", None, object(), b"\xff", 5]
)
def test_a_request_that_is_large_or_no_object_is_left_alone(body: Any) -> None:
    assert asked_body({"modelId": "x", "body": body}) == {}
    assert operation("x", {}) == "chat"
