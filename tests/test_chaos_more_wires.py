"""Tool calls, older completions, moderations and judges: the real SDKs take them for the provider's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tollspan.chaos import Chaos, bill, disconnect, ok, status, verdict

CHAT: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}
CALLS: Any = [("weather", {"city": "Bern"}), ("time", '{"zone":')]
"""The second has arguments that no JSON parser takes, as models send them."""
TOOLS = ok(tool_calls=CALLS, input_tokens=90, output_tokens=30)


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(chaos: Chaos) -> Iterator[anthropic.Anthropic]:
    url = chaos.anthropic_base_url
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as made:
        yield made


def test_chat_asks_for_tools(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(TOOLS)
    (choice,) = client.chat.completions.create(**CHAT).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    asked: Any = choice.message.tool_calls
    assert [(each.function.name, each.function.arguments) for each in asked] == [
        ("weather", '{"city": "Bern"}'),
        ("time", '{"zone":'),
    ]
    assert len({each.id for each in asked}) == 2


def test_chat_streams_tool_calls_after_its_text(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(text="let me look", tool_calls=CALLS[:1]))
    with client.chat.completions.stream(**CHAT) as stream:
        (choice,) = stream.get_final_completion().choices
    assert choice.message.content == "let me look"
    assert choice.finish_reason == "tool_calls"
    asked: Any = choice.message.tool_calls
    assert json.loads(asked[0].function.arguments) == {"city": "Bern"}


def test_responses_ask_for_tools_plain_and_streamed(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(TOOLS, TOOLS, ok(text="first", tool_calls=CALLS[:1]))
    plain = client.responses.create(model="gpt-5-mini", input="hello")
    *events, last = client.responses.create(model="gpt-5-mini", input="hello", stream=True)
    assert last.type == "response.completed"
    for answer in (plain, last.response):
        found: Any = answer.output
        assert [(each.type, each.name) for each in found] == [
            ("function_call", "weather"),
            ("function_call", "time"),
        ]
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert deltas == ['{"city": "Bern"}', '{"zone":']
    with client.responses.stream(model="gpt-5-mini", input="hello") as stream:
        both = stream.get_final_response()
    assert [each.type for each in both.output] == ["message", "function_call"]


def test_messages_ask_for_tools_plain_and_streamed(
    chaos: Chaos, claude: anthropic.Anthropic
) -> None:
    step = ok(text="let me look", tool_calls=CALLS[:1], input_tokens=90, output_tokens=30)
    chaos.script(step, step)
    plain = claude.messages.create(**MESSAGES)
    with claude.messages.stream(**MESSAGES) as stream:
        streamed = stream.get_final_message()
    for answer in (plain, streamed):
        assert answer.stop_reason == "tool_use"
        text, tool = answer.content
        assert (text.type, tool.type) == ("text", "tool_use")
        assert (tool.name, tool.input) == ("weather", {"city": "Bern"})  # type: ignore[union-attr]
        assert answer.usage.output_tokens == 30


@pytest.mark.parametrize(("sent", "billed"), [(0, 0), (1, 15), (2, 30)])
def test_a_stream_that_breaks_off_between_tool_calls_bills_what_was_sent(
    chaos: Chaos, client: openai.OpenAI, sent: int, billed: int
) -> None:
    chaos.script(disconnect(after_chunks=sent, then=TOOLS))
    with pytest.raises((openai.APIConnectionError, httpx2.HTTPError)):
        list(client.chat.completions.create(**CHAT, stream=True))
    assert chaos.wait()
    (answer,) = chaos.log
    assert answer.usage is not None
    assert (answer.chunks, answer.usage["output_tokens"]) == (sent, billed)
    assert not answer.completed


def test_older_completions_plain_and_streamed(chaos: Chaos, client: openai.OpenAI) -> None:
    step = ok(text="over the bridge", input_tokens=9, output_tokens=3)
    chaos.script(step, step, step)
    asked: Any = {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"}
    plain = client.completions.create(**asked)
    assert plain.choices[0].text == "over the bridge"
    assert plain.choices[0].finish_reason == "stop"
    assert plain.usage is not None
    assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (9, 3)
    *chunks, last = client.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    assert "".join(chunk.choices[0].text for chunk in chunks) == "over the bridge"
    assert last.usage is not None and last.usage.completion_tokens == 3
    assert all(chunk.usage is None for chunk in client.completions.create(**asked, stream=True))
    assert [answer.api for answer in chaos.log] == ["completions"] * 3
    assert {price for _, price in bill(chaos.log)} == {Decimal("0.0000195")}


def test_moderations_flag_on_script_and_are_free(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(), ok(finish="content_filter"), status(500))
    assert not client.moderations.create(input="hello").results[0].flagged
    found = client.moderations.create(input=["a", "b"], model="omni-moderation-2024-09-26")
    assert [result.flagged for result in found.results] == [True, True]
    assert found.results[0].categories.harassment
    with pytest.raises(openai.InternalServerError):
        client.moderations.create(input="hello")
    assert [answer.usage for answer in chaos.log] == [None, None, None]
    assert [price for _, price in bill(chaos.log)] == [0, 0, 0]
    assert chaos.log[0].model_asked == "omni-moderation-latest"


def test_a_judge_answers_with_a_score(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(verdict(40, input_tokens=500, output_tokens=20))
    answer = client.chat.completions.create(**CHAT)
    assert json.loads(answer.choices[0].message.content or "")["overall_score"] == 40
    assert answer.usage is not None and answer.usage.prompt_tokens == 500


def test_each_model_follows_its_own_script(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(status(500, billed=True), model="gpt-4o")
    chaos.script(TOOLS, model="gpt-4o-mini")
    assert client.chat.completions.create(**CHAT).choices[0].finish_reason == "tool_calls"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**{**CHAT, "model": "gpt-4o"})
    assert chaos.steps_left == 0
    (_, fine), (failed, paid) = bill(chaos.log)
    assert fine and paid and failed.status == 500
