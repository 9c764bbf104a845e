"""`tollspan wire inspect --detect-issues` finds what is wrong with an exchange, and nothing where all is
well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from exchanges import made, sse
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import wirefile
from tollspan.chaos import Chaos, disconnect, ok, status
from tollspan.launcher.wire_issues import CHECKS, issues
from tollspan.wirefile import Exchange

STREAM = {"headers": [["content-type", "text/event-stream"]]}
CHUNK = {"object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18"}
SAID = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "hi"}}]}
STOP = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {**CHUNK, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
GOOD = sse(SAID, STOP, USAGE)


def tool(arguments: str) -> dict[str, Any]:
    call = {"index": 0, "function": {"name": "look_up", "arguments": arguments}}
    return {**CHUNK, "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}


def stream(text: str, **more: Any) -> Exchange:
    return made(text=text, **{"response": STREAM, **more})


def plain(document: Any, **more: Any) -> Exchange:
    return made(text=document if isinstance(document, str) else json.dumps(document), **more)


JSON_TYPE = ["content-type", "application/json"]
CASES: dict[str, Exchange] = {
    "no_answer": made(response=None, end={"how": "failed", "error": "ConnectError"}),
    "broken_off": stream(sse(SAID, STOP, USAGE), end={"how": "broken", "error": "ReadError"}),
    "error_with_200": plain({"error": {"type": "overloaded", "message": "m"}}),
    "empty_body": plain("", response={"size": 0}),
    "no_last_chunk": stream(sse(SAID, USAGE, done=0)),
    "done_twice": stream(sse(SAID, STOP, USAGE, done=2)),
    "sse_framing": stream(sse("garbage\n\n", SAID, STOP, USAGE)),
    "event_not_json": stream(sse("data: {not json\n\n", SAID, STOP, USAGE)),
    "body_not_json": plain("<html>Bad gateway</html>"),
    "packing": plain({}, response={"problem": "not gzip, as content-encoding says"}),
    "wrong_length": plain({}, response={"headers": [JSON_TYPE, ["content-length", "40"]]}),
    "truncated_utf8": plain('{"a": "\udcc3"}'),
    "tool_arguments": stream(sse(tool('{"city": "Ber'), tool('lin"'), STOP, USAGE)),
    "no_usage": stream(sse(SAID, STOP)),
    "model_swapped": plain({"model": "gpt-5-nano"}),
    "no_content_type": plain({"a": 1}, response={"headers": []}),
    "slow_first_chunk": made(pieces=[(12.0, GOOD)], response=STREAM),
    "stalled": made(pieces=[(0.1, sse(SAID, done=0)), (9.0, sse(STOP, USAGE))], response=STREAM),
    "rate_limit_nearly_out": plain(
        {},
        response={
            "headers": [
                JSON_TYPE,
                ["x-ratelimit-limit-requests", "1000"],
                ["x-ratelimit-remaining-requests", "3"],
            ]
        },
    ),
}


def names(*exchanges: Exchange) -> list[str]:
    return [issue.name for issue in issues(exchanges)]


@pytest.mark.parametrize("name", CHECKS)
def test_each_kind_of_trouble_is_found_alone_and_explained(name: str) -> None:
    (issue,) = issues([CASES[name]])

    assert issue.name == name
    assert issue.id == CASES[name].id
    assert len(issue.text) > 15


TYPES = (
    {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "t"}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": '{"a"'},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": ": 1}"},
    },
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)
FINE = {
    "chat": plain(
        {"model": "gpt-4o-mini-2024-07-18", "choices": [], "usage": {"prompt_tokens": 1}}
    ),
    "chat stream": stream(GOOD),
    "a stream that the client closed": stream(sse(SAID, done=0), end={"how": "closed"}),
    "tool calls": stream(sse(tool('{"city": '), tool('"Berlin"}'), STOP, USAGE)),
    "messages": stream(sse(*TYPES, done=0), body={"model": "claude-x"}),
    "an error with its status": plain({"error": {"message": "m"}}, response={"status": 429}),
    "comments and crlf": stream(": keep-alive\r\n\r\n" + GOOD.replace("\n", "\r\n")),
    "cut by the capture": stream(GOOD[:60], response={**STREAM, "truncated": True}),
    "a picture": made(pieces=[], response={"headers": [["content-type", "image/png"]], "size": 9}),
}


@pytest.mark.parametrize("name", FINE)
def test_nothing_is_found_where_all_is_well(name: str) -> None:
    assert issues([FINE[name]]) == []


@pytest.mark.parametrize("name", CASES)
def test_hostile_shapes_of_json_are_no_fault_of_ours(name: str) -> None:
    odd: list[Any] = [
        None,
        [],
        [[1]],
        "x",
        1e400,
        {"choices": 1},
        {"choices": [None, {"delta": 1}]},
    ]
    odd += [{"delta": {"tool_calls": [{}]}}, {"error": []}, {"model": {}}, {"usage": "x"}]
    for each in odd:
        text = json.dumps(each)
        issues([made(text=text), stream(f"data: {text}\n\n"), made(body=text)])


def test_what_several_exchanges_show_together() -> None:
    key = {"headers": [["idempotency-key", "k"]]}
    storm = [made(n, request=key, response={"status": 500}) for n in range(3)]
    call = {"request_id": "one"}
    asked = {"status": 429, "headers": [JSON_TYPE, ["retry-after", "5"]]}
    hasty = [made(3, head=call, response=asked), made(6, head=call, body={"again": 1})]
    changed = [
        made(20 + n, text=json.dumps({"model": "gpt-4o-mini", "system_fingerprint": f"fp_{n}"}))
        for n in range(2)
    ]

    assert names(*storm) == ["retry_storm"]
    assert issues(storm)[0].id == storm[-1].id
    assert "answered 500, 500, 500" in issues(storm)[0].text
    assert names(*hasty) == ["retried_early"]
    assert names(*changed) == ["backend_changed"]
    assert names(*storm[:2], changed[0]) == []


def test_what_a_real_sdk_met_is_found(
    chaos: Chaos, provider: TracerProvider, tmp_path: Path
) -> None:
    chaos.script(ok(), disconnect(after_chunks=2), *[status(500)] * 3)
    tollspan.instrument(tracer_provider=provider, providers=["openai"])
    try:
        with (
            openai.OpenAI(base_url=chaos.openai_base_url, api_key="x", max_retries=0) as sdk,
            tollspan.wire(tmp_path / "wire") as folder,
        ):
            messages: Any = [{"role": "user", "content": "x"}]

            def ask(**more: Any) -> Any:
                return sdk.chat.completions.create(model="gpt-4o-mini", messages=messages, **more)

            list(ask(stream=True))
            with pytest.raises(Exception, match=r"."):
                list(ask(stream=True))
            with pytest.raises(openai.InternalServerError):
                sdk.with_options(max_retries=2).chat.completions.create(
                    model="gpt-4o-mini", messages=messages
                )
    finally:
        tollspan.uninstrument()
    found = [(issue.name, issue.id) for issue in issues(list(wirefile.exchanges(folder)))]
    ids = wirefile.listed(folder)

    assert ("no_usage", ids[0]) in found
    assert ("broken_off", ids[1]) in found
    assert ("retry_storm", ids[4]) in found
    assert {name for name, _ in found} <= {"no_usage", "broken_off", "retry_storm", "no_last_chunk"}
