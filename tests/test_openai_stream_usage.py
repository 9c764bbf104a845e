"""Streams without usage: asked for in secret where the user wants it, or estimated and said so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import config, semconv
from tollspan.processors.settle import settle

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": sdks.MESSAGES, "stream": True}


def choice(text: str = "", **more: Any) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": text}, **more}


WHOLE = [
    [choice()],
    [choice('half a lie: \\"usage\\":null, {"usage":null}')],
    [],  # as Azure opens with filter results
    [choice(" and a grüße")],
    [choice(finish_reason="stop")],
]
UNFINISHED = WHOLE[:-1]
CUTS = [1, 7, 100_000]


class Provider:
    """Streams as OpenAI does: usage only for who asks, in a chunk of its own at the end."""

    def __init__(self, chunks: list[list[Any]], cut: int = 100_000, end: str = "\n\n") -> None:
        self.chunks, self.cut, self.end = chunks, cut, end
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        self.asked.append(asked)
        tells = (asked.get("stream_options") or {}).get("include_usage") is True
        told = {"usage": None} if tells else {}
        made = [self.event(each, **told) for each in self.chunks]
        if tells:
            made.append(self.event([], usage=USAGE))
        body = ("".join(made) + f"data: [DONE]{self.end}").encode()
        pieces = [body[at : at + self.cut] for at in range(0, len(body), self.cut)]
        kind = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx2.Response(200, headers=kind, stream=sdks.Pieces(pieces))

    def event(self, choices: list[Any], **more: Any) -> str:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        text = json.dumps({**chunk, "model": "gpt-4o-mini", "choices": choices, **more})
        return f"data: {text}{self.end}"

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        return self(request)

    def client(self, **kwargs: Any) -> openai.OpenAI:
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        return openai.OpenAI(api_key="sk-secret", http_client=http, max_retries=0, **kwargs)

    def async_client(self) -> openai.AsyncOpenAI:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
        return openai.AsyncOpenAI(api_key="sk-secret", http_client=http, max_retries=0)


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.fixture
def asking() -> None:
    config.reload({"TOLLSPAN_STREAM_USAGE": "1, llm.corp", "TOLLSPAN_RAISE": "1"})


def helper(client: Any, api: str) -> Any:
    with client.chat.completions.stream(model="gpt-4o-mini", messages=sdks.MESSAGES) as opened:
        return [*opened, opened.get_final_completion()]


async def helper_async(client: Any, api: str) -> Any:
    asked = {"model": "gpt-4o-mini", "messages": sdks.MESSAGES}
    async with client.chat.completions.stream(**asked) as opened:
        return [*[each async for each in opened], await opened.get_final_completion()]


def pieces(client: Any, api: str) -> Any:
    resource, asked = client.chat.completions.with_streaming_response, ASKED
    with resource.create(**asked) as response:
        return b"".join(response.iter_bytes())


async def pieces_async(client: Any, api: str) -> Any:
    resource, asked = client.chat.completions.with_streaming_response, ASKED
    async with resource.create(**asked) as response:
        return b"".join([each async for each in response.iter_bytes()])


def set_fields(client: Any, api: str) -> Any:
    return [each.to_dict() for each in client.chat.completions.create(**ASKED)]


async def set_fields_async(client: Any, api: str) -> Any:
    return [each.to_dict() async for each in await client.chat.completions.create(**ASKED)]


WAYS = {
    **sdks.STREAMED,
    "helper": (helper, helper_async),
    "bytes": (pieces, pieces_async),
    "fields": (set_fields, set_fields_async),
}


@pytest.mark.parametrize("chunks", [WHOLE, UNFINISHED, []], ids=["whole", "unfinished", "empty"])
@pytest.mark.parametrize("way", WAYS)
def test_the_caller_gets_what_he_would_get_and_the_call_its_usage(
    way: str, chunks: list[Any], provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    expected = sdks.outcome(lambda: WAYS[way][0](Provider(chunks).client(), "chat"))
    config.reload({"TOLLSPAN_STREAM_USAGE": "1", "TOLLSPAN_RAISE": "1"})
    with sdks.watched(provider):
        for cut in CUTS:
            for end in ("\n\n", "\r\n\r\n"):
                server = Provider(chunks, cut, end)
                got = sdks.outcome(lambda: WAYS[way][0](server.client(), "chat"))  # noqa: B023
                if end == "\n\n" or way not in ("bytes", "streaming response, lines"):
                    assert got == expected
                assert server.asked[0]["stream_options"] == {"include_usage": True}
    for span in sdks.call_spans(exporter):
        assert (span.attributes or {})[semconv.INPUT_TOKENS] == 11
        assert (span.attributes or {})[semconv.OUTPUT_TOKENS] == 7
    assert len(sdks.call_spans(exporter)) == len(CUTS) * 2


@pytest.mark.parametrize("chunks", [WHOLE, UNFINISHED, []], ids=["whole", "unfinished", "empty"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_async_caller_too(
    way: str, chunks: list[Any], provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    plain = Provider(chunks).async_client()
    expected = await sdks.outcome_async(lambda: WAYS[way][1](plain, "chat"))
    config.reload({"TOLLSPAN_STREAM_USAGE": "1", "TOLLSPAN_RAISE": "1"})
    with sdks.watched(provider):
        for cut in CUTS:
            client = Provider(chunks, cut).async_client()
            got = await sdks.outcome_async(lambda: WAYS[way][1](client, "chat"))  # noqa: B023
            assert got == expected
    assert [(s.attributes or {}).get(semconv.OUTPUT_TOKENS) for s in sdks.call_spans(exporter)] == [
        7
    ] * len(CUTS)


@pytest.mark.usefixtures("watched")
def test_nobody_is_asked_unless_the_user_wants_it(exporter: InMemorySpanExporter) -> None:
    server = Provider(WHOLE)
    list(server.client().chat.completions.create(**ASKED))

    assert "stream_options" not in server.asked[0]
    attributes = sdks.ended(exporter).attributes or {}
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    assert not [name for name in attributes if "estimated" in name]


@pytest.mark.usefixtures("asking", "watched")
@pytest.mark.parametrize(
    "more",
    [
        {"stream_options": {"include_usage": True}},
        {"stream_options": {"include_usage": False}},
        {"extra_body": {"stream_options": {"include_usage": True}}},
    ],
    ids=["asked", "refused", "asked aside"],
)
def test_what_the_caller_asks_for_himself_is_his(
    more: dict[str, Any], exporter: InMemorySpanExporter
) -> None:
    server = Provider(WHOLE)
    got = list(server.client().chat.completions.create(**ASKED, **more))

    wanted = (more.get("stream_options") or more["extra_body"]["stream_options"])["include_usage"]
    assert server.asked[0]["stream_options"] == {"include_usage": wanted}
    assert len(got) == len(WHOLE) + wanted
    assert (semconv.INPUT_TOKENS in (sdks.ended(exporter).attributes or {})) is wanted


@pytest.mark.usefixtures("asking", "watched")
def test_other_stream_options_of_the_caller_stay() -> None:
    server = Provider(WHOLE)
    given = {"include_obfuscation": False}
    list(server.client().chat.completions.create(**ASKED, stream_options=given))  # type: ignore[call-overload]

    assert server.asked[0]["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    assert given == {"include_obfuscation": False}


@pytest.mark.usefixtures("asking", "watched")
@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://llm.corp/v1", True),
        ("https://api.deepseek.com/v1", True),
        ("https://other.corp/v1", False),
        ("https://x.openai.azure.com/openai", False),
        ("https://api.mistral.ai/v1", False),
    ],
)
def test_only_hosts_that_allow_it_are_asked(url: str, asked: bool) -> None:
    server = Provider(WHOLE)
    list(server.client(base_url=url).chat.completions.create(**ASKED))

    assert ("stream_options" in server.asked[0]) is asked


@pytest.mark.usefixtures("asking", "watched")
def test_a_half_read_stream_is_abandoned_all_the_same(exporter: InMemorySpanExporter) -> None:
    stream = Provider(WHOLE, cut=40).client().chat.completions.create(**ASKED)
    next(iter(stream))
    del stream
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"


@pytest.mark.usefixtures("watched")
def test_an_estimate_is_marked_and_graded(exporter: InMemorySpanExporter) -> None:
    config.reload({"TOLLSPAN_ESTIMATE_USAGE": "1", "TOLLSPAN_RAISE": "1"})
    list(Provider([[choice("x" * 398)], [choice("éé")]]).client().chat.completions.create(**ASKED))

    attributes = dict(sdks.ended(exporter).attributes or {})
    assert attributes[semconv.ESTIMATED_OUTPUT_TOKENS] == 101
    assert attributes[semconv.ESTIMATED_INPUT_TOKENS] == -(-len(sdks.MESSAGES[0]["content"]) // 4)
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    settled = settle(attributes).attributes
    assert settled[semconv.COST_GRADE] == "estimated"
    assert settled[semconv.GRADE_REASON] == "estimated_usage"
    assert settled[semconv.COST_AMOUNT] > 0


@pytest.mark.usefixtures("watched")
def test_what_is_stated_beats_the_estimate(exporter: InMemorySpanExporter) -> None:
    config.reload({"TOLLSPAN_ESTIMATE_USAGE": "1", "TOLLSPAN_RAISE": "1"})
    asked = {**ASKED, "stream_options": {"include_usage": True}}
    list(Provider(WHOLE).client().chat.completions.create(**asked))

    attributes = dict(sdks.ended(exporter).attributes or {})
    assert semconv.ESTIMATED_OUTPUT_TOKENS not in attributes
    assert settle(attributes).attributes[semconv.COST_GRADE] == "derived"


@pytest.mark.usefixtures("watched")
def test_an_image_leaves_the_input_unknown(exporter: InMemorySpanExporter) -> None:
    config.reload({"TOLLSPAN_ESTIMATE_USAGE": "1", "TOLLSPAN_RAISE": "1"})
    shown = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
    asked = {**ASKED, "messages": [{"role": "user", "content": [shown]}]}
    list(Provider(WHOLE).client().chat.completions.create(**asked))

    attributes = dict(sdks.ended(exporter).attributes or {})
    assert semconv.ESTIMATED_INPUT_TOKENS not in attributes
    assert settle(attributes).attributes[semconv.COST_GRADE] == "estimated"


def test_a_refused_request_is_not_estimated() -> None:
    refused = {
        semconv.ESTIMATED_INPUT_TOKENS: 9,
        semconv.STATUS: "error",
        semconv.PROVIDER: "openai",
    }
    assert semconv.COST_AMOUNT not in settle(refused).attributes
