"""Opt-in bridges: what each sends, to its own gateway only, without touching what the caller made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
from mirror import Mirror, Reply, ids_of, open_call, watching
from needs import ROOT
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import config, instrumentation
from tollspan.instrumentation import _bridges

ALL = ",".join(config.BRIDGES)
CHAT = {"OPERATION": "chat", "REQUEST_MODEL": "model-router-2"}
PLACES = {
    "cloudflare": "http://gateway.ai.cloudflare.com/v1/account/gateway/openai/chat/completions",
    "foundry": "http://res.services.ai.azure.com/openai/v1/chat/completions",
    "openrouter": "http://openrouter.ai/api/v1/chat/completions",
    "portkey": "http://api.portkey.ai/v1/chat/completions",
}
PLAIN = (
    "http://api.openai.com/v1/chat/completions",
    "http://openrouter.ai.evil.example/v1/chat/completions",
    "http://evilservices.ai.azure.com/openai/v1/chat/completions",
    "http://127.0.0.1:11434/v1/chat/completions",
)
ADDED = {
    "cf-aig-otel-trace-id",
    "cf-aig-otel-parent-span-id",
    "foundry-features",
    "x-openrouter-metadata",
    "x-portkey-trace-id",
    "x-vsr-debug",
}


def switch_on(names: str) -> None:
    config.reload({"TOLLSPAN_BRIDGES": names, "TOLLSPAN_RAISE": "1"})


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    _bridges._known.clear()
    with watching(provider):
        yield


# --- clients that reach any address through the mirror, as their proxy ----------------------------

Post = Callable[[Mirror, str, Any, Mapping[str, str]], None]


def _httpx(module: Any) -> Post:
    def post(mirror: Mirror, url: str, body: Any, headers: Mapping[str, str]) -> None:
        proxy = f"http://127.0.0.1:{mirror.port}"
        with module.Client(
            proxy=proxy, trust_env=False, follow_redirects=True, verify=False
        ) as client:
            client.post(url, json=body, headers=headers)

    return post


def _httpx_async(module: Any) -> Post:
    async def posted(mirror: Mirror, url: str, body: Any, headers: Mapping[str, str]) -> None:
        proxy = f"http://127.0.0.1:{mirror.port}"
        async with module.AsyncClient(
            proxy=proxy, trust_env=False, follow_redirects=True, verify=False
        ) as client:
            await client.post(url, json=body, headers=headers)

    return lambda *args: asyncio.run(posted(*args))


def _requests(mirror: Mirror, url: str, body: Any, headers: Mapping[str, str]) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": f"http://127.0.0.1:{mirror.port}"}
        session.post(url, json=body, headers=headers, timeout=30)


async def _aiohttp_posted(mirror: Mirror, url: str, body: Any, headers: Mapping[str, str]) -> None:
    proxy = f"http://127.0.0.1:{mirror.port}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers, proxy=proxy) as response,
    ):
        await response.read()


POSTS: Mapping[str, Post] = {
    "httpx": _httpx(httpx),
    "httpx async": _httpx_async(httpx),
    "httpx2": _httpx(httpx2),
    "httpx2 async": _httpx_async(httpx2),
    "requests": _requests,
    "aiohttp": lambda *args: asyncio.run(_aiohttp_posted(*args)),
}


@pytest.fixture(params=POSTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def sent(
    provider: TracerProvider,
    url: str,
    *replies: Reply,
    client: str = "httpx2",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    **call: Any,
) -> Mirror:
    """What arrived of one request to `url` inside a call."""
    with Mirror(*replies) as mirror, open_call(provider, **(call or CHAT)):
        POSTS[client](mirror, url, {"model": "m"} if body is None else body, headers or {})
    return mirror


def attempt_ids(exporter: InMemorySpanExporter) -> tuple[str, str]:
    (span,) = (span for span in exporter.get_finished_spans() if span.name == "POST")
    return ids_of(span)


# --- off ------------------------------------------------------------------------------------------


def by_every_client(urls: Iterable[str]) -> Any:
    """The first of `urls` by every client, the others by one."""
    first, *others = urls
    pairs = [*((first, each) for each in POSTS), *((each, "httpx2") for each in others)]
    return pytest.mark.parametrize(("url", "client"), pairs)


@by_every_client(reversed(PLACES.values()))
def test_each_is_off_until_it_is_named(provider: TracerProvider, client: str, url: str) -> None:
    mirror = sent(provider, url, client=client)
    assert not ADDED & set(mirror.received[0])
    assert json.loads(mirror.bodies[0]) == {"model": "m"}


@by_every_client(PLAIN)
def test_a_plain_provider_gets_nothing_from_any(
    provider: TracerProvider, client: str, url: str
) -> None:
    switch_on(ALL)
    mirror = sent(provider, url, client=client)
    assert not ADDED & set(mirror.received[0])
    assert json.loads(mirror.bodies[0]) == {"model": "m"}


@pytest.mark.parametrize("name", PLACES)
def test_one_does_not_switch_on_another(provider: TracerProvider, name: str) -> None:
    switch_on(",".join(each for each in config.BRIDGES if each != name))
    mirror = sent(provider, PLACES[name])
    assert not ADDED & set(mirror.received[0])
    assert json.loads(mirror.bodies[0]) == {"model": "m"}


def test_a_request_outside_a_call_gets_nothing() -> None:
    switch_on(ALL)
    with Mirror() as mirror:
        POSTS["httpx2"](mirror, PLACES["cloudflare"], {"model": "m"}, {})
    assert not ADDED & set(mirror.received[0])


def test_a_name_that_is_unknown_is_told_and_switches_nothing_on() -> None:
    with pytest.raises(config.ConfigError, match="helicone is unknown: write some of cloudflare"):
        config.reload({"TOLLSPAN_BRIDGES": "cloudflare,helicone"}, strict=True)
    assert config.reload({"TOLLSPAN_BRIDGES": "helicone"}).bridges == ()


# --- what each sends ------------------------------------------------------------------------------


def test_cloudflare_gets_trace_and_parent(
    provider: TracerProvider, exporter: InMemorySpanExporter, client: str
) -> None:
    switch_on("cloudflare")
    (headers,) = sent(provider, PLACES["cloudflare"], client=client).received
    ids = headers["cf-aig-otel-trace-id"], headers["cf-aig-otel-parent-span-id"]
    assert ids == attempt_ids(exporter)
    assert "traceparent" not in headers  # the host is not one that may receive it


@pytest.mark.parametrize("operation", ["chat", "embeddings"])
def test_openrouter_gets_a_trace_in_the_body_of_chats(
    provider: TracerProvider, exporter: InMemorySpanExporter, client: str, operation: str
) -> None:
    switch_on("openrouter")
    mirror = sent(provider, PLACES["openrouter"], client=client, OPERATION=operation)
    assert mirror.received[0]["x-openrouter-metadata"] == "enabled"
    trace_id, span_id = attempt_ids(exporter)
    trace = {"trace_id": trace_id, "parent_span_id": span_id}
    whole = client != "aiohttp" and operation == "chat"
    assert json.loads(mirror.bodies[0]) == {"model": "m", **({"trace": trace} if whole else {})}


@pytest.mark.parametrize("hosted", [True, False])
def test_portkey_gets_the_trace_id(
    provider: TracerProvider, exporter: InMemorySpanExporter, client: str, hosted: bool
) -> None:
    """A gateway of one's own is known by what the caller tells it."""
    switch_on("portkey")
    url = PLACES["portkey"] if hosted else "http://10.0.0.7:8787/v1/chat/completions"
    told = {} if hosted else {"x-portkey-config": "{}"}
    (headers,) = sent(provider, url, client=client, headers=told).received
    assert headers["x-portkey-trace-id"] == attempt_ids(exporter)[0]


