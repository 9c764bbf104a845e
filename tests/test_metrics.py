"""Every call is counted once, sampled or not, under a bounded number of labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tollspan import calls, config, semconv
from tollspan.launcher import metrics as launcher_metrics
from tollspan.launcher.instruments import SECONDS, TOKENS
from tollspan.launcher.metrics import LIMITS, Counting


class Inner:
    """A settler that has settled already."""

    def __init__(self) -> None:
        self.released: list[calls.OpenCall] = []

    def settle(self, call: calls.OpenCall) -> Mapping[str, Any]:
        return {"asked": True}

    def release(self, call: calls.OpenCall) -> None:
        self.released.append(call)


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def counting(reader: InMemoryMetricReader) -> Counting:
    return Counting(Inner(), MeterProvider([reader], shutdown_on_exit=False))


RECORDING = TracerProvider(shutdown_on_exit=False)


def ended(provider: TracerProvider | None = None, **more: Any) -> calls.OpenCall:
    """A call of 1.5 s, 1000 tokens in and 50 out for 0.25 USD; `more` overrides by constant name."""
    span = (provider or RECORDING).get_tracer("t").start_span("s")
    span.end()
    call = calls.OpenCall(span, 1_000_000_000)
    call.end_ns = 2_500_000_000
    known = {
        "OPERATION": "chat",
        "PROVIDER": "openai",
        "REQUEST_MODEL": "gpt-4o-mini",
        "RESPONSE_MODEL": "gpt-4o-mini-2024-07-18",
        "SERVER_ADDRESS": "api.openai.com",
        "SERVER_PORT": 443,
        "DATA_MODE": "real",
        "INPUT_TOKENS": 1000,
        "OUTPUT_TOKENS": 50,
        "COST_ROLE": "owner",
        "COST_GRADE": "derived",
        "COST_AMOUNT": 0.25,
        **more,
    }
    for name, value in known.items():
        if value is not None:
            call.attributes[getattr(semconv, name)] = value
    return call


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """Data points by metric name."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_a_call_is_one_duration_two_token_counts_and_its_cost(
    counting: Counting, reader: InMemoryMetricReader
) -> None:
    counting.release(ended(TIME_TO_FIRST_CHUNK=0.2))

    found = points(reader)
    (duration,) = found["gen_ai.client.operation.duration"]
    assert (duration.sum, duration.count) == (1.5, 1)
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in found["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 1000, "output": 50}
    (first,) = found["gen_ai.client.operation.time_to_first_chunk"]
    assert first.sum == 0.2
    (cost,) = found["tollspan.cost"]
    assert cost.value == 0.25
    assert "tollspan.unpriced_calls" not in found or not found["tollspan.unpriced_calls"]


def test_buckets_are_those_of_the_conventions(
    counting: Counting, reader: InMemoryMetricReader
) -> None:
    counting.release(ended())

    found = points(reader)
    (duration,) = found["gen_ai.client.operation.duration"]
    assert duration.explicit_bounds == pytest.approx(
        (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    )
    assert tuple(found["gen_ai.client.token.usage"][0].explicit_bounds) == (
        (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
        + (1048576, 4194304, 16777216, 67108864)
    )
    assert (len(SECONDS), len(TOKENS)) == (14, 14)


def test_each_collection_goes_on_from_the_one_before(
    counting: Counting, reader: InMemoryMetricReader
) -> None:
    counting.release(ended())
    points(reader)
    counting.release(ended(COST_AMOUNT=0.5))

    found = points(reader)
    assert found["tollspan.cost"][0].value == 0.75
    assert found["gen_ai.client.operation.duration"][0].count == 2


def test_calls_are_counted_when_no_span_is_sampled(
    counting: Counting, reader: InMemoryMetricReader
) -> None:
    call = ended(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    assert not call.span.is_recording()

    counting.release(call)

    assert points(reader)["tollspan.cost"][0].value == 0.25


def test_a_restated_call_counts_nothing(counting: Counting, reader: InMemoryMetricReader) -> None:
    counting.release(ended(COST_ROLE="restated"))

    assert not any(points(reader).values())


def test_unknown_is_not_zero(counting: Counting, reader: InMemoryMetricReader) -> None:
    counting.release(
        ended(
            COST_AMOUNT=None,
            COST_GRADE="unpriced",
            UNPRICED_REASON="no_usage",
            INPUT_TOKENS=None,
            OUTPUT_TOKENS=None,
        )
    )

    found = points(reader)
    assert not found.get("tollspan.cost")
    assert "gen_ai.client.token.usage" not in found
    (unpriced,) = found["tollspan.unpriced_calls"]
    assert unpriced.value == 1
    assert unpriced.attributes["tollspan.unpriced_reason"] == "no_usage"


def test_labels_name_who_and_what(counting: Counting, reader: InMemoryMetricReader) -> None:
    counting.release(ended(ENDPOINT_TAG="checkout", PROMPT_VERSION="v3", ERROR_TYPE="429"))

    (cost,) = points(reader)["tollspan.cost"]
    assert dict(cost.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "server.address": "api.openai.com",
        "server.port": 443,
        "error.type": "429",
        "tollspan.endpoint_tag": "checkout",
        "gen_ai.prompt.version": "v3",
        "tollspan.data_mode": "real",
    }


def test_only_tenants_on_the_list_are_named(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_METRIC_TENANTS", "acme")
    config.reload()
    counting = Counting(Inner(), MeterProvider([reader], shutdown_on_exit=False))
    for tenant in ("acme", "zeta", "omega"):
        counting.release(ended(TENANT=tenant))

    costs = {
        point.attributes["tollspan.tenant"]: point.value
        for point in points(reader)["tollspan.cost"]
    }
    assert costs == {"acme": 0.25, "other": 0.5}


@pytest.mark.parametrize("name", ["REQUEST_MODEL", "ENDPOINT_TAG", "ERROR_TYPE", "PROMPT_VERSION"])
def test_hostile_values_do_not_become_time_series(
    counting: Counting, reader: InMemoryMetricReader, name: str
) -> None:
    limit = LIMITS[getattr(semconv, name)]
    for number in range(limit + 500):
        counting.release(ended(**{name: f"made-up-{number}"}))

    found = points(reader)["tollspan.cost"]
    assert len(found) == limit + 1
    by_value = {point.attributes[getattr(semconv, name)]: point.value for point in found}
    assert by_value["other"] == 0.25 * 500
    assert sum(by_value.values()) == 0.25 * (limit + 500)


def test_many_hostile_labels_at_once_share_one_overflow_series(
    counting: Counting, reader: InMemoryMetricReader
) -> None:
    for number in range(6000):
        counting.release(
            ended(
                REQUEST_MODEL=f"m{number % 90}",
                ENDPOINT_TAG=f"e{number % 190}",
                PROMPT_VERSION=f"v{number % 97}",
            )
        )

    found = points(reader)["tollspan.cost"]
    assert len(found) == 4001
    (overflow,) = [point for point in found if "otel.metric.overflow" in point.attributes]
    assert overflow.value == 0.25 * 2000
    assert sum(point.value for point in found) == 0.25 * 6000


def test_what_does_not_fit_the_queue_is_recorded_at_once(
    counting: Counting, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_metrics, "_MOST_WAITING", 100)
    for _ in range(250):
        counting.release(ended())

    assert len(counting._waiting) == 100
    assert points(reader)["gen_ai.client.operation.duration"][0].count == 250


def test_the_settler_inside_settles_and_releases(counting: Counting) -> None:
    call = ended()

    assert counting.settle(call) == {"asked": True}
    counting.release(call)
    assert counting.inner.released == [call]  # type: ignore[attr-defined]


@pytest.mark.quiet
def test_a_fault_while_counting_harms_nobody(counting: Counting) -> None:
    counting.release(ended(COST_AMOUNT="not a number", COST_GRADE=["unhashable"]))
    counting.release(ended(REQUEST_MODEL=["unhashable"]))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_starts_from_zero(counting: Counting, reader: InMemoryMetricReader) -> None:
    counting.release(ended())
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        counting.release(ended(COST_AMOUNT=4.0))
        total = sum(series.cost_usd for series in counting._all_series())
        os.write(into, f"{total} {counting.released} {len(counting._waiting)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(out, 100).decode() == "4.0 1 1"
    assert points(reader)["tollspan.cost"][0].value == 0.25


def test_metrics_can_be_off(reader: InMemoryMetricReader) -> None:
    counting = Counting(Inner(), MeterProvider([reader], shutdown_on_exit=False), record=False)
    counting.release(ended())

    assert reader.get_metrics_data() is None
    assert counting.released == 1


def test_another_provider_takes_over_and_back(reader: InMemoryMetricReader) -> None:
    other = InMemoryMetricReader()
    here = MeterProvider([reader], shutdown_on_exit=False)
    there = MeterProvider([other], shutdown_on_exit=False)
    counting = Counting(Inner(), here)
    counting.release(ended())
    points(reader)
    counting.measure_with(there)
    counting.release(ended(COST_AMOUNT=0.5))

    assert points(other)["gen_ai.client.operation.duration"][0].count == 1
    counting.measure_with(here)
    counting.release(ended(COST_AMOUNT=1.0))
    found = points(reader)
    assert found["gen_ai.client.operation.duration"][0].count == 2
    assert found["tollspan.cost"][0].value == 1.75


def test_a_new_counting_on_the_same_provider_is_observed(reader: InMemoryMetricReader) -> None:
    meters = MeterProvider([reader], shutdown_on_exit=False)
    first = Counting(Inner(), meters)
    first.release(ended())
    first.stop()
    second = Counting(Inner(), meters)
    second.release(ended(COST_AMOUNT=8.0))

    found = points(reader)
    assert found["tollspan.cost"][0].value == 8.0
    assert found["gen_ai.client.operation.duration"][0].count == 2
