"""LiteLLM as a library: each call of its own is one call, with what it makes of it inside."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from needs import missing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay

import tollspan
from tollspan.chaos import Chaos, bill, disconnect, odd_chunks, ok, status
from tollspan.instrumentation import _dropped, litellm, openai

# LiteLLM and the SDKs that it loads warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

MESSAGES = [{"role": "user", "content": "secret question"}]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if importlib.util.find_spec("litellm") is None:
        missing("litellm", "not installed beside this openai SDK; a second environment runs this")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm as loaded

    yield loaded
    # It closes no client: let them go now, while their complaints are ignored.
    loaded.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


@pytest.fixture
def instrumented(library: Any, provider: TracerProvider) -> Iterator[Any]:
    instrumentors = [litellm.Instrumentor(), openai.Instrumentor()]
    for each in instrumentors:
        each.instrument(tracer_provider=provider, skip_dep_check=True)
    yield library
    for each in instrumentors:
        each.uninstrument()


def _calls(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The outermost call, and all that is inside it, in order of their starts."""
    found = [s for s in exporter.get_finished_spans() if "gen_ai.operation.name" in _of(s)]
    (outer,) = [span for span in found if span.parent is None]
    inner = sorted((span for span in found if span.parent), key=lambda span: span.start_time or 0)
    return outer, inner


def _of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def _at(chaos: Chaos) -> dict[str, str]:
    return {"api_base": chaos.openai_base_url, "api_key": "k"}


def _router(library: Any, chaos: Chaos) -> Any:
    def deployment(group: str, model: str) -> dict[str, Any]:
        return {"model_name": group, "litellm_params": {"model": f"openai/{model}", **_at(chaos)}}

    return library.Router(
        model_list=[deployment("smart", "gpt-4o"), deployment("cheap", "gpt-4o-mini")],
        fallbacks=[{"smart": ["cheap"]}],
        num_retries=1,
        retry_after=0,
        disable_cooldowns=True,
    )


def _check_one_owner(outer: ReadableSpan, inner: list[ReadableSpan]) -> None:
    """Only the outermost call has tokens; all others restate and say who owns them."""
    assert outer.context is not None
    assert "tollspan.cost.role" not in _of(outer) or _of(outer)["tollspan.cost.role"] == "owner"
    for span in inner:
        attributes = _of(span)
        assert attributes["tollspan.cost.role"] == "restated"
        assert attributes["tollspan.owner_span_id"] == f"{outer.context.span_id:016x}"
        assert attributes["tollspan.request_id"] == _of(outer)["tollspan.request_id"]
        assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
        assert span.context is not None and span.context.trace_id == outer.context.trace_id


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_completion_is_one_call(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, way: str
) -> None:
    chaos.script(ok(input_tokens=11, output_tokens=7, cached_tokens=3))
    asked = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, "temperature": 0.5, **_at(chaos)}
    if way == "sync":
        answer = instrumented.completion(**asked)
    else:
        answer = asyncio.run(instrumented.acompletion(**asked))
    assert answer.usage.prompt_tokens == 11
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert outer.name == "chat openai/gpt-4o-mini"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.request.model"] == "openai/gpt-4o-mini"
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.response.model"] == chaos.log[0].model_served
    assert attributes["gen_ai.response.id"] == chaos.log[0].response_id
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.input_tokens"] == 11
    assert attributes["gen_ai.usage.output_tokens"] == 7
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 3
    assert "tollspan.usage.untrusted" not in attributes
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["tollspan.app_attempts"] == 1
    assert attributes["tollspan.status"] == "success"
    assert "tollspan.fallback" not in attributes
    assert [span.name for span in inner] == ["chat gpt-4o-mini"]
    _check_one_owner(outer, inner)
    assert "secret" not in "".join(span.to_json() for span in exporter.get_finished_spans())


@pytest.mark.parametrize("way", ["positional", "named"])
def test_arguments_are_read_however_they_are_given(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, way: str
) -> None:
    if way == "positional":
        instrumented.completion("openai/gpt-4o-mini", MESSAGES, **_at(chaos))
    else:
        instrumented.completion(
            model="gpt-4o-mini", custom_llm_provider="openai", messages=MESSAGES, **_at(chaos)
        )
    outer, _ = _calls(exporter)
    assert _of(outer)["gen_ai.request.model"].endswith("gpt-4o-mini")
    assert _of(outer)["gen_ai.provider.name"] == "openai"


