"""The chaos provider misbehaves exactly as its script says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tollspan.chaos import (
    Chaos,
    Step,
    disconnect,
    error_in_stream,
    hang,
    odd,
    odd_chunks,
    ok,
    repeat,
    slow,
    status,
)

CHAT: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}
FOUR = ok(text="a b c d", input_tokens=10, output_tokens=8)


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(chaos: Chaos) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=chaos.url, api_key="k", max_retries=0) as made:
        yield made


def test_sdk_waits_as_long_as_retry_after_says_and_tries_again(chaos: Chaos) -> None:
    chaos.script(status(429, retry_after=0.2), ok(text="there"))
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=1) as client:
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "there"
    first, second = chaos.log
    assert (first.status, second.status) == (429, 200)
    assert second.started_s - first.started_s >= 0.2
    assert second.headers["x-stainless-retry-count"] == "1"


@pytest.mark.parametrize(
    ("code", "error", "type"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "invalid_request_error"),
        (429, openai.RateLimitError, "requests"),
        (500, openai.InternalServerError, "server_error"),
        (599, openai.InternalServerError, "server_error"),
    ],
)
def test_statuses_reach_the_openai_sdk_as_its_own_errors(
    chaos: Chaos, client: openai.OpenAI, code: int, error: type[openai.APIStatusError], type: str
) -> None:
    chaos.script(status(code))
    with pytest.raises(error) as caught:
        client.chat.completions.create(**CHAT)
    assert caught.value.status_code == code and caught.value.type == type


def test_statuses_reach_the_anthropic_sdk_as_its_own_errors(
    chaos: Chaos, claude: anthropic.Anthropic
) -> None:
    chaos.script(status(429), status(529), status(400, body={"type": "error", "error": "odd"}))
    with pytest.raises(anthropic.RateLimitError, match="rate_limit_error"):
        claude.messages.create(**MESSAGES)
    with pytest.raises(anthropic.InternalServerError, match="overloaded_error"):
        claude.messages.create(**MESSAGES)
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(**MESSAGES)
    assert caught.value.body == {"type": "error", "error": "odd"}


def test_disconnect_before_any_answer(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(disconnect())
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**CHAT)
    assert (chaos.log[0].status, chaos.log[0].usage) == (None, None)


@pytest.mark.parametrize("pieces", [0, 2, 4, 9])
def test_stream_breaks_off_after_as_many_pieces_as_asked(
    chaos: Chaos, client: openai.OpenAI, pieces: int
) -> None:
    chaos.script(disconnect(after_chunks=pieces, then=FOUR))
    said = []
    with pytest.raises(openai.APIConnectionError):
        for chunk in client.chat.completions.create(**CHAT, stream=True):
            said.append(chunk.choices[0].delta.content)
    assert "".join(said).split() == ["a", "b", "c", "d"][:pieces]
    (answer,) = chaos.log
    assert not answer.completed and answer.chunks == min(pieces, 4)
    assert answer.usage is not None
    assert answer.usage["output_tokens"] == 2 * min(pieces, 4)


def test_plain_answer_breaks_off_in_its_body(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(disconnect(after_chunks=1, then=FOUR))
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**CHAT)
    assert not chaos.log[0].completed
    assert chaos.log[0].usage is not None and chaos.log[0].usage["output_tokens"] == 8


def test_error_inside_a_stream_of_each_wire(
    chaos: Chaos, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    chaos.script(repeat(error_in_stream(after_chunks=2, message="it broke", then=FOUR), 3))
    said = []
    with pytest.raises(openai.APIError, match="it broke"):
        for chunk in client.chat.completions.create(**CHAT, stream=True):
            said.append(chunk.choices[0].delta.content)
    assert said == ["", "a", " b"]
    with pytest.raises(openai.APIError, match="it broke"):
        list(client.responses.create(model="gpt-5-mini", input="hello", stream=True))
    with pytest.raises(anthropic.APIStatusError, match="it broke"):
        list(claude.messages.create(**MESSAGES, stream=True))
    assert [answer.completed for answer in chaos.log] == [False] * 3
    assert [(answer.usage or {})["output_tokens"] for answer in chaos.log] == [4] * 3


def test_error_in_stream_for_a_plain_request_is_a_500(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(error_in_stream())
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**CHAT)
    assert (chaos.log[0].status, chaos.log[0].usage) == (500, None)


def test_slow_before_the_headers_and_between_chunks(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(slow(0.1), slow(between_chunks=0.05, then=FOUR))
    started = time.monotonic()
    client.chat.completions.create(**CHAT)
    assert time.monotonic() - started >= 0.1
    started = time.monotonic()
    stream = client.chat.completions.create(**CHAT, stream=True)
    assert next(stream).choices[0].delta.content == ""
    assert len(list(stream)) == 5
    assert time.monotonic() - started >= 0.2


def test_hanging_request_ends_when_the_client_leaves(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(hang(), hang(after_chunks=1, then=FOUR))
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.1).chat.completions.create(**CHAT)
    stream = client.chat.completions.create(**CHAT, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "a"]
    stream.close()
    assert chaos.wait(30)
    assert [answer.completed for answer in chaos.log] == [False, False]


def test_closing_the_server_ends_hanging_requests() -> None:
    with (
        Chaos(default=hang(after_chunks=0)) as chaos,
        openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(**CHAT, stream=True)
        next(stream)
        started = time.monotonic()
        chaos.close()
        assert time.monotonic() - started < 30
        with pytest.raises(openai.APIConnectionError):
            next(stream)


@pytest.mark.parametrize("body", [None, [], "text", {"choices": None}, 12])
def test_odd_bodies_arrive_as_they_stand(chaos: Chaos, client: openai.OpenAI, body: Any) -> None:
    chaos.script(odd(body))
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.http_response.text == ("text" if body == "text" else raw.http_response.text)
    if body != "text":
        assert raw.http_response.json() == body
    assert chaos.log[0].usage is None and chaos.log[0].completed


def test_odd_chunks_arrive_as_they_stand(chaos: Chaos, claude: anthropic.Anthropic) -> None:
    chaos.script(
        odd_chunks([("ping", {"type": "ping"}), {"type": "message_stop", "x": 1}, b"data: raw\n\n"])
    )
    raw = claude.messages.with_raw_response.create(**MESSAGES, stream=True)
    assert raw.http_response.read().decode() == (
        'event: ping\ndata: {"type": "ping"}\n\n'
        'event: message_stop\ndata: {"type": "message_stop", "x": 1}\n\n'
        "data: raw\n\n"
    )


def test_odd_answer_can_be_billed(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(odd({"choices": []}, input_tokens=4, output_tokens=2), status(500, billed=True))
    client.chat.completions.create(**CHAT)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**CHAT)
    billed = [answer.usage for answer in chaos.log]
    assert billed[0] is not None and billed[0]["input_tokens"] == 4
    assert billed[1] is not None and billed[1]["output_tokens"] > 0


def test_steps_for_a_model_go_before_the_general_ones(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(text="general"))
    chaos.script(ok(text="for gpt-4o"), model="gpt-4o")

    def said(model: str) -> str | None:
        answer = client.chat.completions.create(**{**CHAT, "model": model})
        return answer.choices[0].message.content

    assert [said("gpt-4o"), said("gpt-4o")] == ["for gpt-4o", "general"]
    assert chaos.steps_left == 0
    assert said("gpt-4o") not in ("for gpt-4o", "general")


def test_mix_draws_the_same_faults_from_the_same_seed(client: openai.OpenAI, chaos: Chaos) -> None:
    def drawn(seed: int) -> list[int | None]:
        chaos.reset()
        chaos.mix([(2, ok()), (1, status(500)), (0, status(404))], seed=seed)
        for _ in range(30):
            try:
                client.chat.completions.create(**CHAT)
            except openai.InternalServerError:
                continue
        return [answer.status for answer in chaos.log]

    first = drawn(3)
    assert set(first) == {200, 500}
    assert drawn(3) == first and drawn(4) != first


@pytest.mark.parametrize("weights", [[], [(-1, ok())], [(0, ok())]])
def test_mix_without_a_weight_is_refused(chaos: Chaos, weights: list[tuple[float, Step]]) -> None:
    with pytest.raises(ValueError, match="weights"):
        chaos.mix(weights)


def test_impossible_answers_are_refused_when_written() -> None:
    with pytest.raises(ValueError, match="input_tokens=10"):
        ok(input_tokens=10, cached_tokens=8, cache_write_tokens=3)
    with pytest.raises(ValueError, match="output_tokens=5"):
        ok(output_tokens=5, reasoning_tokens=6)
    with pytest.raises(ValueError, match="finish"):
        ok(finish="end_turn")


def test_own_headers_win(chaos: Chaos, client: openai.OpenAI) -> None:
    chaos.script(ok(headers={"X-Request-Id": "mine", "x-litellm-version": "1"}))
    raw = client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.headers.get_list("x-request-id") == ["mine"]
    assert raw.headers["x-litellm-version"] == "1"
