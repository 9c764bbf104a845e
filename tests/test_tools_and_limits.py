"""Tools sent and called, servers' own tools with their fees, and what headers say of limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk_answers import CHAT_BODY, MESSAGE_BODY

from tollspan import semconv
from tollspan.instrumentation._chat_completions import CHAT
from tollspan.instrumentation._messages import MESSAGES
from tollspan.instrumentation._responses import RESPONSES
from tollspan.processors.settle import settle

SENT = (semconv.TOOLS_SENT, semconv.TOOLS_SENT_NAMES)
CALLED = (semconv.TOOLS_CALLED, semconv.TOOLS_CALLED_NAMES)


def tool(name: str) -> dict[str, Any]:
    secret = {"description": "secret", "parameters": {"type": "object"}}
    return {"type": "function", "function": {"name": name, **secret}}


@pytest.mark.parametrize(
    ("surface", "tools", "names"),
    [
        (CHAT, [tool("a"), tool("b"), tool("a")], ("a", "b")),
        (CHAT, [{"type": "custom", "custom": {"name": "c"}}], ("c",)),
        (
            RESPONSES,
            [{"type": "function", "name": "a"}, {"type": "web_search"}],
            ("a", "web_search"),
        ),
        (MESSAGES, [{"name": "a"}, {"type": "web_search_20250305", "name": "web_search"}], None),
        (CHAT, [], ()),
        (CHAT, "tools", ()),
        (CHAT, [None, 7], ("unknown",)),
    ],
)
def test_definitions_are_counted_and_named(surface: Any, tools: Any, names: Any) -> None:
    found = dict(surface.request({"model": "m", "tools": tools}))
    if names is None:
        names = ("a", "web_search")
    assert found.get(SENT[0]) == (len(tools) if names else None)
    assert found.get(SENT[1]) == (names or None)
    assert "secret" not in repr(found)


def call(name: str | None, index: int = 0, identity: str | None = None) -> dict[str, Any]:
    given = {"index": index, "function": {"arguments": '{"secret": 1}'}}
    if name is not None:
        given["function"]["name"] = name  # type: ignore[index]
    return {**given, **({"id": identity} if identity else {})}


def chunk(*calls: dict[str, Any], choice: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": choice, "delta": {"tool_calls": list(calls)}}]}


@pytest.mark.parametrize(
    ("chunks", "count", "names"),
    [
        ([chunk(call("a", 0, "1")), chunk(call(None)), chunk(call("b", 1, "2"))], 2, ("a", "b")),
        # Gemini numbers each of them 0, others repeat the name in every chunk.
        ([chunk(call("a", 0, "1")), chunk(call("a", 0, "2"))], 2, ("a",)),
        ([chunk(call("a", 0, "1")), chunk(call("a", 0, "1"))], 1, ("a",)),
        ([chunk(call("a")), chunk(call("a"))], 1, ("a",)),
        ([chunk(call("a", 0, "1")), chunk(call("a", 0, "1"), choice=1)], 2, ("a",)),
        ([chunk()], None, None),
    ],
)
def test_calls_in_a_stream_are_counted_once(chunks: list[Any], count: Any, names: Any) -> None:
    fold = CHAT.fold()
    for each in ({"id": "c", "model": "m", "choices": [{"delta": {"content": ""}}]}, *chunks):
        fold.add(each)
    found = dict(fold.attributes())
    assert tuple(map(found.get, CALLED)) == (count, names)
    assert "secret" not in repr(found)


def test_calls_in_an_answer_are_counted() -> None:
    message = {"role": "assistant", "tool_calls": [call("a"), call("b")]}
    found = dict(CHAT.response({"choices": [{"message": message}, {"message": message}]}))
    assert tuple(map(found.get, CALLED)) == (4, ("a", "b"))


BLOCKS = [
    {"type": "text", "text": "secret"},
    {"type": "tool_use", "id": "1", "name": "a", "input": {"secret": 1}},
    {"type": "server_tool_use", "id": "2", "name": "bash_code_execution", "input": {}},
    {"type": "mcp_tool_use", "id": "3", "name": "b", "server_name": "s", "input": {}},
]


def test_calls_in_a_message_and_its_stream_are_alike() -> None:
    whole = dict(MESSAGES.response({**MESSAGE_BODY, "content": BLOCKS}))
    fold = MESSAGES.fold()
    fold.add({"type": "message_start", "message": {**MESSAGE_BODY, "content": []}})
    for index, block in enumerate(BLOCKS):
        fold.add({"type": "content_block_start", "index": index, "content_block": block})
        fold.add({"type": "content_block_stop", "index": index})
    fold.add({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}})
    assert dict(fold.attributes()) == whole
    assert tuple(map(whole.get, CALLED)) == (3, ("a", "bash_code_execution", "b"))
    assert whole[semconv.CODE_RUNS] == 1
    assert "secret" not in repr(whole)


OUTPUT = [
    {"type": "function_call", "name": "a", "arguments": "secret"},
    {"type": "file_search_call", "id": "f1"},
    {"type": "file_search_call", "id": "f2"},
    {"type": "code_interpreter_call", "id": "c"},
    {"type": "mcp_call", "name": "b"},
    {"type": "message"},
]


def settled(found: dict[str, Any]) -> dict[str, Any]:
    told = {semconv.PROVIDER: "openai", semconv.OPERATION: "chat", semconv.STATUS: "success"}
    return settle({**told, semconv.REQUEST_MODEL: "gpt-4o", **found}).attributes


def test_openais_own_tools_are_priced_where_the_book_knows_them() -> None:
    usage = {"input_tokens": 10, "output_tokens": 1}
    answer = {"model": "gpt-4o", "status": "completed", "usage": usage}
    plain = dict(RESPONSES.response({**answer, "output": []}))
    found = dict(RESPONSES.response({**answer, "output": OUTPUT}))
    assert found[semconv.FILE_SEARCHES] == 2
    assert found[semconv.CODE_RUNS] == 1
    assert tuple(map(found.get, CALLED)) == (
        5,
        ("a", "file_search", "code_interpreter", "b"),
    )
    # A container's fee is in no book, and it is one for many runs.
    assert settled(found)[semconv.COST_GRADE] == "lower_bound"
    assert settled(found)[semconv.GRADE_REASON] == "unknown_fee"
    del found[semconv.CODE_RUNS]
    assert settled(found)[semconv.COST_GRADE] == "derived"
    amount = settled(found)[semconv.COST_AMOUNT] - settled(plain)[semconv.COST_AMOUNT]
    assert amount == pytest.approx(2 * 2.5 / 1000)


@pytest.mark.parametrize(
    ("more", "grade"),
    [
        ([], "derived"),
        ([{"type": "message", "model": "claude-sonnet-4-5", "input_tokens": 1}], "derived"),
        ([{"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 9}], "estimated"),
    ],
)
def test_an_adviser_is_another_model_whose_price_is_not_known(more: list[Any], grade: str) -> None:
    usage = {"input_tokens": 10, "output_tokens": 1, "iterations": more}
    found = dict(MESSAGES.response({"model": "claude-sonnet-4-5", "usage": usage}))
    told = {semconv.PROVIDER: "anthropic", semconv.OPERATION: "chat", semconv.STATUS: "success"}
    assert found[semconv.INPUT_TOKENS] == 10
    assert settle({**told, **found}).attributes[semconv.COST_GRADE] == grade


HEADERS = {
    "chat": (
        {
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "199000",
            "x-ratelimit-reset-requests": "8.64s",
        },
        {
            semconv.LIMIT_REQUESTS: 10000,
            semconv.LIMIT_TOKENS: 200000,
            semconv.REMAINING_REQUESTS: 9999,
            semconv.REMAINING_TOKENS: 199000,
        },
    ),
    "messages": (
        {
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-tokens-remaining": "1000",
            "anthropic-ratelimit-input-tokens-remaining": "600",
            "anthropic-ratelimit-output-tokens-remaining": "400",
            "anthropic-ratelimit-tokens-reset": "2026-11-21T00:00:00Z",
        },
        {
            semconv.LIMIT_REQUESTS: 4000,
            semconv.REMAINING_REQUESTS: 3999,
            semconv.REMAINING_TOKENS: 1000,
            semconv.REMAINING_INPUT_TOKENS: 600,
            semconv.REMAINING_OUTPUT_TOKENS: 400,
        },
    ),
}


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("api", HEADERS)
def test_what_is_left_of_a_limit_stands_on_the_call(
    api: str, exporter: InMemorySpanExporter
) -> None:
    headers, expected = HEADERS[api]
    sdks.plain(sdks.client_for(api, sdks.server_for(api, headers=headers)), api)
    attributes = sdks.ended(exporter).attributes or {}
    told = {name: value for name, value in attributes.items() if ".rate_limit." in name}
    assert told == expected


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("value", ["-1", "unlimited", "1e9", "9" * 40, "1.5", ""])
def test_a_limit_that_is_no_number_is_not_told(value: str, exporter: InMemorySpanExporter) -> None:
    headers = {"x-ratelimit-remaining-tokens": value}
    server = sdks.server_for("chat", headers=headers)
    sdks.plain(sdks.client_for("chat", server), "chat")
    assert semconv.REMAINING_TOKENS not in (sdks.ended(exporter).attributes or {})


def test_the_body_is_still_read_with_tools_that_are_none() -> None:
    odd = {"choices": [{"message": {"tool_calls": {"a": 1}}}, {"message": []}]}
    assert dict(CHAT.response({**CHAT_BODY, **odd}))[semconv.INPUT_TOKENS] == 11
