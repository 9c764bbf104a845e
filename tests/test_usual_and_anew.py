"""Whatever calls come, in whatever order: what was kept of those before changes nothing that is said of
the next, neither on its span nor in metrics, and prices that change are not outlived."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from tollspan import calls, semconv
from tollspan.launcher.metrics import Counting
from tollspan.processors.pricefile import load
from tollspan.processors.prices import Prices
from tollspan.processors.settle import Settled, settle

START_NS = 1_760_000_000_000_000_000
DAY_NS = 86_400_000_000_000
HEADER = semconv.RESPONSE_HEADER_PREFIX
FILES = (
    '[[prices]]\nmodel = "gpt-4o-mini"\nfrom = 2025-01-01\ninput_usd_per_mtok = {}\n'
    "output_usd_per_mtok = 3\n"
)
NEGOTIATED = ("1", "2")

CALLS = tuple(
    {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: provider,
        semconv.SERVER_ADDRESS: host,
        semconv.REQUEST_MODEL: model,
        semconv.STATUS: "success",
    }
    for provider, host, model in (
        ("openai", "api.openai.com", "gpt-4o-mini"),
        ("anthropic", "api.anthropic.com", "claude-sonnet-4-5"),
    )
)
few, many = st.sampled_from((0, 5, 40)), st.sampled_from((50, 300_000))
units = st.sampled_from(((), (semconv.CACHE_READ_TOKENS,), (semconv.WEB_SEARCHES,)))
ALWAYS = (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)
counted = st.fixed_dictionaries(
    {
        semconv.INPUT_TOKENS: many,
        semconv.OUTPUT_TOKENS: few,
        semconv.CACHE_READ_TOKENS: few,
        semconv.WEB_SEARCHES: few,
    }
)
changes = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            semconv.SERVER_ADDRESS: st.just("proxy.example"),
            semconv.REQUEST_MODEL: st.just("unheard-of"),
            semconv.RESPONSE_MODEL: st.sampled_from(("gpt-4o-mini-2024-07-18", "gpt-4.1")),
            semconv.FINISH_REASONS: st.sampled_from((("stop",), ("length", "stop"))),
            semconv.STATUS: st.sampled_from(("error", "abandoned", "blocked")),
            semconv.COST_REPORTED: st.sampled_from((0.5, 0.0)),
            semconv.INPUT_TOKENS: st.sampled_from((2**70, 1.5, -1, None)),
            semconv.CACHE_READ_TOKENS: st.just(10**6),
            semconv.CACHE_WRITE_TOKENS: few,
            semconv.CACHE_WRITE_1H_TOKENS: few,
            semconv.REASONING_TOKENS: few,
        },
    ),
    st.fixed_dictionaries({semconv.SERVICE_TIER: st.sampled_from(("default", "flex", "batch"))}),
    st.fixed_dictionaries({semconv.AUDIO_OUTPUT_TOKENS: few}),
)
once = {semconv.ATTEMPT: 1, semconv.HTTP_STATUS: 200}
attempts = st.one_of(
    st.just([once]),
    st.just([once]),
    st.lists(
        st.fixed_dictionaries(
            {semconv.HTTP_STATUS: st.sampled_from((200, 429, 500))},
            optional={
                semconv.ERROR_TYPE: st.sampled_from(("429", "ReadTimeout")),
                HEADER + "x-litellm-call-id": st.just("l"),
                HEADER + "x-litellm-attempted-retries": st.just("1"),
            },
        ),
        max_size=2,
    ),
)
one = st.tuples(
    counted,
    changes,
    attempts,
    st.sampled_from((START_NS,) * 3 + (START_NS + 3 * DAY_NS,)),
    st.sampled_from((None,) * 4 + NEGOTIATED),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("prices")
    found = {each: folder / f"{each}.toml" for each in NEGOTIATED}
    for each, path in found.items():
        path.write_text(FILES.format(each))
    return found


RECORDING = TracerProvider(shutdown_on_exit=False)


class Metrics(calls.Settler):
    """Of calls that are told as they were settled."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.counting = Counting(self, MeterProvider([self.reader], shutdown_on_exit=False))

    def settle(self, call: calls.OpenCall) -> Mapping[str, Any]:
        return {}

    def release(self, call: calls.OpenCall) -> None: ...

    def told(self, said: Mapping[str, Any], settled: Settled) -> None:
        span = RECORDING.get_tracer("t").start_span("s")
        released = calls.OpenCall(span, START_NS)
        released.end_ns = START_NS + 1_000_000
        released.attributes = {**said, **settled.attributes}
        self.counting.release(released)

    def read(self) -> list[Any]:
        data: Any = self.reader.get_metrics_data()
        return sorted(
            (metric.name, sorted(point.attributes.items(), key=str), *_numbers(point))
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        )


def _numbers(point: Any) -> tuple[Any, ...]:
    if hasattr(point, "value"):
        return (point.value,)
    return point.count, point.sum, tuple(point.bucket_counts)


@given(st.sampled_from(CALLS), units, st.lists(one, min_size=4, max_size=12))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_was_kept_says_the_same_as_settling_anew(
    files: Mapping[str, Path],
    asked: dict[str, Any],
    stated: tuple[str, ...],
    several: list[tuple[Any, ...]],
) -> None:
    warm = {each: _prices(files, each) for each in (None, *NEGOTIATED)}
    kept, new = Metrics(), Metrics()
    for numbers, changed, tried, start_ns, negotiated in several:
        used = {name: numbers[name] for name in (*ALWAYS, *stated)}
        said = {**asked, **used, **changed}
        usual = settle(said, tried, start_ns=start_ns, prices=warm[negotiated])
        anew = settle(said, tried, start_ns=start_ns, prices=_prices(files, negotiated))
        assert usual == anew
        kept.told(said, usual)
        new.told(said, anew)
    assert kept.read() == new.read()


def test_most_calls_are_usual() -> None:
    """What the property holds for is what happens: the second call is not settled anew."""
    prices = Prices()
    said = {
        **CALLS[0],
        semconv.INPUT_TOKENS: 540,
        semconv.CACHE_READ_TOKENS: 128,
        semconv.OUTPUT_TOKENS: 180,
    }
    first = settle(said, [once], start_ns=START_NS, prices=prices)
    (usual,) = prices.usual.values()
    said[semconv.INPUT_TOKENS] = 1_080
    second = settle(said, [once], start_ns=START_NS, prices=prices)
    assert usual.settled((1_080, 180, 128)) == second.attributes
    assert first.attributes[semconv.COST_AMOUNT] == 0.0001794
    assert second.attributes[semconv.COST_AMOUNT] == 0.0002604


def _prices(files: Mapping[str, Path], negotiated: str | None) -> Prices:
    return Prices(load(files[negotiated]) if negotiated is not None else None)
