"""A request that asks for less says so in its own API's words, and the caller's objects stay as they are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import BaseModel

from tollspan import semconv
from tollspan.calls import Less
from tollspan.instrumentation import (
    _bedrock_bodies,
    _chat_completions,
    _cohere_chat,
    _converse,
    _generate_content,
    _less,
    _messages,
    _ollama_chat,
    _responses,
)
from tollspan.instrumentation._spec import Dials, Surface

TOOL = {"type": "function", "function": {"name": "f"}}
USED = [{"role": "user", "content": "q"}, {"role": "tool", "tool_call_id": "1", "content": "a"}]


def less(surface: Surface | Dials, body: dict[str, Any], wanted: Less, **known: Any) -> Any:
    dials = surface if isinstance(surface, Dials) else surface.dials
    assert dials is not None
    before = copy.deepcopy(body)
    found = _less.cheaper(body, wanted, dials, known)
    assert body == before, "the caller's own"
    return found


@pytest.mark.parametrize(
    ("surface", "body", "sent"),
    [
        (_chat_completions.CHAT, {"max_tokens": 900}, {"max_tokens": 64}),
        (_chat_completions.CHAT, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        (_chat_completions.CHAT, {}, {"max_tokens": 64}),
        (_responses.RESPONSES, {}, {"max_output_tokens": 64}),
        (
            _converse.CONVERSE,
            {"inferenceConfig": {"maxTokens": 900, "topP": 0.5}},
            {"inferenceConfig": {"maxTokens": 64, "topP": 0.5}},
        ),
        (_converse.CONVERSE, {}, {"inferenceConfig": {"maxTokens": 64}}),
        (
            _generate_content.GENERATE_CONTENT,
            {"generationConfig": {"topK": 2}},
            {"generationConfig": {"topK": 2, "maxOutputTokens": 64}},
        ),
        (
            _ollama_chat.CHAT,
            {"options": {"num_predict": -1}},  # it says that there is no limit
            {"options": {"num_predict": 64}},
        ),
        (_ollama_chat.CHAT, {"options": None}, {"options": {"num_predict": 64}}),
    ],
)
def test_an_answer_is_made_no_longer_than_wanted_and_no_longer_than_asked(
    surface: Surface, body: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert less(surface, body, Less(max_tokens=64)) == sent


def test_only_openai_itself_is_told_in_its_newer_word() -> None:
    known = {semconv.OPENAI_API: "chat_completions", semconv.PROVIDER: "openai"}
    dials = _chat_completions.DIALS
    assert _less.cheaper({}, Less(max_tokens=64), dials, known) == {"max_completion_tokens": 64}
    known[semconv.PROVIDER] = "groq"
    assert _less.cheaper({}, Less(max_tokens=64), dials, known) == {"max_tokens": 64}


class Options(BaseModel):
    num_predict: int | None = None


def test_an_object_of_the_sdk_is_the_callers_and_is_not_changed() -> None:
    options = Options()
    assert less(_ollama_chat.CHAT, {"options": options}, Less(max_tokens=64)) == {
        "options": options
    }
    assert options.num_predict is None


@pytest.mark.parametrize(
    ("most", "budget", "thinking"),
    [
        (64, 4000, {"type": "disabled"}),
        (1024, 4000, {"type": "disabled"}),
        (2000, 4000, {"type": "enabled", "budget_tokens": 1999}),
        (8000, 4000, {"type": "enabled", "budget_tokens": 4000}),
    ],
)
@pytest.mark.parametrize("way", ["messages", "converse", "invoke"])
def test_claude_thinks_less_than_it_may_answer(
    way: str, most: int, budget: int, thinking: dict[str, Any]
) -> None:
    asked = {"type": "enabled", "budget_tokens": budget}
    wanted = Less(max_tokens=most)
    if way == "converse":
        config = {"maxTokens": 9000}
        fields = {"thinking": asked, "top_k": 5}
        body = {"inferenceConfig": config, "additionalModelRequestFields": fields}
        found = less(_converse.CONVERSE, body, wanted)
        assert found["additionalModelRequestFields"] == {"thinking": thinking, "top_k": 5}
        return
    dials: Any = _messages.MESSAGES
    body = {"max_tokens": 9000, "thinking": asked}
    if way == "invoke":
        body["anthropic_version"] = "bedrock-2023-05-31"
        dials = _bedrock_bodies.dials_of("chat", body)
    assert less(dials, body, wanted)["thinking"] == thinking


@pytest.mark.parametrize(
    ("surface", "used", "left"),
    [
        (
            _chat_completions.CHAT,
            {"messages": USED, "tools": [TOOL], "function_call": "auto"},
            {"tools": [TOOL], "tool_choice": "none"},
        ),
        (
            _responses.RESPONSES,
            {"input": [{"type": "function_call_output", "output": "a"}], "tools": [TOOL]},
            {"tools": [TOOL], "tool_choice": "none"},
        ),
        (
            _messages.MESSAGES,
            {
                "messages": [{"role": "user", "content": [{"type": "tool_result"}]}],
                "tools": [{"name": "f"}],
            },
            {"tools": [{"name": "f"}], "tool_choice": {"type": "none"}},
        ),
        (
            _converse.CONVERSE,
            {
                "messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "1"}}]}],
                "toolConfig": {"tools": [{}]},
            },
            {"toolConfig": {"tools": [{}]}},
        ),
        (
            _generate_content.GENERATE_CONTENT,
            {
                "contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}],
                "tools": [{"functionDeclarations": []}],
            },
            {
                "tools": [{"functionDeclarations": []}],
                "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
            },
        ),
        (
            _cohere_chat.CHAT,
            {"message": "q", "tools": [TOOL], "tool_results": [{"outputs": []}]},
            {"tools": [TOOL]},
        ),
        (_ollama_chat.CHAT, {"messages": USED, "tools": [TOOL]}, {"tools": [TOOL]}),
    ],
)
def test_tools_that_a_talk_has_used_stay_declared_and_may_not_be_used_where_that_can_be_said(
    surface: Surface, used: dict[str, Any], left: dict[str, Any]
) -> None:
    found = less(surface, used, Less(no_tools=True))
    beside = ("messages", "input", "contents", "message", "tool_results")
    assert {name: each for name, each in found.items() if name not in beside} == left


CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("asked", "wanted", "sent"),
    [
        (CLAUDE, "eu.anthropic.claude-haiku-4-5-v1:0", "eu.anthropic.claude-haiku-4-5-v1:0"),
        (CLAUDE, "amazon.nova-lite-v1:0", CLAUDE),
        (CLAUDE, "claude-haiku", CLAUDE),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", CLAUDE, None),
        (
            f"arn:aws:bedrock:us-east-1:1:inference-profile/{CLAUDE}",
            "anthropic.claude-haiku-4-5-v1:0",
            "anthropic.claude-haiku-4-5-v1:0",
        ),
    ],
)
def test_a_body_of_bedrock_goes_to_models_of_its_own_vendor_only(
    asked: str, wanted: str, sent: str | None
) -> None:
    body = {"modelId": asked, "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9}
    dials: Any = _bedrock_bodies.dials_of("chat", body)
    assert less(dials, body, Less(model=wanted))["modelId"] == (sent or asked)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"inputText": "q"}, {"textGenerationConfig": {"maxTokenCount": 64}}),
        (
            {"schemaVersion": "messages-v1", "messages": []},
            {"inferenceConfig": {"maxTokens": 64}},
        ),
        (
            {"inferenceConfig": {"max_new_tokens": 900}},
            {"inferenceConfig": {"max_new_tokens": 64}},
        ),
        ({"modelId": "us.meta.llama3-1-70b-instruct-v1:0", "prompt": "q"}, {"max_gen_len": 64}),
        ({"modelId": "mistral.pixtral-large-2502-v1:0", "messages": []}, {"max_tokens": 64}),
        ({"modelId": "an-imported-model", "prompt": "q"}, {}),  # who knows what its word is
    ],
)
def test_each_family_of_bedrock_is_told_in_its_own_words(
    body: dict[str, Any], sent: dict[str, Any]
) -> None:
    dials: Any = _bedrock_bodies.dials_of("chat", body)
    assert less(dials, body, Less(max_tokens=64)) == {**body, **sent}


def test_embeddings_are_made_no_cheaper() -> None:
    assert _bedrock_bodies.dials_of("embeddings", {"inputText": "q"}) is None
