"""The span processor: real SDKs in, and what the exporters behind it see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sdks
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import tollspan
from tollspan import attribution, calls, semconv
from tollspan.guard import faults
from tollspan.processors import adoption, ownership, sdk, settle
from tollspan.processors import spans as module
from tollspan.processors.bounded import Bounded
from tollspan.processors.spans import TollspanProcessor, adopt_provider

NATIVE = "com.anthropic.sdk.python"
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    ],
    "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100},
}
MESSAGE_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 100},
}
LITELLM = {
    "x-litellm-call-id": "call-7",
    "x-litellm-version": "1.106.2",
    "x-litellm-model-name": "openai/gpt-4o-mini",
    "x-litellm-model-group": "chat-main",
    "x-litellm-attempted-retries": "1",
    "x-litellm-attempted-fallbacks": "0",
    "x-litellm-response-cost": "0.00021",
    "authorization": "Bearer sk-of-the-proxy",
}


@pytest.fixture(autouse=True)
def adopted(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    yield
    undo()
    assert calls.settler is None
    assert calls.adopts is False
    assert calls.open_calls == {}


def front(provider: TracerProvider) -> TollspanProcessor:
    found = module.Pipeline(provider).front
    assert isinstance(found, TollspanProcessor)
    return found


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def chat(provider: TracerProvider, headers: dict[str, str] | None = None) -> None:
    server = sdks.Server(CHAT_ANSWER, headers=headers or {})
    with sdks.watched(provider):
        sdks.openai_client(server).chat.completions.create(**sdks.CHAT)


def message(provider: TracerProvider, answer: Any = MESSAGE_ANSWER, status: int = 200) -> Any:
    server = sdks.Server(answer, status=status, named=True)
    with sdks.watched(provider):
        client = sdks.anthropic_client(server, open_telemetry={"tracer_provider": provider})
        return client.messages.create(**{**sdks.MESSAGE, "model": "claude-haiku-4-5"})


# --- our own spans --------------------------------------------------------------------------------


def test_our_call_arrives_once_with_cost_and_path(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    chat(provider)
    (call,) = sdks.call_spans(exporter)
    assert of(call)[semconv.COST_AMOUNT] == 0.00021
    assert of(call)[semconv.ROUTE] == "openai/gpt-4o-mini"
    assert not [s for s in exporter.get_finished_spans() if s.name.startswith("hop ")]


def test_a_gateway_becomes_hop_spans_below_the_call(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    chat(provider, LITELLM)
    (call,) = sdks.call_spans(exporter)
    hops = [span for span in exporter.get_finished_spans() if span.name.startswith("hop ")]
    assert [span.name for span in hops] == ["hop litellm", "hop openai/gpt-4o-mini"]
    assert of(call)[semconv.ROUTE] == "litellm > openai/gpt-4o-mini"
    assert of(call)[semconv.COST_GRADE] == "billed"
    assert call.context is not None
    for index, hop in enumerate(hops):
        assert hop.parent == call.context
        assert hop.context is not None
        assert hop.context.trace_id == call.context.trace_id
        assert call.start_time <= hop.start_time <= hop.end_time <= call.end_time  # type: ignore[operator]
        assert of(hop)[semconv.HOP_INDEX] == index
        assert hop.resource is call.resource
        assert hop.instrumentation_scope is not None
        assert hop.instrumentation_scope.name == semconv.SCOPE
        again = sdk.hop_span(call, of(hop), 1, 2, False)
        assert again.context is not None and again.context.span_id == hop.context.span_id
    assert len(
        {span.context.span_id for span in exporter.get_finished_spans() if span.context}
    ) == (len(exporter.get_finished_spans()))
    everything = " ".join(str(of(span)) for span in exporter.get_finished_spans())
    assert "sk-of-the-proxy" not in everything


def test_an_unsampled_call_is_settled_and_emits_nothing(exporter: InMemorySpanExporter) -> None:
    quiet = TracerProvider(sampler=sampling.ALWAYS_OFF)
    quiet.add_span_processor(SimpleSpanProcessor(exporter))
    undo = adopt_provider(quiet)
    settled: list[Any] = []
    own = front(quiet)

    class Watching:
        def settle(self, call: calls.OpenCall) -> Any:
            settled.append(own.settle(call))
            return settled[-1]

        def release(self, call: calls.OpenCall) -> None:
            own.release(call)

    calls.install(Watching())
    chat(quiet, LITELLM)
    calls.install(own)
    undo()
    assert settled[0][semconv.COST_AMOUNT] == 0.00021
    assert exporter.get_finished_spans() == ()


# --- spans that SDKs make -------------------------------------------------------------------------


def test_the_native_span_of_anthropic_is_the_call(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with tollspan.attribute(endpoint="summary", tenant="acme", tags={"team": "growth"}):
        message(provider)
    spans = [span for span in exporter.get_finished_spans() if span.name != "POST"]
    (call,) = spans
    own = of(call)
    assert call.instrumentation_scope is not None and call.instrumentation_scope.name == NATIVE
    assert own[semconv.INPUT_TOKENS] == 1_000
    assert own[semconv.COST_AMOUNT] == 0.00114  # 600 × 1 + 400 × 0.1 + 100 × 5 per million
    assert own[semconv.COST_ROLE] == "owner"
    assert own[semconv.ENDPOINT_TAG] == "summary"
    assert own[semconv.TENANT] == "acme"
    assert own[semconv.TAG_PREFIX + "team"] == "growth"
    assert own["anthropic.message.stop_reason"] == "end_turn"  # what it says itself stays
    attempts = [span for span in exporter.get_finished_spans() if span.name == "POST"]
    assert [span.parent for span in attempts] == [call.context]


EVENTS = [
    {"type": "message_start", "message": {**MESSAGE_ANSWER, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 100},
    },
    {"type": "message_stop"},
]


def test_a_native_span_is_adopted_also_after_a_foreign_one(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    client = sdks.anthropic_client(
        sdks.Server(MESSAGE_ANSWER), open_telemetry={"tracer_provider": provider}
    )
    client.messages.create(**{**sdks.MESSAGE, "model": "claude-haiku-4-5"})
    exporter.clear()
    message(provider)
    (call,) = [span for span in exporter.get_finished_spans() if span.name != "POST"]
    assert semconv.REQUEST_ID in of(call)
    assert of(call)[semconv.COST_AMOUNT] == 0.00114


@pytest.mark.parametrize("read", [99, 2])
def test_a_stream_under_a_native_span_is_one_call_read_or_broken_off(
    provider: TracerProvider, exporter: InMemorySpanExporter, read: int
) -> None:
    server = sdks.Server(events=EVENTS, named=True)
    with sdks.watched(provider):
        client = sdks.anthropic_client(server, open_telemetry={"tracer_provider": provider})
        asked = {**sdks.MESSAGE, "model": "claude-haiku-4-5", "stream": True}
        stream = client.messages.create(**asked)
        for _, _event in zip(range(read), stream, strict=False):
            pass
        stream.close()
        del stream
    (call,) = [span for span in exporter.get_finished_spans() if span.name != "POST"]
    own = of(call)
    assert own[semconv.COST_ROLE] == "owner"
    assert own[semconv.STATUS] == ("success" if read == 99 else "abandoned")
    assert own[semconv.COST_GRADE] == ("derived" if read == 99 else "lower_bound")
    assert own[semconv.COST_AMOUNT] > 0
    assert (semconv.COST_WASTED in own) == (read == 2)


def test_the_official_instrumentation_beside_ours_is_one_owner(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    official = OpenAIInstrumentor()
    official.instrument(tracer_provider=provider)
    try:
        chat(provider)
    finally:
        official.uninstrument()
    spans = [of(span) for span in exporter.get_finished_spans()]
    owners = [each for each in spans if each.get(semconv.COST_ROLE) == "owner"]
    assert [each[semconv.COST_AMOUNT] for each in owners] == [0.00021]
    assert sum(each.get(semconv.INPUT_TOKENS, 0) for each in spans) == 1_000


def test_a_failed_native_span_keeps_its_status_and_events(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    answer = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    with pytest.raises(Exception, match="no"):
        message(provider, answer, 400)
    (call,) = [span for span in exporter.get_finished_spans() if span.name != "POST"]
    assert call.status.status_code is StatusCode.ERROR
    assert of(call)[semconv.STATUS] == "error"
    assert of(call)[semconv.COST_GRADE] == "unpriced"
    assert semconv.COST_AMOUNT not in of(call)


def test_a_native_span_outside_our_calls_is_a_foreign_one(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """The SDK is not instrumented by us: its own span is all there is, and it is priced."""
    server = sdks.Server(MESSAGE_ANSWER)
    client = sdks.anthropic_client(server, open_telemetry={"tracer_provider": provider})
    with tollspan.attribute(tenant="acme"):
        client.messages.create(**{**sdks.MESSAGE, "model": "claude-haiku-4-5"})
    (call,) = exporter.get_finished_spans()
    assert of(call)[semconv.COST_AMOUNT] == 0.00114
    assert of(call)[semconv.TENANT] == "acme"


def test_an_open_inference_that_ends_after_the_call_is_merged_then(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """What opentelemetry-util-genai does: it marks its span in the context and ends it later."""
    tracer = provider.get_tracer("opentelemetry.util.genai.handler")
    with tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT) as span:
        token = otel_context.attach(
            otel_context.set_value("opentelemetry.genai.client.inference.context", object())
        )
        chat(provider)
        otel_context.detach(token)
        span.set_attribute(semconv.INPUT_TOKENS, 1_000)
        assert not [s for s in exporter.get_finished_spans() if s.name != "POST"]
    (call,) = [s for s in exporter.get_finished_spans() if s.name != "POST"]
    assert of(call)[semconv.COST_AMOUNT] == 0.00021
    assert of(call)[semconv.OUTPUT_TOKENS] == 100
    assert of(call)[semconv.COST_ROLE] == "owner"


# --- HTTP spans that OpenTelemetry makes ----------------------------------------------------------


def open_call(provider: TracerProvider) -> calls.OpenCall:
    span = provider.get_tracer(semconv.SCOPE).start_span("chat m", kind=SpanKind.CLIENT)
    call = calls.OpenCall(span, 1)
    call.attributes = {semconv.OPERATION: "chat", semconv.PROVIDER: "openai"}
    calls.open_calls[call.span_id] = call
    return call


def release(call: calls.OpenCall) -> None:
    call.attributes.update(calls.settler.settle(call))  # type: ignore[union-attr]
    if not call.adopted:
        call.span.set_attributes(call.attributes)
        call.span.end()
    calls.settler.release(call)  # type: ignore[union-attr]
    calls.open_calls.pop(call.span_id)


@pytest.mark.parametrize("spelling", ["x-litellm-call-id", "x_litellm_call_id"])
def test_an_http_span_is_held_enriched_and_not_doubled(
    provider: TracerProvider, exporter: InMemorySpanExporter, spelling: str
) -> None:
    call = open_call(provider)
    token = calls.current_call.set(call)
    http = provider.get_tracer("opentelemetry.instrumentation.httpx")
    for number in (1, 2):
        attempt = calls.Attempt(number)
        attempt.attributes = {semconv.ATTEMPT: number, semconv.HTTP_STATUS: 200}
        if number > 1:
            attempt.attributes[semconv.HTTP_RESEND_COUNT] = 1
        call.attempts.append(attempt)
        span = http.start_span("POST", kind=SpanKind.CLIENT)
        assert of(span)[semconv.ATTEMPT] == number  # type: ignore[arg-type]
        span.set_attribute(semconv.RESPONSE_HEADER_PREFIX + spelling, ["call-7"])
        span.end()
        prefix = semconv.RESPONSE_HEADER_PREFIX
        attempt.attributes[prefix + "x-litellm-call-id"] = "call-7"  # seen after the span's end
        attempt.attributes[prefix + "x-request-id"] = "req"
        attempt.end_ns = 9
    side = http.start_span("POST")  # a request that the recorder does not count: a token, say
    side.end()
    calls.current_call.reset(token)
    assert [of(span).get(semconv.ATTEMPT) for span in exporter.get_finished_spans()] == [None]
    release(call)
    held = [of(s) for s in exporter.get_finished_spans() if semconv.ATTEMPT in of(s)]
    assert [each[semconv.ATTEMPT] for each in held] == [1, 2]
    assert [each.get(semconv.HTTP_RESEND_COUNT) for each in held] == [None, 1]
    for each in held:
        same = [n for n in each if "litellm" in n]
        assert same == [semconv.RESPONSE_HEADER_PREFIX + spelling]
        assert each[semconv.RESPONSE_HEADER_PREFIX + "x-request-id"] == "req"
    assert call.attributes[semconv.ROUTE] == "litellm"


def test_headers_that_only_the_http_span_saw_tell_the_path(provider: TracerProvider) -> None:
    call = open_call(provider)
    token = calls.current_call.set(call)
    attempt = calls.Attempt(1)
    call.attempts.append(attempt)
    span = provider.get_tracer("opentelemetry.instrumentation.requests").start_span("POST")
    prefix = semconv.RESPONSE_HEADER_PREFIX
    span.set_attribute("http.status_code", 200)
    span.set_attribute(prefix + "x_litellm_call_id", ["c"])
    span.set_attribute(prefix + "x_litellm_model_name", ["openai/gpt-4o-mini"])
    span.end()
    calls.current_call.reset(token)
    release(call)
    assert call.attributes[semconv.ROUTE] == "litellm > openai/gpt-4o-mini"


def test_an_http_span_outside_a_call_is_left_alone(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    span = provider.get_tracer("opentelemetry.instrumentation.httpx").start_span("GET")
    span.end()
    (found,) = exporter.get_finished_spans()
    assert of(found) == {}


# --- spans of others ------------------------------------------------------------------------------

USAGE = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.INPUT_TOKENS: 1_000,
    semconv.OUTPUT_TOKENS: 100,
}


def test_others_around_and_inside_a_call_of_ours_restate_it(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    agents, inner = provider.get_tracer("agents"), provider.get_tracer("openlit")
    with agents.start_as_current_span("agent", attributes=USAGE):
        call = open_call(provider)
        call.attributes.update({**USAGE, semconv.STATUS: "success"})
        with trace.use_span(call.span):
            inner.start_span("inside", attributes=USAGE).end()
            late = inner.start_span("late", attributes=USAGE)
        release(call)
        late.end()
    spans = {span.name: of(span) for span in exporter.get_finished_spans()}
    assert spans["chat m"][semconv.COST_AMOUNT] == 0.00021
    for name in ("agent", "inside", "late"):
        assert spans[name][semconv.COST_ROLE] == "restated", name
        assert spans[name][semconv.OWNER_SPAN_ID] == f"{call.span_id:016x}"
        assert semconv.COST_AMOUNT not in spans[name]
        assert semconv.INPUT_TOKENS not in spans[name]


def test_attribution_of_a_foreign_span_is_that_of_its_start(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = provider.get_tracer("openinference.instrumentation.openai")
    with tollspan.attribute(tenant="acme"):
        span = tracer.start_span("x", attributes=USAGE)
    with tollspan.attribute(tenant="other"):
        span.end()
    (found,) = exporter.get_finished_spans()
    assert of(found)[semconv.TENANT] == "acme"


def test_a_copy_keeps_everything_else_of_the_span(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=6))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    undo = adopt_provider(provider)
    tracer = provider.get_tracer("openlit", "1.2")
    link = trace.Link(tracer.start_span("linked").get_span_context())
    span = tracer.start_span("x", kind=SpanKind.CLIENT, links=[link], attributes={"a": 1, **USAGE})
    span.set_attribute("one.too.many", 1)
    span.add_event("first", {"k": "v"})
    span.set_status(StatusCode.ERROR, "why")
    span.end()
    undo()
    (found,) = exporter.get_finished_spans()
    assert found.context == span.get_span_context()
    assert (found.name, found.kind, found.dropped_attributes) == ("x", SpanKind.CLIENT, 1)
    assert [event.name for event in found.events] == ["first"]
    assert len(found.links) == 1
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "why")
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.version == "1.2"
    assert isinstance(found.to_json(), str)


def test_other_spans_pass_as_the_same_object(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    span = provider.get_tracer("app").start_span("work", attributes={"a": 1})
    span.end()
    (found,) = exporter.get_finished_spans()
    assert type(found) is ReadableSpan
    assert of(found) == {"a": 1}


# --- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes", "endpoint"),
    [
        (SpanKind.SERVER, {semconv.HTTP_ROUTE: "/pay/{id}"}, "/pay/{id}"),
        (SpanKind.CONSUMER, {semconv.CELERY_TASK: "shop.mail"}, "shop.mail"),
        (SpanKind.CONSUMER, {semconv.MESSAGING_DESTINATION: "orders"}, "orders"),
        (SpanKind.SERVER, {}, None),
        (SpanKind.INTERNAL, {semconv.HTTP_ROUTE: "/pay"}, None),
    ],
)
def test_the_work_around_a_call_names_its_endpoint(
    provider: TracerProvider, kind: SpanKind, attributes: dict[str, str], endpoint: str | None
) -> None:
    tracer = provider.get_tracer("app")
    with (
        tracer.start_as_current_span("outer", kind=kind, attributes=attributes),
        tracer.start_as_current_span("inner"),
    ):
        assert attribution.current().get(semconv.ENDPOINT_TAG) == endpoint
        with tollspan.attribute(endpoint="said"):
            assert attribution.current()[semconv.ENDPOINT_TAG] == "said"
    assert semconv.ENDPOINT_TAG not in attribution.current()


# --- the pipeline ---------------------------------------------------------------------------------


def test_processors_added_later_stand_behind_too(provider: TracerProvider) -> None:
    late = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(late))
    provider.get_tracer("openlit").start_span("x", attributes=USAGE).end()
    (found,) = late.get_finished_spans()
    assert of(found)[semconv.COST_AMOUNT] == 0.00021


def test_what_belongs_to_a_span_goes_out_where_the_span_does(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    second, elsewhere = TracerProvider(), InMemorySpanExporter()
    second.add_span_processor(SimpleSpanProcessor(elsewhere))
    undo = adopt_provider(second)  # now it settles the calls of both
    chat(provider, LITELLM)
    undo()
    calls.install(front(provider))
    assert len([s for s in exporter.get_finished_spans() if s.name.startswith("hop ")]) == 2
    assert elsewhere.get_finished_spans() == ()
    adopt_provider(provider)


def test_adopting_twice_keeps_the_first_and_undoing_restores_the_provider(
    exporter: InMemorySpanExporter,
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = dict(vars(provider._active_span_processor))
    undo = adopt_provider(provider)
    first = front(provider)
    again = adopt_provider(provider)
    assert front(provider) is first
    undo()
    again()
    assert dict(vars(provider._active_span_processor)) == before
    assert attribution.endpoint_of_framework() is None
    provider.get_tracer("openlit").start_span("x", attributes=USAGE).end()
    (found,) = exporter.get_finished_spans()
    assert semconv.COST_AMOUNT not in of(found)


def test_flush_and_shutdown_reach_the_exporters() -> None:
    seen: list[str] = []

    class Counting(SimpleSpanProcessor):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            seen.append("flush")
            return True

        def shutdown(self) -> None:
            seen.append("shutdown")

    provider = TracerProvider()
    provider.add_span_processor(Counting(InMemorySpanExporter()))
    undo = adopt_provider(provider)
    assert provider.force_flush()
    provider.shutdown()
    undo()
    assert seen == ["flush", "shutdown"]


def test_a_shutdown_lets_go_of_what_is_held(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    undo = adopt_provider(provider)
    call = open_call(provider)
    token = calls.current_call.set(call)
    call.attempts.append(calls.Attempt(1))
    provider.get_tracer("opentelemetry.instrumentation.httpx").start_span("POST").end()
    calls.current_call.reset(token)
    provider.shutdown()
    undo()
    calls.open_calls.clear()
    assert [span.name for span in exporter.get_finished_spans()] == ["POST"]


@pytest.mark.quiet
def test_a_fault_of_ours_costs_telemetry_and_nothing_else(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    faults.clear()
    for place, name in (
        *((ownership, "owned"), (ownership, "restated"), (adoption, "merged")),
        *((settle, "settle"), (module, "states_usage"), (module, "rewritten")),
    ):
        monkeypatch.setattr(place, name, broken)
    provider.get_tracer("openlit").start_span("x", attributes=USAGE).end()
    chat(provider, LITELLM)
    names = [span.name for span in exporter.get_finished_spans()]
    assert "x" in names and "chat gpt-4o-mini" in names
    assert any("ZeroDivisionError" in place for place in faults)
    faults.clear()


def test_spans_that_never_end_are_forgotten() -> None:
    table: Bounded[int] = Bounded(3)
    for number in range(10):
        table.put(number, number)
    assert list(table) == [7, 8, 9]


def test_a_full_table_forgets_its_oldest_and_never_grows() -> None:
    table: Bounded[int] = Bounded(640)
    for number in range(10_000):
        table.put(number, number)
        assert len(table) <= 640
    assert list(table) == list(range(10_000 - len(table), 10_000))
    assert len(table) >= 630
