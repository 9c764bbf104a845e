"""`tollspan.record`: calls that nobody patches, told by the application."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import tollspan
from tollspan import calls, config, semconv
from tollspan.instrumentation import _patching


@pytest.fixture(autouse=True)
def used(provider: TracerProvider) -> Iterator[None]:
    _patching.use(provider)
    yield
    _patching.use(None)


def _only(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, dict[str, Any]]:
    (span,) = exporter.get_finished_spans()
    return span, dict(span.attributes or {})


def test_a_recorded_call_is_a_call_span(exporter: InMemorySpanExporter) -> None:
    before = time.time_ns()
    tollspan.record(
        provider="openai",
        model="gpt-4o-mini",
        input_tokens=540,
        output_tokens=180,
        latency_ms=892,
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-1",
        cache_read_tokens=100,
        cache_write_tokens=40,
        reasoning_tokens=20,
        service_tier="flex",
        finish_reasons=["stop"],
        time_to_first_chunk_ms=120.5,
        cost_usd=Decimal("0.000123"),
        server_address="llm.example",
        endpoint="checkout.ai_summary",
        prompt="summary",
        prompt_version="v3",
        tenant="acme",
        user="u_42",
        session="s_1",
        request_id="r_1",
        data_mode="test",
        tags={"team": "growth"},
    )
    after = time.time_ns()
    span, attributes = _only(exporter)
    assert span.name == "chat gpt-4o-mini"
    assert span.kind is SpanKind.CLIENT
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "tollspan"
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.1205,
        "gen_ai.usage.input_tokens": 540,
        "gen_ai.usage.output_tokens": 180,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 20,
        "tollspan.service_tier": "flex",
        "tollspan.cost.reported_usd": 0.000123,
        "server.address": "llm.example",
        "tollspan.endpoint_tag": "checkout.ai_summary",
        "gen_ai.prompt.name": "summary",
        "gen_ai.prompt.version": "v3",
        "tollspan.tenant": "acme",
        "user.id": "u_42",
        "session.id": "s_1",
        "tollspan.request_id": "r_1",
        "tollspan.data_mode": "test",
        "tollspan.tag.team": "growth",
        "tollspan.status": "success",
    }
    assert before <= span.end_time <= after  # type: ignore[operator]
    began = span.end_time - 892_000_000  # type: ignore[operator]
    # it was back-dated from a clock read before the end was, by no more than this test took
    assert began - (after - before) <= span.start_time <= began  # type: ignore[operator]


def test_what_is_not_known_is_not_written(exporter: InMemorySpanExporter) -> None:
    tollspan.record(provider="openai", model="gpt-4o-mini")
    _, attributes = _only(exporter)
    assert set(attributes) == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "tollspan.data_mode",
        "tollspan.request_id",
        "tollspan.status",
    }


def test_zero_that_is_known_is_written(exporter: InMemorySpanExporter) -> None:
    tollspan.record(provider="openai", model="m", input_tokens=0, cost_usd=0)
    _, attributes = _only(exporter)
    assert attributes["gen_ai.usage.input_tokens"] == 0
    assert attributes["tollspan.cost.reported_usd"] == 0.0


def test_attribution_comes_from_the_context_and_the_call_wins(
    exporter: InMemorySpanExporter,
) -> None:
    with tollspan.attribute(endpoint="outer", tenant="acme", tags={"team": "growth"}):
        tollspan.record(provider="openai", model="m", endpoint="inner", tags={"app": "web"})
    _, attributes = _only(exporter)
    assert attributes["tollspan.endpoint_tag"] == "inner"
    assert attributes["tollspan.tenant"] == "acme"
    assert attributes["tollspan.tag.team"] == "growth"
    assert attributes["tollspan.tag.app"] == "web"


def test_the_call_is_a_child_of_the_current_span_and_leaves_the_context_alone(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with provider.get_tracer("app").start_as_current_span("work") as parent:
        tollspan.record(provider="openai", model="m", endpoint="e")
        tollspan.record(provider="openai", model="m")
    first, second, _ = exporter.get_finished_spans()
    for span in (first, second):
        assert span.parent is not None
        assert span.parent.span_id == parent.get_span_context().span_id
    assert "tollspan.endpoint_tag" not in (second.attributes or {})
    assert not calls.open_calls
    assert calls.current_call.get() is None


@pytest.mark.parametrize(
    ("given", "status", "error"),
    [
        ({"error_type": "TimeoutError"}, "error", "TimeoutError"),
        ({"status": "error"}, "error", "_OTHER"),
        ({"status": "blocked"}, "blocked", None),
        ({"status": "abandoned"}, "abandoned", None),
        ({"status": "cancelled"}, "cancelled", None),
    ],
)
def test_how_it_ended(
    exporter: InMemorySpanExporter, given: dict[str, str], status: str, error: str | None
) -> None:
    tollspan.record(provider="openai", model="m", **given)  # type: ignore[arg-type]
    span, attributes = _only(exporter)
    assert attributes["tollspan.status"] == status
    assert attributes.get("error.type") == error
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)


def test_the_settler_prices_it_as_any_other_call(exporter: InMemorySpanExporter) -> None:
    class Settler:
        released = 0

        def settle(self, call: calls.OpenCall) -> dict[str, Any]:
            assert call.attributes[semconv.INPUT_TOKENS] == 3
            assert call.outer is None
            return {semconv.COST_AMOUNT: 0.5}

        def release(self, call: calls.OpenCall) -> None:
            self.released += 1

    before, settler = calls.settler, Settler()
    calls.install(settler)
    try:
        tollspan.record(provider="openai", model="m", input_tokens=3)
    finally:
        calls.install(before)
    _, attributes = _only(exporter)
    assert attributes["gen_ai.usage.cost.amount"] == 0.5
    assert settler.released == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input_tokens": -1}, "input_tokens is no count"),
    ({"output_tokens": 2**63}, "output_tokens is no count"),
    ({"output_tokens": 1.5}, "output_tokens=1.5 is not a whole number of tokens"),
    ({"cache_read_tokens": True}, "cache_read_tokens=True is not a whole number of tokens"),
    ({"input_tokens": "5"}, "input_tokens='5' is not a whole number of tokens"),
    ({"input_tokens": 5, "cache_read_tokens": 6}, "input_tokens=5 is less than the 6"),
    (
        {"input_tokens": 5, "cache_read_tokens": 3, "cache_write_tokens": 3},
        "input_tokens=5 is less than the 6",
    ),
    ({"output_tokens": 5, "reasoning_tokens": 6}, "output_tokens=5 is less than the 6"),
    ({"latency_ms": -0.1}, "latency_ms is no amount"),
    ({"latency_ms": float("nan")}, "latency_ms is no amount"),
    ({"latency_ms": float("inf")}, "latency_ms is no amount"),
    ({"latency_ms": 10**400}, "latency_ms is no amount"),
    ({"latency_ms": 1e12}, "more than thirty days"),
    ({"latency_ms": 5, "time_to_first_chunk_ms": 6}, "is more than latency_ms=5"),
    ({"cost_usd": -1}, "cost_usd is no amount"),
    ({"cost_usd": Decimal("NaN")}, "cost_usd is no amount"),
    ({"cost_usd": "1"}, "cost_usd='1' is not a number"),
    ({"provider": ""}, "provider='' is not a name"),
    ({"provider": None}, "provider=None is not a name"),
    ({"model": 4}, "model=4 is not a name"),
    ({"operation": " "}, "operation=' ' is not a name"),
    ({"status": "done"}, "status='done' is unknown: write one of success, error"),
    ({"finish_reasons": "stop"}, "finish_reasons='stop' is not a list of strings"),
    ({"finish_reasons": [1]}, "finish_reasons=1 is not a name"),
    ({"data_mode": "live"}, "data_mode='live'"),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG)
def test_an_argument_that_makes_no_sense_is_told_in_one_sentence(
    exporter: InMemorySpanExporter, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError) as wrong:
        tollspan.record(**({"provider": "openai", "model": "m"} | given))
    assert sentence in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert not exporter.get_finished_spans()


def test_nothing_is_recorded_where_tollspan_is_switched_off(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress_instrumentation():
        tollspan.record(provider="openai", model="m")
    monkeypatch.setenv("TOLLSPAN_DISABLED", "1")
    config.reload()
    tollspan.record(provider="openai", model="m")
    with pytest.raises(ValueError):
        tollspan.record(provider="openai", model="m", input_tokens=-1)
    assert not exporter.get_finished_spans()


@pytest.mark.quiet
def test_a_fault_of_ours_does_not_reach_the_caller(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("tollspan.instrumentation._record.tracer", broken)
    tollspan.record(provider="openai", model="m")
    assert not exporter.get_finished_spans()
