"""The chaos provider's log is the truth: complete, without secrets, priced apart from tollspan."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from tollspan.chaos import Chaos, bill, ok, slow, status

CHAT: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a secret wish"}]}
MESSAGES: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


def _chat(chaos: Chaos, *steps: Any, model: str = "gpt-4o-mini") -> None:
    chaos.script(*steps)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="sk-1", max_retries=0) as client:
        for _ in steps:
            client.chat.completions.create(**{**CHAT, "model": model})


def test_log_says_what_was_asked_and_answered(chaos: Chaos) -> None:
    _chat(chaos, ok(input_tokens=11, output_tokens=7, cached_tokens=3, service_tier="flex"))
    (answer,) = chaos.log
    assert (answer.n, answer.path, answer.api) == (1, "/v1/chat/completions", "chat_completions")
    assert (answer.model_asked, answer.model_served) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    assert (answer.status, answer.stream, answer.completed) == (200, False, True)
    assert answer.service_tier == "flex"
    assert answer.response_id is not None and answer.response_id.startswith("chatcmpl-")
    assert answer.usage == {
        "input_tokens": 11,
        "output_tokens": 7,
        "cache_read_tokens": 3,
        "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0,
        "reasoning_tokens": 0,
    }


def test_log_keeps_neither_keys_nor_messages(chaos: Chaos) -> None:
    with openai.AzureOpenAI(azure_endpoint=chaos.url, api_key="sk-azure", api_version="1") as azure:
        azure.chat.completions.create(**CHAT)
    more = {"X-Api-Key": "sk-head", "cookie": "sk-cookie", "x-goog-api-key": "sk-goog"}
    with anthropic.Anthropic(base_url=chaos.url, api_key="sk-ant", default_headers=more) as claude:
        claude.messages.create(**MESSAGES)
    _chat(chaos, ok())
    with urllib.request.urlopen(f"{chaos.url}/__chaos__/log") as found:
        written = found.read().decode()
    assert len(json.loads(written)["log"]) == 3
    for secret in ("sk-", "secret wish"):
        assert secret not in written and secret not in repr(chaos.log)
    assert chaos.log[0].headers["api-key"] == "<secret>"
    assert {chaos.log[1].headers[name.lower()] for name in more} == {"<secret>"}
    assert chaos.log[2].headers["authorization"] == "<secret>"


def test_client_that_leaves_a_stream_pays_for_what_was_sent(chaos: Chaos) -> None:
    chaos.script(slow(between_chunks=0.2, then=ok(text="a b c d", output_tokens=8)))
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "a"]
        stream.close()
    assert chaos.wait(5)
    (answer,) = chaos.log
    assert not answer.completed
    assert answer.usage is not None and answer.usage["output_tokens"] == 2


def test_client_that_leaves_a_plain_answer_pays_for_all_of_it(chaos: Chaos) -> None:
    chaos.script(slow(30, then=ok(output_tokens=8)))
    with (
        openai.OpenAI(
            base_url=chaos.openai_base_url, api_key="k", timeout=0.1, max_retries=0
        ) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(**CHAT)
    assert chaos.wait(5)
    (answer,) = chaos.log
    assert not answer.completed
    assert answer.usage is not None and answer.usage["output_tokens"] == 8


async def test_many_clients_at_once_each_get_an_entry(chaos: Chaos) -> None:
    chaos.script(*(ok(input_tokens=100 + n) for n in range(100)))
    async with openai.AsyncOpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(**CHAT) for _ in range(100))
        )
    logged = {answer.response_id: answer.usage for answer in chaos.log}
    assert [answer.n for answer in chaos.log] == list(range(1, 101))
    for answer in answers:
        assert answer.usage is not None and logged[answer.id] is not None
        assert logged[answer.id]["input_tokens"] == answer.usage.prompt_tokens  # type: ignore[index]
    assert sum(usage["input_tokens"] for usage in logged.values() if usage) == 14950


def test_bill_is_price_times_tokens_to_twelve_places(chaos: Chaos) -> None:
    # gpt-4o-mini: 0.15 input, 0.075 cached, 0.60 output USD per million (2026-11)
    _chat(chaos, ok(input_tokens=1001, cached_tokens=301, output_tokens=7))
    ((answer, price),) = bill(chaos.log)
    expected = (Decimal("0.15") * 700 + Decimal("0.075") * 301 + Decimal("0.60") * 7) / 1_000_000
    assert answer is chaos.log[0]
    assert price == expected and price.as_tuple().exponent == -12


def test_bill_tells_cache_writes_by_their_duration(chaos: Chaos) -> None:
    # claude-haiku-4-5: 1 input, 0.10 read, 1.25 and 2 written, 5 output USD per million (2026-11)
    chaos.script(
        ok(
            input_tokens=1000,
            cached_tokens=400,
            cache_write_tokens=200,
            cache_write_1h_tokens=100,
            output_tokens=10,
        )
    )
    with anthropic.Anthropic(base_url=chaos.url, api_key="k") as client:
        client.messages.create(**MESSAGES)
    ((_, price),) = bill(chaos.log)
    each = Decimal(300) + Decimal("0.1") * 400 + Decimal("1.25") * 200 + 2 * 100 + 5 * 10
    assert price == each / 1_000_000


def test_bill_knows_nothing_free_and_stated(chaos: Chaos) -> None:
    _chat(chaos, ok(), model="our-own-model")
    _chat(chaos, ok(service_tier="a tier of tomorrow"))
    _chat(chaos, ok(cost="0.0042"))
    chaos.script(status(429))
    with (
        openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(**CHAT)
    assert [price for _, price in bill(chaos.log)] == [None, None, Decimal("0.0042"), Decimal(0)]


def test_bill_follows_the_served_model_and_tier(chaos: Chaos) -> None:
    cheap, dear = ok(input_tokens=1000, output_tokens=100), Decimal("0.0035")
    _chat(chaos, cheap, ok(input_tokens=1000, output_tokens=100, model="gpt-4o-2024-08-06"))
    _chat(chaos, ok(input_tokens=1000, output_tokens=100, service_tier="priority"))
    standard, swapped, priority = (price for _, price in bill(chaos.log))
    assert standard is not None and priority is not None
    assert swapped == dear and standard < priority < dear


def test_plugin_is_loaded_without_loading_the_provider() -> None:
    probe = (
        "import sys, tollspan.chaos.fixture;"
        "print([m for m in sys.modules if m.startswith('tollspan.') or m == 'http.server'])"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert eval(ran.stdout) == ["tollspan.chaos", "tollspan.chaos.fixture"]


@pytest.mark.slow
def test_command_serves_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "tollspan.chaos", "--mix", "418=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            with (
                openai.OpenAI(
                    base_url=addresses["openai_base_url"], api_key="k", max_retries=0
                ) as client,
                pytest.raises(openai.APIStatusError) as caught,
            ):
                client.chat.completions.create(**CHAT)
            assert caught.value.status_code == 418
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [["--mix", "oops=1"], ["--port", "PORT"], ["--port", "70000"]])
def test_command_says_in_a_sentence_why_it_cannot_start(chaos: Chaos, wrong: list[str]) -> None:
    wrong = [str(chaos.port) if word == "PORT" else word for word in wrong]
    ran = subprocess.run(
        [sys.executable, "-m", "tollspan.chaos", *wrong],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1 and "cannot start" in ran.stderr