def test_foundry_gets_its_feature_for_the_model_router_only(
    provider: TracerProvider, client: str
) -> None:
    switch_on("foundry")
    routed = sent(provider, PLACES["foundry"], client=client)
    assert routed.received[0]["foundry-features"] == "ModelRouterControls=V1Preview"
    other = sent(
        provider, PLACES["foundry"], client=client, OPERATION="chat", REQUEST_MODEL="gpt-5"
    )
    assert "foundry-features" not in other.received[0]


@pytest.mark.parametrize(
    ("version", "asked"),
    [("1.106.2", True), ("1.113.0rc1", True), ("2.0.0", True), ("1.81.0", False), ("x", False)],
)
def test_litellm_is_asked_for_fallback_errors_once_it_has_said_what_it_is(
    provider: TracerProvider, client: str, version: str, asked: bool
) -> None:
    switch_on("litellm")
    with Mirror(Reply(headers={"x-litellm-version": version})) as mirror:
        for _ in range(2):
            with open_call(provider, **CHAT):
                POSTS[client](mirror, "http://10.0.0.7:4000/chat/completions", {"model": "m"}, {})
    before, after = (json.loads(body) for body in mirror.bodies)
    assert before == {"model": "m"}
    whole = asked and client != "aiohttp"
    assert after == {"model": "m", **({"include_fallback_errors": True} if whole else {})}


