"""xAI's wire: messages of the SDK's own stubs in, attributes out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from xai_sdk.chat import Chunk, Response
from xai_sdk.proto import chat_pb2, image_pb2, usage_pb2
from xai_sdk.sync.image import ImageResponse

from tollspan.instrumentation._xai_chat import CHAT, IMAGES, STREAM


def _response(**usage: Any) -> Response:
    outputs = [
        chat_pb2.CompletionOutput(
            finish_reason="REASON_MAX_LEN", message=chat_pb2.CompletionMessage()
        )
    ]
    made = chat_pb2.GetChatCompletionResponse(
        id="1", model="grok-4.3", outputs=outputs, usage=usage_pb2.SamplingUsage(**usage)
    )
    return Response(made, 0)


SAID = {
    "gen_ai.response.id": "1",
    "gen_ai.response.model": "grok-4.3",
    "gen_ai.response.finish_reasons": ["length"],
}


def test_reasoning_is_added_to_the_output_where_the_total_says_that_it_is_beside() -> None:
    beside = CHAT.response(
        _response(prompt_tokens=11, completion_tokens=7, reasoning_tokens=5, total_tokens=23)
    )
    within = CHAT.response(
        _response(prompt_tokens=11, completion_tokens=12, reasoning_tokens=5, total_tokens=23)
    )
    tokens = {
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.reasoning.output_tokens": 5,
    }
    assert dict(beside) == dict(within) == {**SAID, **tokens}


def test_what_is_not_set_is_unknown_and_not_zero() -> None:
    assert dict(CHAT.response(_response())) == SAID
    assert dict(CHAT.response(Response(chat_pb2.GetChatCompletionResponse(), 0))) == {}


def test_a_cost_of_no_ticks_is_stated_only_where_it_is_set() -> None:
    assert "tollspan.cost.reported_usd" not in CHAT.response(_response(prompt_tokens=1))
    found = CHAT.response(_response(cost_in_usd_ticks=12_345))
    assert found["tollspan.cost.reported_usd"] == pytest.approx(1.2345e-6)


def test_uses_of_server_side_tools_are_counted_by_kind() -> None:
    kinds = usage_pb2.ServerSideTool
    used = [
        kinds.SERVER_SIDE_TOOL_WEB_SEARCH,
        kinds.SERVER_SIDE_TOOL_WEB_SEARCH,
        kinds.SERVER_SIDE_TOOL_CODE_EXECUTION,
        kinds.SERVER_SIDE_TOOL_COLLECTIONS_SEARCH,
        kinds.SERVER_SIDE_TOOL_X_SEARCH,
    ]
    assert dict(CHAT.response(_response(server_side_tools_used=used))) == {
        **SAID,
        "tollspan.usage.web_searches": 2,
        "tollspan.usage.code_runs": 1,
        "tollspan.usage.file_searches": 1,
    }


def test_a_request_says_only_what_was_set() -> None:
    chat = SimpleNamespace(_proto=chat_pb2.GetCompletionsRequest(model="grok-4.3"))
    assert dict(STREAM.request({"self": chat})) == {
        "gen_ai.request.model": "grok-4.3",
        "gen_ai.request.stream": True,
    }
    chat._proto = chat_pb2.GetCompletionsRequest(
        model="grok-4.3",
        temperature=0,
        seed=0,
        stop=["END"],
        reasoning_effort="EFFORT_LOW",
        response_format=chat_pb2.ResponseFormat(format_type="FORMAT_TYPE_JSON_OBJECT"),
        tools=[
            chat_pb2.Tool(function=chat_pb2.Function(name="weather", description="secret")),
            chat_pb2.Tool(web_search=chat_pb2.WebSearch()),
        ],
        messages=[chat_pb2.Message(content=[chat_pb2.Content(text="secret")])],
    )
    assert dict(CHAT.request({"self": chat, "n": 3})) == {
        "gen_ai.request.model": "grok-4.3",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.seed": 0,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "gen_ai.request.choice.count": 3,
        "tollspan.tools.sent": 2,
        "tollspan.tools.sent.names": ("weather", "web_search"),
    }


def test_of_a_streams_running_totals_the_last_counts() -> None:
    assert STREAM.fold is not None
    fold = STREAM.fold()
    for tokens, reason in ((1, 0), (2, 0), (3, 3)):
        chunk = chat_pb2.GetChatCompletionChunk(
            id="1",
            model="grok-4.3",
            outputs=[chat_pb2.CompletionOutputChunk(finish_reason=reason)],
            usage=usage_pb2.SamplingUsage(prompt_tokens=5, completion_tokens=tokens),
        )
        fold.add((object(), Chunk(chunk, 0)))
    assert dict(fold.attributes()) == {
        **SAID,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
    }


def test_images_of_one_answer_are_read_once() -> None:
    usage = usage_pb2.SamplingUsage(cost_in_usd_ticks=400_000_000)
    made = image_pb2.ImageResponse(images=[{}, {}], model="grok-imagine-image", usage=usage)
    answer = [ImageResponse(made, at) for at in range(2)]
    assert dict(IMAGES.response(answer)) == {
        "gen_ai.response.model": "grok-imagine-image",
        "tollspan.cost.reported_usd": pytest.approx(0.04),
    }


@pytest.mark.parametrize("odd", [None, 1, "text", [], [None], ({},), {"_proto": {"usage": 1}}])
def test_what_is_no_message_says_nothing(odd: Any) -> None:
    assert STREAM.fold is not None
    fold = STREAM.fold()
    fold.add(odd)
    fold.add((None, odd))
    assert dict(fold.attributes()) == dict(CHAT.response(odd)) == {}
    assert dict(CHAT.request({"self": odd, "n": odd})) == {}
