"""Mistral's wires: JSON in, attributes out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from tollspan import semconv
from tollspan.instrumentation._conversations import CONVERSATION, CONVERSATION_STREAM
from tollspan.instrumentation._mistral_audio import TRANSCRIPTION, TRANSCRIPTION_STREAM
from tollspan.instrumentation._mistral_chat import AGENT, CHAT, CHAT_STREAM
from tollspan.instrumentation._ocr import OCR
from tollspan.instrumentation._spec import Surface


class UsageInfo(BaseModel):
    """As the SDK has it: 0 is its own word for what the provider did not say."""

    model_config = ConfigDict(extra="allow")
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0


def event(data: Any) -> Any:
    return SimpleNamespace(data=data)


def folded(surface: Surface, *events: Any) -> dict[str, Any]:
    assert surface.fold is not None
    fold = surface.fold()
    for each in events:
        fold.add(each)
    return dict(fold.attributes())


def test_the_zeros_that_the_sdk_puts_in_are_not_stated() -> None:
    nothing, some = UsageInfo(), UsageInfo.model_validate({"prompt_tokens": 5})
    for stated, expected in ((nothing, {}), (some, {semconv.INPUT_TOKENS: 5})):
        assert CHAT.response({"usage": stated}) == expected
        assert folded(CHAT_STREAM, event({"usage": stated})) == expected
        assert CONVERSATION.response({"usage": stated}) == expected


def test_a_zero_that_the_provider_states_is_one() -> None:
    usage = UsageInfo.model_validate({"prompt_tokens": 5, "completion_tokens": 0})
    assert CHAT.response({"usage": usage}) == {semconv.INPUT_TOKENS: 5, semconv.OUTPUT_TOKENS: 0}


def test_what_the_sdk_does_not_know_of_the_usage() -> None:
    usage = UsageInfo.model_validate(
        {
            "prompt_tokens": 500,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 400},
            "service_tier": "priority",
        }
    )
    expected = {
        semconv.INPUT_TOKENS: 500,
        semconv.OUTPUT_TOKENS: 7,
        semconv.CACHE_READ_TOKENS: 400,
        semconv.SERVICE_TIER: "priority",
    }
    assert CHAT.response({"usage": usage}) == expected
    assert folded(CHAT_STREAM, event({"usage": usage})) == expected


def test_only_the_method_says_that_a_call_streams() -> None:
    assert semconv.REQUEST_STREAM not in CHAT.request({"model": "m"})
    assert CHAT_STREAM.request({"model": "m"})[semconv.REQUEST_STREAM] is True


def test_a_request_in_mistral_words() -> None:
    assert AGENT.request({"agent_id": "ag", "random_seed": 7, "max_tokens": 3}) == {
        semconv.AGENT_ID: "ag",
        semconv.REQUEST_SEED: 7,
        semconv.REQUEST_MAX_TOKENS: 3,
    }


@pytest.mark.parametrize(
    ("total", "asked"),
    [(7355, 7300), (243, 188), (None, 188), (9999, 188)],
    ids=["beside", "inside", "unknown", "neither"],
)
def test_connector_tokens_are_input(total: int | None, asked: int) -> None:
    found = CONVERSATION.response(
        {
            "conversation_id": "conv",
            "usage": {
                "prompt_tokens": 188,
                "completion_tokens": 55,
                "total_tokens": total,
                "connector_tokens": 7112,
                "connectors": {"web_search": 1, "web_search_premium": 2, "code_interpreter": 1},
            },
        }
    )
    assert found == {
        semconv.CONVERSATION_ID: "conv",
        semconv.INPUT_TOKENS: asked,
        semconv.OUTPUT_TOKENS: 55,
        semconv.CONNECTOR_TOKENS: 7112,
        semconv.WEB_SEARCHES: 3,
        semconv.CODE_RUNS: 1,
    }


def test_a_conversation_takes_its_parameters_inside() -> None:
    assert CONVERSATION_STREAM.request(
        {
            "model": "mistral-medium-2505",
            "inputs": "a question",
            "completion_args": {"temperature": 0.5, "max_tokens": 9, "model": "no"},
            "tools": [{"type": "web_search"}],
        }
    ) == {
        semconv.REQUEST_MODEL: "mistral-medium-2505",
        semconv.REQUEST_TEMPERATURE: 0.5,
        semconv.REQUEST_MAX_TOKENS: 9,
        semconv.REQUEST_STREAM: True,
        semconv.TOOLS_SENT: 1,
        semconv.TOOLS_SENT_NAMES: ("web_search",),
    }


def test_a_function_is_called_once_though_its_arguments_come_in_parts() -> None:
    call = {"type": "function.call.delta", "id": "f", "tool_call_id": "t1", "name": "get_time"}
    other = {**call, "tool_call_id": "t2"}
    found = folded(CONVERSATION_STREAM, event(call), event(call), event(other))
    assert found == {semconv.TOOLS_CALLED: 2, semconv.TOOLS_CALLED_NAMES: ("get_time",)}


def test_an_error_inside_a_conversation_is_its_code() -> None:
    failed = {"type": "conversation.response.error", "code": 3000, "message": "a question"}
    assert folded(CONVERSATION_STREAM, event(failed)) == {semconv.ERROR_TYPE: "3000"}


@pytest.mark.parametrize(
    ("more", "annotated"),
    [
        ({}, False),
        ({"document_annotation": "{}"}, True),
        ({"pages": [{"images": [{"image_annotation": None}]}]}, False),
        ({"pages": [{"images": []}, {"images": [{"image_annotation": "{}"}]}]}, True),
    ],
)
def test_documents_are_paid_by_the_page(more: dict[str, Any], annotated: bool) -> None:
    found = OCR.response({"model": "m", "usage_info": {"pages_processed": 29}, **more})
    expected = {semconv.RESPONSE_MODEL: "m", semconv.DOCUMENT_PAGES: 29}
    assert found == (expected | {semconv.ANNOTATED_PAGES: 29} if annotated else expected)


def test_sound_is_paid_by_the_second_and_0_of_it_is_none() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 635, "prompt_audio_seconds": 203}
    expected = {
        semconv.INPUT_TOKENS: 4,
        semconv.OUTPUT_TOKENS: 635,
        semconv.AUDIO_INPUT_SECONDS: 203.0,
    }
    assert TRANSCRIPTION.response({"usage": usage}) == expected
    assert (
        folded(
            TRANSCRIPTION_STREAM,
            event({"type": "transcription.text.delta", "text": "a"}),
            event({"type": "transcription.done", "usage": usage}),
        )
        == expected
    )
    assert semconv.AUDIO_INPUT_SECONDS not in CHAT.response({"usage": {"prompt_audio_seconds": 0}})