def test_the_semantic_router_is_asked_for_its_reasons_once_it_has_said_what_it_is(
    provider: TracerProvider, client: str
) -> None:
    switch_on("vsr")
    with Mirror(Reply(headers={"x-vsr-schema-version": "2"})) as mirror:
        for port in (8801, 8801, 8802):
            with open_call(provider, **CHAT):
                POSTS[client](mirror, f"http://router:{port}/v1/chat/completions", {}, {})
    assert ["x-vsr-debug" in headers for headers in mirror.received] == [False, True, False]


def test_a_public_host_that_calls_itself_a_gateway_is_not_believed(
    provider: TracerProvider,
) -> None:
    switch_on("litellm,vsr")
    marks = {"x-litellm-version": "1.106.2", "x-vsr-schema-version": "2"}
    with Mirror(Reply(headers=marks)) as mirror:
        for _ in range(2):
            with open_call(provider, **CHAT):
                POSTS["httpx2"](mirror, PLAIN[0], {"model": "m"}, {})
    assert not ADDED & set(mirror.received[1])
    assert json.loads(mirror.bodies[1]) == {"model": "m"}


# --- whose word counts, and what is left as it was ------------------------------------------------


def test_what_the_caller_set_wins(provider: TracerProvider, client: str) -> None:
    switch_on(ALL)
    own = {"X-OpenRouter-Metadata": "disabled", "CF-AIG-OTEL-Trace-Id": "mine"}
    body = {"model": "m", "trace": {"trace_id": "mine"}}
    mirror = sent(provider, PLACES["openrouter"], client=client, body=body, headers=own)
    assert mirror.received[0]["x-openrouter-metadata"] == "disabled"
    assert json.loads(mirror.bodies[0]) == body
    mirror = sent(provider, PLACES["cloudflare"], client=client, headers=own)
    assert mirror.received[0]["cf-aig-otel-trace-id"] == "mine"


def test_a_redirect_to_another_host_carries_nothing(provider: TracerProvider, client: str) -> None:
    switch_on(ALL)
    away = Reply(307, {"location": PLAIN[0]})
    mirror = sent(provider, PLACES["openrouter"], away, client=client)
    assert "x-openrouter-metadata" in mirror.received[0]
    assert not ADDED & set(mirror.received[1])
    assert json.loads(mirror.bodies[1]) == {"model": "m"}


