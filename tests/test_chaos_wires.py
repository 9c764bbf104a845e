"""The real SDKs take what the chaos provider answers for what their provider answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from tollspan.chaos import Chaos, content_filter, ok

CHAT: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


class Place(pydantic.BaseModel):
    """What a structured-output request asks for."""

    name: str
    people: int
    rivers: list[str]


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(chaos: Chaos) -> Iterator[anthropic.Anthropic]:
    url = chaos.anthropic_base_url
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as made:
        yield made


def test_chat_answer_carries_what_the_step_says(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(
        ok(
            text="over the bridge",
            input_tokens=500,
            output_tokens=60,
            cached_tokens=384,
            reasoning_tokens=32,
            model="gpt-4o-2024-08-06",
            service_tier="flex",
            cost="0.00125",
        )
    )
    answer = client.chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == "over the bridge"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.model, answer.service_tier) == ("gpt-4o-2024-08-06", "flex")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (500, 60)
    assert answer.usage.total_tokens == 560
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 384
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 32
    assert answer.usage.model_extra == {"cost": 0.00125}


def test_chat_alias_is_answered_by_its_dated_snapshot(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(**CHAT).model == "gpt-4o-mini-2024-07-18"


def test_chat_stream_states_usage_only_when_asked(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(text="a b c", input_tokens=9, output_tokens=3), ok())
    asked = {"stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(**CHAT, stream=True, extra_body=asked))
    assert chunks[-1].usage is not None and chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (9, 3)
    said = [chunk.choices[0].delta.content for chunk in chunks[:-1]]
    assert "".join(piece or "" for piece in said) == "a b c"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in client.chat.completions.create(**CHAT, stream=True))


def test_chat_stream_helper_parse_and_several_choices(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**CHAT) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content
    parsed = client.chat.completions.parse(**CHAT, response_format=Place)
    assert isinstance(parsed.choices[0].message.parsed, Place)
    assert len(client.chat.completions.create(**CHAT, n=3).choices) == 3


def test_chat_content_filter_both_ways(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(content_filter(), content_filter(blocked=True))
    assert client.chat.completions.create(**CHAT).choices[0].finish_reason == "content_filter"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**CHAT)
    assert caught.value.code == "content_filter"


def test_max_tokens_ends_an_unscripted_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**CHAT, max_tokens=3)
    assert answer.usage is not None and answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


def test_responses_plain_streamed_helper_and_parse(chaos: Chaos, client: openai.OpenAI) -> None:
    step = ok(text="a b", input_tokens=20, output_tokens=9, cached_tokens=8, reasoning_tokens=5)
    chaos.script(step, step, step)
    plain = client.responses.create(model="gpt-5-mini", input="hello")
    assert plain.output_text == "a b" and plain.status == "completed"
    *_, last = client.responses.create(model="gpt-5-mini", input="hello", stream=True)
    assert last.type == "response.completed"
    with client.responses.stream(model="gpt-5-mini", input="hello") as stream:
        helped = stream.get_final_response()
    for answer in (plain, last.response, helped):
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 9)
        assert answer.usage.input_tokens_details.cached_tokens == 8
        assert answer.usage.output_tokens_details.reasoning_tokens == 5
        assert answer.output_text == "a b"
    parsed = client.responses.parse(model="gpt-5-mini", input="hello", text_format=Place)
    assert isinstance(parsed.output_parsed, Place)


def test_responses_length_is_incomplete(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(finish="length"))
    answer = client.responses.create(model="gpt-5-mini", input="hello")
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    model, texts = "text-embedding-3-small", ["one", "two"]
    packed = client.embeddings.create(model=model, input=texts, dimensions=8)
    plain = client.embeddings.create(
        model=model, input=texts, dimensions=8, encoding_format="float"
    )
    assert [len(each.embedding) for each in packed.data] == [8, 8]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0


def test_messages_count_the_cache_apart_from_the_input(
    chaos: Chaos, claude: anthropic.Anthropic
) -> None:
    step = ok(
        input_tokens=1000,
        output_tokens=50,
        cached_tokens=600,
        cache_write_tokens=200,
        cache_write_1h_tokens=100,
    )
    chaos.script(step, step)
    plain = claude.messages.create(**MESSAGES)
    with claude.messages.stream(**MESSAGES) as stream:
        streamed = stream.get_final_message()
    for answer in (plain, streamed):
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 50)
        assert answer.usage.cache_read_input_tokens == 600
        assert answer.usage.cache_creation_input_tokens == 300
        assert answer.usage.cache_creation is not None
        assert answer.usage.cache_creation.ephemeral_5m_input_tokens == 200
        assert answer.usage.cache_creation.ephemeral_1h_input_tokens == 100
        assert answer.stop_reason == "end_turn"
        assert answer.model == "claude-haiku-4-5-20251001"


def test_messages_helper_text_parse_refusal_and_count(
    chaos: Chaos, claude: anthropic.Anthropic
) -> None:
    chaos.script(ok(text="one two three"))
    with claude.messages.stream(**MESSAGES) as stream:
        assert list(stream.text_stream) == ["one", " two", " three"]
    chaos.script(content_filter())
    assert claude.messages.create(**MESSAGES).stop_reason == "refusal"
    assert isinstance(claude.messages.parse(**MESSAGES, output_format=Place).parsed_output, Place)
    counted = claude.messages.count_tokens(model=MESSAGES["model"], messages=MESSAGES["messages"])
    assert counted.input_tokens > 0
    assert chaos.log[-1].api == "count_tokens" and chaos.log[-1].usage is None


async def test_async_clients_answer_and_stream(chaos: Chaos) -> None:
    async with openai.AsyncOpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
        assert (await client.chat.completions.create(**CHAT)).choices
        chunks = [c async for c in await client.chat.completions.create(**CHAT, stream=True)]
        assert chunks[-1].choices[0].finish_reason == "stop"
    async with (
        anthropic.AsyncAnthropic(base_url=chaos.url, api_key="k") as claude,
        claude.messages.stream(**MESSAGES) as stream,
    ):
        assert (await stream.get_final_message()).content


def test_azure_client_names_the_deployment_in_its_path(chaos: Chaos) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=chaos.url, api_key="k", api_version="2024-10-21"
    ) as client:
        client.chat.completions.create(**{**CHAT, "model": "gpt-4o"})
    assert chaos.log[0].path == "/openai/deployments/gpt-4o/chat/completions"
    assert (chaos.log[0].api, chaos.log[0].model_asked) == ("chat_completions", "gpt-4o")


def test_headers_name_the_request_as_each_provider_does(
    client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.headers["x-request-id"].startswith("req_")
    assert int(raw.headers["openai-processing-ms"]) >= 1
    assert int(raw.headers["x-ratelimit-remaining-requests"]) < 10_000
    assert claude.messages.create(**MESSAGES)._request_id.startswith("req_")  # type: ignore[union-attr]


def test_unknown_paths_and_bodies_are_refused_in_the_shape_of_the_provider(
    chaos: Chaos, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.list()
    assert unknown.value.type == "invalid_request_error"
    with pytest.raises(anthropic.NotFoundError) as missing:
        claude.models.list()
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(openai.BadRequestError, match="model parameter"):
        client.post("/chat/completions", cast_to=object, body={"messages": []})
    with pytest.raises(openai.BadRequestError, match="JSON object"):
        client.post("/chat/completions", cast_to=object, content=b"{")
    assert [answer.status for answer in chaos.log] == [404, 404, 400, 400]
    assert all(answer.usage is None for answer in chaos.log)


def test_same_request_gets_the_same_counts_on_any_server(client: openai.OpenAI) -> None:
    with Chaos() as other, openai.OpenAI(base_url=other.openai_base_url, api_key="k") as again:
        one = client.chat.completions.create(**CHAT)
        two = again.chat.completions.create(**CHAT)
        changed = again.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hello" * 40}]
        )
    assert one.usage == two.usage and one.id != two.id
    assert one.usage is not None and changed.usage is not None
    assert changed.usage.prompt_tokens > one.usage.prompt_tokens
