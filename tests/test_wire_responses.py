"""The responses wire: JSON in, attributes out, as dicts and as the SDK's objects."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseErrorEvent,
    ResponseFailedEvent,
    ResponseIncompleteEvent,
    ResponseTextDeltaEvent,
)

from tollspan.instrumentation._responses import RESPONSES

USAGE = {
    "input_tokens": 44,
    "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 14},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 9},
    "total_tokens": 344,
}
ANSWER = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5.4-2026-03-05",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "q"}},
        {"type": "web_search_call", "id": "ws_2", "action": {"type": "open_page", "url": "u"}},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
    ],
    "service_tier": "default",
    "usage": USAGE,
}
EXPECTED = {
    "gen_ai.response.id": "resp_1",
    "gen_ai.response.model": "gpt-5.4-2026-03-05",
    "gen_ai.response.finish_reasons": ["stop"],
    "tollspan.service_tier": "default",
    "tollspan.usage.web_searches": 1,
    "tollspan.tools.called": 2,
    "tollspan.tools.called.names": ("web_search",),
    "gen_ai.usage.input_tokens": 44,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 30,
    "gen_ai.usage.cache_write.input_tokens": 14,
    "gen_ai.usage.reasoning.output_tokens": 9,
}
OPENING = ANSWER | {"status": "in_progress", "usage": None, "output": [], "service_tier": "auto"}
_MODELS = {
    "response.created": ResponseCreatedEvent,
    "response.output_text.delta": ResponseTextDeltaEvent,
    "response.completed": ResponseCompletedEvent,
    "response.incomplete": ResponseIncompleteEvent,
    "response.failed": ResponseFailedEvent,
    "error": ResponseErrorEvent,
}


def _events(last: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "response.created", "sequence_number": 0, "response": OPENING},
        {"type": "response.output_text.delta", "sequence_number": 1, "delta": "a"},
        {"type": "response.output_text.done", "sequence_number": 2, "text": "a"},
        last,
    ]


def _event(json: dict[str, Any]) -> Any:
    model = _MODELS.get(json["type"])
    return json if model is None else model.construct(**json)


def _folded(events: list[Any]) -> dict[str, Any]:
    fold = RESPONSES.fold()
    for event in events:
        fold.add(event)
    return dict(fold.attributes())


@pytest.mark.parametrize("made", [dict, lambda json: Response.construct(**json)])
def test_an_answer_reads_as_attributes(made: Any) -> None:
    assert dict(RESPONSES.response(made(ANSWER))) == EXPECTED


@pytest.mark.parametrize("made", [dict, _event])
def test_a_stream_reads_as_the_plain_answer(made: Any) -> None:
    events = _events({"type": "response.completed", "sequence_number": 3, "response": ANSWER})
    assert _folded([made(event) for event in events]) == EXPECTED


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "new_word"}}, "new_word"),
        ({"output": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "tool_calls"),
        ({"status": "in_progress"}, None),
        ({"status": "incomplete", "incomplete_details": None}, None),
    ],
)
def test_how_an_answer_ended(changes: dict[str, Any], reasons: str | None) -> None:
    found = RESPONSES.response(Response.construct(**(ANSWER | changes)))
    assert found.get("gen_ai.response.finish_reasons") == (None if reasons is None else [reasons])


def test_an_incomplete_stream_keeps_its_usage() -> None:
    cut = ANSWER | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    found = _folded([_event(e) for e in _events({"type": "response.incomplete", "response": cut})])
    assert found["gen_ai.usage.output_tokens"] == 300
    assert found["gen_ai.response.finish_reasons"] == ["length"]


def test_a_failed_stream_says_what_failed_and_what_it_used() -> None:
    failed = ANSWER | {"status": "failed", "error": {"code": "server_error", "message": "m"}}
    found = _folded([_event(e) for e in _events({"type": "response.failed", "response": failed})])
    assert found["error.type"] == "server_error"
    assert found["gen_ai.usage.input_tokens"] == 44


def test_an_error_event_is_told() -> None:
    fold = RESPONSES.fold()
    for event in _events({"type": "error", "code": "rate_limit_exceeded", "message": "m"}):
        fold.add(_event(event))
    assert fold.error == "rate_limit_exceeded"  # type: ignore[attr-defined]
    found = fold.attributes()
    assert found["error.type"] == "rate_limit_exceeded"
    assert found["gen_ai.response.id"] == "resp_1"


def test_a_stream_cut_short_states_no_usage() -> None:
    found = _folded([_event(event) for event in _events({"type": "ping"})])
    assert found["gen_ai.response.id"] == "resp_1"
    assert not [name for name in found if name.startswith("gen_ai.usage")]


def test_a_request_reads_as_attributes() -> None:
    body = {
        "model": "gpt-5.4",
        "input": "secret",
        "instructions": "secret",
        "max_output_tokens": 300,
        "temperature": 0.5,
        "top_p": 0.9,
        "stream": True,
        "text": {"format": {"type": "json_schema", "schema": {}}},
        "service_tier": "priority",
        "reasoning": {"effort": "low"},
    }
    assert dict(RESPONSES.request(body)) == {
        "gen_ai.request.model": "gpt-5.4",
        "gen_ai.request.max_tokens": 300,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "openai.request.service_tier": "priority",
        "gen_ai.request.reasoning.level": "low",
    }