async def _read(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_is_one_call_and_keeps_its_class(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, way: str
) -> None:
    chaos.script(ok(input_tokens=11, output_tokens=7))
    asked = {
        "model": "openai/gpt-4o-mini",
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
        **_at(chaos),
    }
    if way == "sync":
        stream = instrumented.completion(**asked)
        assert type(stream) is instrumented.CustomStreamWrapper
        assert not exporter.get_finished_spans()
        chunks = list(stream)
    else:

        async def run() -> list[Any]:
            stream = await instrumented.acompletion(**asked)
            assert type(stream) is instrumented.CustomStreamWrapper
            return await _read(stream)

        chunks = asyncio.run(run())
    assert chunks
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.model"] == chaos.log[0].model_served
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.input_tokens"] == 11
    assert attributes["gen_ai.usage.output_tokens"] == 7
    # `usage.cost` of these chunks is LiteLLM's own reckoning; the provider stated none
    assert "tollspan.cost.reported_usd" not in attributes
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["tollspan.status"] == "success"
    assert attributes["tollspan.app_attempts"] == 1
    assert len(inner) == 1
    _check_one_owner(outer, inner)


def test_a_stream_without_usage_states_none(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    list(
        instrumented.completion(
            model="openai/gpt-4o-mini", messages=MESSAGES, stream=True, **_at(chaos)
        )
    )
    outer, _ = _calls(exporter)
    assert not [name for name in _of(outer) if name.startswith("gen_ai.usage.")]


@pytest.mark.parametrize("routed", [False, True])
def test_counts_that_litellm_guesses_are_not_trusted(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, routed: bool
) -> None:
    """Asked for usage that the provider does not give, LiteLLM counts words and says nothing."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    delta = {"index": 0, "delta": {"role": "assistant", "content": "a b"}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chaos.script(odd_chunks([chunk | {"choices": [delta]}, chunk | {"choices": [last]}]))
    asked = {"messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    if routed:
        list(_router(instrumented, chaos).completion(model="cheap", **asked))
    else:
        list(instrumented.completion(model="openai/gpt-4o-mini", **asked, **_at(chaos)))
    outer, _ = _calls(exporter)
    assert _of(outer)["gen_ai.usage.output_tokens"] > 0
    assert _of(outer)["tollspan.usage.untrusted"] is True


def test_a_dropped_stream_is_an_abandoned_call(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    stream = instrumented.completion(
        model="openai/gpt-4o-mini", messages=MESSAGES, stream=True, **_at(chaos)
    )
    next(stream)
    gone = threading.Event()
    weakref.finalize(stream, gone.set)
    del stream
    for _ in range(100):  # LiteLLM's logging threads hold it for a moment
        gc.collect()
        if gone.wait(0.1):
            break
    assert _dropped.settled()
    outer, inner = _calls(exporter)
    assert _of(outer)["tollspan.status"] == "abandoned"
    assert len(inner) == 1


def test_a_stream_that_breaks_off_fails_as_it_does_without_us(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(disconnect(after_chunks=2))
    stream = instrumented.completion(
        model="openai/gpt-4o-mini", messages=MESSAGES, stream=True, **_at(chaos), max_retries=0
    )
    with pytest.raises(Exception) as failure:
        list(stream)
    outer, _ = _calls(exporter)
    assert _of(outer)["error.type"] == type(failure.value).__qualname__
    assert _of(outer)["tollspan.status"] == "error"


def test_an_error_is_the_callers_and_the_spans(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(status(400))
    with pytest.raises(instrumented.BadRequestError):
        instrumented.completion(model="openai/gpt-4o-mini", messages=MESSAGES, **_at(chaos))
    outer, inner = _calls(exporter)
    assert _of(outer)["error.type"] == "BadRequestError"
    assert _of(outer)["tollspan.status"] == "error"
    assert _of(outer)["tollspan.app_attempts"] == 1
    _check_one_owner(outer, inner)


ROUTER_WAYS = ["sync", "async", "sync stream", "async stream"]


def _ask(router: Any, way: str, **more: Any) -> Any:
    asked = {"model": "smart", "messages": MESSAGES, **more}
    if way == "sync":
        return router.completion(**asked)
    if way == "async":
        return asyncio.run(router.acompletion(**asked))
    asked |= {"stream": True, "stream_options": {"include_usage": True}}
    if way == "sync stream":
        return list(router.completion(**asked))

    async def run() -> list[Any]:
        return await _read(await router.acompletion(**asked))

    return asyncio.run(run())


@pytest.mark.parametrize("way", ROUTER_WAYS)
def test_a_fallback_of_the_router_is_one_call_with_three_attempts(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, way: str
) -> None:
    chaos.script(status(500), status(500), model="gpt-4o")
    chaos.script(ok(input_tokens=11, output_tokens=7), model="gpt-4o-mini")
    assert _ask(_router(instrumented, chaos), way)
    truth = [(answer.model_asked, answer.status) for answer in chaos.log]
    assert truth == [("gpt-4o", 500), ("gpt-4o", 500), ("gpt-4o-mini", 200)]

    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert outer.name == "chat smart"
    assert attributes["gen_ai.request.model"] == "smart"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.response.model"] == chaos.log[2].model_served
    assert attributes["gen_ai.usage.input_tokens"] == 11
    assert attributes["gen_ai.usage.output_tokens"] == 7
    assert attributes["tollspan.app_attempts"] == 3
    assert attributes["tollspan.fallback"] is True
    assert attributes["tollspan.model.routed"] == "cheap"
    assert attributes["tollspan.model.deployment"]
    assert attributes["tollspan.status"] == "success"
    assert "error.type" not in attributes
    _check_one_owner(outer, inner)
    statuses = [_of(span)["tollspan.status"] for span in inner]
    assert statuses == ["error"] * 4 + ["success"] * 2  # LiteLLM's own and the SDK's, three times
    attempts = [s for s in exporter.get_finished_spans() if "tollspan.attempt" in _of(s)]
    assert [_of(span)["tollspan.attempt"] for span in attempts] == [1, 2, 3]
    assert [_of(span)["http.response.status_code"] for span in attempts] == [500, 500, 200]


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("failure", [status(500), disconnect(after_chunks=0)])
def test_a_stream_that_the_router_falls_back_for_is_one_call_with_one_route(
    library: Any,
    provider: TracerProvider,
    chaos: Chaos,
    exporter: InMemorySpanExporter,
    way: str,
    failure: Any,
) -> None:
    """Before its first piece; a stream that dies later fails, or its money is a lower bound."""
    chaos.script(failure, failure, model="gpt-4o")
    chaos.script(ok(input_tokens=1000, output_tokens=100), model="gpt-4o-mini")
    asked: Any = {"model": "smart", "messages": MESSAGES, "stream": True}
    asked["stream_options"] = {"include_usage": True}
    tollspan.instrument(provider, providers=["litellm", "openai"])
    try:
        router = _router(library, chaos)
        if way == "sync":
            assert list(router.completion(**asked))
        else:

            async def run() -> list[Any]:
                return await _read(await router.acompletion(**asked))

            assert asyncio.run(run())
    finally:
        tollspan.uninstrument()
    assert chaos.wait()
    outer, _ = _calls(exporter)
    attributes = _of(outer)
    assert attributes["tollspan.route"] == "openai/gpt-4o-mini"
    assert attributes["tollspan.model.served"].startswith("gpt-4o-mini")
    assert attributes["tollspan.fallback"] is True
    assert attributes["tollspan.status"] == "success"
    assert attributes["tollspan.upstream_attempts"] == len(chaos.log)
    assert attributes["tollspan.upstream_attempts.confidence"] == "exact"
    owners = [s for s in exporter.get_finished_spans() if "gen_ai.usage.cost.amount" in _of(s)]
    assert owners == [outer]
    due = sum(price for _, price in bill(chaos.log) if price is not None)
    amount = attributes["gen_ai.usage.cost.amount"]
    if failure.code == 500:
        assert amount == pytest.approx(float(due))
    else:
        assert 0 < amount <= float(due)


def test_a_router_that_needs_no_fallback_says_so(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    _ask(_router(instrumented, chaos), "sync")
    outer, _ = _calls(exporter)
    assert _of(outer)["tollspan.fallback"] is False
    assert _of(outer)["tollspan.model.routed"] == "smart"
    assert _of(outer)["tollspan.app_attempts"] == 1


def test_a_routers_stream_keeps_its_class(instrumented: Any, chaos: Chaos) -> None:
    stream = _router(instrumented, chaos).completion(model="cheap", messages=MESSAGES, stream=True)
    assert isinstance(stream, instrumented.CustomStreamWrapper)
    assert list(stream)


def test_calls_side_by_side_do_not_mix(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    router = _router(instrumented, chaos)

    async def run() -> None:
        await asyncio.gather(
            *(
                router.acompletion(model=group, messages=MESSAGES)
                for group in ["smart", "cheap"] * 4
            )
        )

    asyncio.run(run())
    found = [s for s in exporter.get_finished_spans() if "gen_ai.operation.name" in _of(s)]
    outer = [span for span in found if span.parent is None]
    assert len(outer) == 8
    assert len({span.context.trace_id for span in outer if span.context}) == 8
    assert all(_of(span)["tollspan.app_attempts"] == 1 for span in outer)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_embeddings(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, way: str
) -> None:
    chaos.script(ok(input_tokens=24))
    asked = {"model": "openai/text-embedding-3-small", "input": ["secret"], **_at(chaos)}
    if way == "sync":
        instrumented.embedding(**asked)
    else:
        asyncio.run(instrumented.aembedding(**asked))
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.usage.input_tokens"] == 24
    assert "gen_ai.usage.output_tokens" not in attributes
    assert attributes["gen_ai.provider.name"] == "openai"
    assert len(inner) == 1
    _check_one_owner(outer, inner)


def _text() -> Exchange:
    answer = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": "x", "finish_reason": "length", "logprobs": None}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    body = json.dumps(answer)
    return Exchange(
        url="http://127.0.0.1/v1/completions",
        asked={},
        status=200,
        headers=[("content-type", "application/json")],
        body=body.encode(),
    )


@pytest.mark.parametrize("way", ["sync", "async"])
def test_text_completions(instrumented: Any, exporter: InMemorySpanExporter, way: str) -> None:
    with Replay([_text()]) as server:
        asked = {
            "model": "text-completion-openai/gpt-3.5-turbo-instruct",
            "prompt": "secret",
            "api_base": server.base_url("/completions"),
            "api_key": "k",
        }
        if way == "sync":
            instrumented.text_completion(**asked)
        else:
            asyncio.run(instrumented.atext_completion(**asked))
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert attributes["gen_ai.operation.name"] == "text_completion"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.usage.input_tokens"] == 5
    assert attributes["gen_ai.usage.output_tokens"] == 7
    assert len(inner) == 1
    _check_one_owner(outer, inner)


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_without_an_sdk_is_one_call_with_its_attempts(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, stream: bool
) -> None:
    """LiteLLM asks Anthropic through httpx: no inner call, but the attempts are seen."""
    chaos.script(ok(input_tokens=11, output_tokens=7, cached_tokens=3))
    answer = instrumented.completion(
        model="anthropic/claude-sonnet-4-5",
        messages=MESSAGES,
        api_base=chaos.anthropic_base_url,
        api_key="k",
        stream=stream,
        **({"stream_options": {"include_usage": True}} if stream else {}),
    )
    if stream:
        assert list(answer)
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert not inner
    assert attributes["gen_ai.provider.name"] == "anthropic"
    assert attributes["gen_ai.usage.output_tokens"] == 7
    truth = chaos.log[0].usage
    assert truth is not None
    assert attributes["gen_ai.usage.input_tokens"] == truth["input_tokens"]
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 3
    assert attributes["tollspan.app_attempts"] == 1


def test_an_answer_from_litellms_cache_is_a_cache_hit(
    instrumented: Any, chaos: Chaos, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from litellm.caching.caching import Cache

    for name in ("input_callback", "success_callback", "_async_success_callback"):
        monkeypatch.setattr(instrumented, name, [])
    monkeypatch.setattr(instrumented, "cache", None)
    instrumented.cache = Cache(type="local")
    asked = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, "caching": True, **_at(chaos)}
    instrumented.completion(**asked)
    exporter.clear()
    instrumented.completion(**asked)
    assert len(chaos.log) == 1
    outer, inner = _calls(exporter)
    assert not inner
    assert _of(outer)["tollspan.cache_hit"] is True


def test_uninstrument_restores_every_attribute(library: Any, provider: TracerProvider) -> None:
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    def now() -> list[Any]:
        functions = ("completion", "acompletion", "text_completion", "atext_completion")
        parents = [(library, (*functions, "embedding", "aembedding"))]
        parents += [(library.Router, (*functions, "embedding", "aembedding"))]
        parents += [(CustomStreamWrapper, ("__next__", "__anext__"))]
        return [vars(parent)[name] for parent, names in parents for name in names]

    before = now()
    instrumentor = litellm.Instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    during = now()
    assert not [each for each in during if any(each is other for other in before)]
    instrumentor.uninstrument()
    assert all(one is other for one, other in zip(before, now(), strict=True))
