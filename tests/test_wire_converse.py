"""The Converse wire: what the SDK parsed, and the messages of an event stream, to attributes."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from tollspan import config
from tollspan.instrumentation._bedrock_models import asked_model, named_model
from tollspan.instrumentation._converse import (
    CONVERSE,
    CONVERSE_STREAM,
    COUNT_TOKENS,
    ConverseFold,
    failure,
)

USAGE = {
    "inputTokens": 4,
    "outputTokens": 221,
    "totalTokens": 3390,
    "cacheReadInputTokens": 2000,
    "cacheWriteInputTokens": 1165,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 1000}, {"ttl": "1h", "inputTokens": 165}],
}
SERVED = {"serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"}}
ROUTED = {
    "promptRouter": {
        "invokedModelId": "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-5-haiku"
    }
}
ANSWER = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"text": "a"},
                {"toolUse": {"toolUseId": "1", "name": "weather", "input": {}}},
                {"toolUse": {"toolUseId": "2", "name": "weather", "input": {}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 5},
    "trace": ROUTED,
    **SERVED,
    "ResponseMetadata": {"RetryAttempts": 2, "HTTPHeaders": {}},
}
EXPECTED = {
    "gen_ai.response.finish_reasons": ["tool_use"],
    "gen_ai.response.model": "us.anthropic.claude-3-5-haiku",
    "gen_ai.usage.input_tokens": 3169,  # 4 fresh + 2000 read + 1165 written
    "gen_ai.usage.output_tokens": 221,
    "gen_ai.usage.cache_read.input_tokens": 2000,
    "gen_ai.usage.cache_write.input_tokens": 1165,
    "tollspan.usage.cache_write_5m.input_tokens": 1000,
    "tollspan.usage.cache_write_1h.input_tokens": 165,
    "tollspan.service_tier": "flex",
    "tollspan.speed": "optimized",
    "tollspan.tools.called": 2,
    "tollspan.tools.called.names": ("weather",),
    "tollspan.app_attempts": 3,
}


def event(kind: str, content: Any) -> dict[str, Any]:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"headers": {":event-type": kind, ":message-type": "event"}, "payload": payload}


def failed(kind: str) -> dict[str, Any]:
    return {"headers": {":exception-type": kind, ":message-type": "exception"}, "payload": b"{}"}


EVENTS = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"delta": {"text": "a"}, "contentBlockIndex": 0}),
    event("contentBlockStart", {"start": {"toolUse": {"name": "weather"}}, "contentBlockIndex": 1}),
    event("contentBlockStart", {"start": {"toolUse": {"name": "weather"}}, "contentBlockIndex": 2}),
    event("messageStop", {"stopReason": "tool_use"}),
    event("metadata", {"usage": USAGE, "metrics": {}, "trace": ROUTED, **SERVED}),
]


def folded(events: list[dict[str, Any]], answer: Any = ANSWER) -> dict[str, Any]:
    fold = ConverseFold()
    fold.opened(answer)
    for each in events:
        fold.add(each)
    return dict(fold.attributes())


def test_an_answer() -> None:
    assert dict(CONVERSE.response(ANSWER)) == EXPECTED


def test_a_stream_says_the_same() -> None:
    assert folded(EVENTS) == EXPECTED


def test_a_stream_that_ends_early_says_what_came() -> None:
    assert folded(EVENTS[:3], {}) == {
        "tollspan.tools.called": 1,
        "tollspan.tools.called.names": ("weather",),
    }


def test_the_last_usage_counts_and_none_is_summed() -> None:
    more = event("metadata", {"usage": {"inputTokens": 9, "outputTokens": 300}})
    found = folded([*EVENTS, more])
    assert found["gen_ai.usage.input_tokens"] == 9
    assert found["gen_ai.usage.output_tokens"] == 300


@pytest.mark.parametrize("kind", ["throttlingException", "modelStreamErrorException"])
def test_a_failure_inside_a_stream_is_an_error_with_what_came(kind: str) -> None:
    found = folded([*EVENTS[:5], failed(kind)])
    assert found["error.type"] == kind
    assert found["gen_ai.response.finish_reasons"] == ["tool_use"]


def test_a_request() -> None:
    asked = {
        "modelId": "us.anthropic.claude-3-5-haiku",
        "messages": [{"role": "user", "content": [{"text": "q"}]}],
        "inferenceConfig": {
            "maxTokens": 10,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["|"],
        },
        "additionalModelRequestFields": {"top_k": 5},
        "outputConfig": {"textFormat": {"type": "json_schema"}},
        "toolConfig": {"tools": [{"toolSpec": {"name": "weather"}}, {"cachePoint": {}}]},
    }
    assert dict(CONVERSE_STREAM.request({"api_params": asked})) == {
        "tollspan.api": "converse",
        "gen_ai.request.model": "us.anthropic.claude-3-5-haiku",
        "gen_ai.request.max_tokens": 10,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 5.0,
        "gen_ai.request.stop_sequences": ["|"],
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "tollspan.tools.sent": 1,
        "tollspan.tools.sent.names": ("weather",),
    }


def test_counted_tokens_are_not_used_ones() -> None:
    assert dict(COUNT_TOKENS.response({"inputTokens": 10})) == {}


def test_an_sdk_from_before_caching_still_states_the_total() -> None:
    """botocore before 1.37.27 drops the cached counts, not the total that has them."""
    usage = {"inputTokens": 4, "outputTokens": 5, "totalTokens": 109}
    assert dict(CONVERSE.response({"usage": usage})) == {
        "gen_ai.usage.input_tokens": 104,
        "gen_ai.usage.output_tokens": 5,
        "tollspan.usage.untrusted": True,
    }


# --- which model ----------------------------------------------------------------------------------

_OWN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("model_id", "model"),
    [
        ("anthropic.claude-3-5-haiku-20241022-v1:0", "anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("global.amazon.nova-2-lite-v1:0", "global.amazon.nova-2-lite-v1:0"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.anthropic.claude-x",
            "us-gov.anthropic.claude-x",
        ),
        (_OWN, None),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", None),
        ("arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1", None),
        ("arn:aws:sagemaker:us-east-1:1:endpoint/x", None),
    ],
)
def test_an_id_names_a_model_or_is_another_name_for_one(model_id: str, model: str | None) -> None:
    assert named_model(model_id) == model
    assert asked_model(model_id) == {"gen_ai.request.model": model or model_id}


@pytest.mark.parametrize("key", [_OWN, "abc123"])
def test_the_settings_say_what_an_id_of_ones_own_stands_for(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_BEDROCK_MODELS", f"{key}=us.anthropic.claude-x-v1:0,other=x")
    config.reload()
    assert asked_model(_OWN) == {
        "gen_ai.request.model": "us.anthropic.claude-x-v1:0",
        "tollspan.model.deployment": "abc123",
    }
    assert asked_model("amazon.nova-lite-v1:0") == {"gen_ai.request.model": "amazon.nova-lite-v1:0"}


# --- guardrails -----------------------------------------------------------------------------------


def _assessment(action: str) -> dict[str, Any]:
    return {"topicPolicy": {"topics": [{"name": "t", "type": "DENY", "action": action}]}}


NOTHING = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
SOME = {"inputTokens": 17, "outputTokens": 9, "totalTokens": 26}


@pytest.mark.parametrize(
    ("usage", "trace", "blocked"),
    [
        (NOTHING, {"inputAssessment": {"g": _assessment("BLOCKED")}}, "before"),
        (SOME, {"outputAssessments": {"g": [_assessment("BLOCKED")]}}, "after"),
        (None, {"inputAssessment": {"g": _assessment("BLOCKED")}}, "before"),
        (None, {"outputAssessments": {"g": [_assessment("BLOCKED")]}}, "after"),
        (NOTHING, None, "before"),  # nobody asked for a trace: the usage says it
        (SOME, None, "after"),
        (None, None, "somewhere"),
        (SOME, {"outputAssessments": {"g": [_assessment("ANONYMIZED")]}}, None),  # only masked
    ],
)
def test_who_blocked_a_call_and_when(usage: Any, trace: Any, blocked: str | None) -> None:
    answer: dict[str, Any] = {"stopReason": "guardrail_intervened"}
    if usage is not None:
        answer["usage"] = usage
    if trace is not None:
        answer["trace"] = {"guardrail": trace}
    for found in (
        dict(CONVERSE.response(answer)),
        folded([event("messageStop", {"stopReason": "guardrail_intervened"}),
                event("metadata", {key: answer[key] for key in answer if key != "stopReason"})], {}),
    ):  # fmt: skip
        assert found["gen_ai.response.finish_reasons"] == ["guardrail_intervened"]
        assert found.get("tollspan.blocked_by") == (None if blocked is None else "model")
        stage = found.get("tollspan.blocked_stage")
        assert stage == (None if blocked == "somewhere" else blocked)
        assert found.get("gen_ai.usage.input_tokens") == (usage and usage["inputTokens"])


def test_the_models_own_filter_blocks_too() -> None:
    found = dict(CONVERSE.response({"stopReason": "content_filtered", "usage": SOME}))
    assert found["tollspan.blocked_by"] == "model"
    assert found["gen_ai.usage.output_tokens"] == 9


# --- errors ---------------------------------------------------------------------------------------


class ClientError(Exception):
    """As botocore's: a class for every code that the service does not model."""

    response: ClassVar[dict[str, Any]] = {
        "Error": {"Code": "ExpiredTokenException", "Message": "m"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "RetryAttempts": 1},
    }


class ThrottlingException(ClientError):
    """Modelled: its class says as much as its code."""


def test_the_general_exception_is_told_by_its_code() -> None:
    assert dict(failure(ClientError())) == {
        "error.type": "ExpiredTokenException",
        "tollspan.app_attempts": 2,
    }
    assert dict(failure(ThrottlingException())) == {"tollspan.app_attempts": 2}
    assert dict(failure(ValueError("x"))) == {}