@pytest.mark.parametrize(
    "body",
    [[1, 2], "text", 'with "quotes" and }', 3, None, {}, {"a": 1.10, "b": "ü", "c": [{"d": {}}]}],
)
def test_a_body_keeps_its_bytes_whatever_it_is(provider: TracerProvider, body: Any) -> None:
    switch_on(ALL)
    own = json.dumps(body).encode()
    for content in (own, own + b"\n", b"{]", b"{", b"", b"}"):
        with Mirror() as mirror, open_call(provider, **CHAT):
            proxy = f"http://127.0.0.1:{mirror.port}"
            with httpx2.Client(proxy=proxy, trust_env=False, verify=False) as client:
                request = client.build_request("POST", PLACES["openrouter"], content=content)
                client.send(request)
        (arrived,) = mirror.bodies
        try:
            whole = isinstance(json.loads(content), dict)
        except ValueError:
            whole = False
        if whole:
            found = json.loads(arrived)
            assert found.pop("trace")
            assert found == body
            assert arrived.startswith(content.rstrip()[:-1])
        else:
            assert arrived == content
        # the request that the caller holds is what it was
        assert request.content == content == b"".join(request.stream)
        assert request.headers["content-length"] == str(len(content))
        assert not ADDED & set(request.headers)


def _stream_of(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\ndata: [DONE]\n\n".encode()


ANSWER: Any = {
    "id": "gen-1",
    "object": "chat.completion",
    "created": 1,
    "model": "openai/gpt-4o-mini",
    "provider": "OpenAI",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
CHUNK: Any = {
    **ANSWER,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}],
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_real_sdk_sends_it_with_every_attempt_and_the_callers_objects_stay(
    provider: TracerProvider, exporter: InMemorySpanExporter, way: str, streamed: bool
) -> None:
    switch_on("openrouter")
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        assert request.headers["x-openrouter-metadata"] == "enabled"
        assert request.headers["content-length"] == str(len(request.content))
        if len(bodies) == 1:
            return httpx2.Response(500, headers={"retry-after-ms": "1"})
        if streamed:
            kind = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kind, content=_stream_of(CHUNK))
        return httpx2.Response(200, json=ANSWER)

    extra = {"provider": {"order": ["openai"]}}
    messages: Any = [{"role": "user", "content": "x"}]
    asked: Any = {
        "model": "openai/gpt-4o-mini",
        "messages": messages,
        "stream": streamed,
        "extra_body": extra,
    }
    given: Any = {"base_url": "https://openrouter.ai/api/v1", "api_key": "k", "max_retries": 1}
    instrumentation.instrument(provider, ["openai"])
    try:
        if way == "sync":
            transport = httpx2.MockTransport(answer)
            with openai.OpenAI(**given, http_client=httpx2.Client(transport=transport)) as client:
                result = client.chat.completions.create(**asked)
                list(result) if streamed else None
        else:

            async def run() -> None:
                transport = httpx2.MockTransport(answer)
                own = httpx2.AsyncClient(transport=transport)
                async with openai.AsyncOpenAI(**given, http_client=own) as client:
                    result = await client.chat.completions.create(**asked)
                    if streamed:
                        assert [chunk async for chunk in result]

            asyncio.run(run())
    finally:
        instrumentation.uninstrument()
    assert extra == {"provider": {"order": ["openai"]}}
    assert messages == [{"role": "user", "content": "x"}]
    first, second = (body.pop("trace") for body in bodies)
    assert bodies[0] == bodies[1]
    assert first["trace_id"] == second["trace_id"]
    spans = [ids_of(s)[1] for s in exporter.get_finished_spans() if s.name == "POST"]
    if spans:  # where a span processor makes attempts' spans, there are none here
        assert [first["parent_span_id"], second["parent_span_id"]] == spans
    assert first["parent_span_id"] != second["parent_span_id"]


def test_every_bridge_is_documented_with_what_it_sends() -> None:
    page = (ROOT / "docs" / "bridges.md").read_text()
    for name in config.BRIDGES:
        assert f"## `{name}`" in page
    for said in ADDED | {"trace_id", "parent_span_id", "include_fallback_errors"}:
        assert said in page.lower(), said
