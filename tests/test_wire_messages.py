"""The messages wire: JSON in, attributes out, as dicts and as the SDK's objects."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import (
    Message,
    RawContentBlockDeltaEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
)
from anthropic.types.beta import BetaMessage

from tollspan.instrumentation._messages import COUNT_TOKENS, MESSAGES

USAGE = {
    "input_tokens": 4,
    "cache_creation_input_tokens": 1165,
    "cache_read_input_tokens": 2000,
    "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 165},
    "output_tokens": 221,
    "output_tokens_details": {"thinking_tokens": 100},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "priority",
    "speed": "fast",
    "inference_geo": "us",
}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-6",
    "content": [{"type": "text", "text": "a"}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}
EXPECTED = {
    "gen_ai.response.id": "msg_1",
    "gen_ai.response.model": "claude-sonnet-4-6",
    "gen_ai.response.finish_reasons": ["end_turn"],
    "gen_ai.usage.input_tokens": 3169,  # 4 fresh + 2000 read + 1165 written
    "gen_ai.usage.output_tokens": 221,
    "gen_ai.usage.cache_read.input_tokens": 2000,
    "gen_ai.usage.cache_write.input_tokens": 1165,
    "tollspan.usage.cache_write_5m.input_tokens": 1000,
    "tollspan.usage.cache_write_1h.input_tokens": 165,
    "gen_ai.usage.reasoning.output_tokens": 100,
    "tollspan.usage.web_searches": 2,
    "tollspan.service_tier": "priority",
    "tollspan.speed": "fast",
    "tollspan.inference_geo": "us",
}
DELTA_USAGE = {
    "output_tokens": 221,
    "input_tokens": 4,
    "cache_read_input_tokens": None,
    "output_tokens_details": {"thinking_tokens": 100},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
}


def _events() -> list[dict[str, Any]]:
    opening = USAGE | {"output_tokens": 1, "server_tool_use": None, "output_tokens_details": None}
    return [
        {
            "type": "message_start",
            "message": ANSWER | {"stop_reason": None, "content": [], "usage": opening},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "a"},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": None},
            "usage": {"output_tokens": 110},
        },
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": DELTA_USAGE},
        {"type": "message_stop"},
    ]


_MODELS = {
    "message_start": RawMessageStartEvent,
    "message_delta": RawMessageDeltaEvent,
    "content_block_delta": RawContentBlockDeltaEvent,
}


def _event(json: dict[str, Any]) -> Any:
    model = _MODELS.get(json["type"])
    return json if model is None else model.construct(**json)


def _folded(events: list[Any]) -> dict[str, Any]:
    fold = MESSAGES.fold()
    for event in events:
        fold.add(event)
    return dict(fold.attributes())


@pytest.mark.parametrize("made", [dict, lambda json: Message.construct(**json)])
def test_an_answer_reads_as_attributes(made: Any) -> None:
    assert dict(MESSAGES.response(made(ANSWER))) == EXPECTED


def test_the_beta_answer_is_the_same_answer() -> None:
    assert dict(MESSAGES.response(BetaMessage.construct(**ANSWER))) == EXPECTED


@pytest.mark.parametrize("made", [dict, _event])
def test_a_stream_reads_as_the_plain_answer(made: Any) -> None:
    assert _folded([made(event) for event in _events()]) == EXPECTED


def test_a_stream_cut_short_states_what_was_stated() -> None:
    found = _folded(_events()[:4])
    assert found["gen_ai.usage.input_tokens"] == 3169
    assert "gen_ai.response.finish_reasons" not in found


def test_cached_tokens_alone_are_not_the_input() -> None:
    found = MESSAGES.response({"usage": {"cache_read_input_tokens": 5, "output_tokens": 1}})
    assert found["gen_ai.usage.cache_read.input_tokens"] == 5
    assert "gen_ai.usage.input_tokens" not in found


def test_a_write_stated_only_by_duration_is_the_sum() -> None:
    created = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    found = MESSAGES.response({"usage": {"input_tokens": 1, "cache_creation": created}})
    assert found["gen_ai.usage.cache_write.input_tokens"] == 7
    assert found["gen_ai.usage.input_tokens"] == 8


def test_compaction_is_billed_beside_the_totals_and_is_added() -> None:
    compaction = {
        "type": "compaction",
        "input_tokens": 1000,
        "output_tokens": 50,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 0,
    }
    message = {"type": "message", "input_tokens": 4, "output_tokens": 221}
    usage = {"input_tokens": 4, "output_tokens": 221, "iterations": [compaction, message]}
    found = MESSAGES.response(BetaMessage.construct(**(ANSWER | {"usage": usage})))
    assert found["gen_ai.usage.input_tokens"] == 4 + 1010
    assert found["gen_ai.usage.output_tokens"] == 221 + 50
    assert found["gen_ai.usage.cache_read.input_tokens"] == 10


def test_an_error_event_is_told() -> None:
    fold = MESSAGES.fold()
    fold.add(_events()[0])
    fold.add({"type": "error", "error": {"type": "overloaded_error", "message": "m"}})
    assert fold.error == "overloaded_error"  # type: ignore[attr-defined]
    assert fold.attributes()["error.type"] == "overloaded_error"


def test_a_sum_beyond_64_bits_is_unknown() -> None:
    usage = {"input_tokens": 2**63 - 1, "cache_read_input_tokens": 2**63 - 1}
    assert "gen_ai.usage.input_tokens" not in MESSAGES.response({"usage": usage})


def test_a_request_reads_as_attributes() -> None:
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "secret"}],
        "system": "secret",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["a", "b"],
        "stream": True,
        "service_tier": "auto",
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    }
    assert dict(MESSAGES.request(body)) == {
        "gen_ai.request.model": "claude-sonnet-4-6",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 5.0,
        "gen_ai.request.stop_sequences": ["a", "b"],
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "low",
    }


def test_counting_tokens_uses_none() -> None:
    assert COUNT_TOKENS.operation == "count_tokens"
    assert dict(COUNT_TOKENS.response({"input_tokens": 14})) == {}
