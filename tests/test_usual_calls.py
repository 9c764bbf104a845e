"""What is kept of one call for the next of its kind gives the same answer as settling it anew."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanContext, TraceFlags

from tollspan import semconv
from tollspan.launcher.histogram import record_all
from tollspan.processors.prices import Prices
from tollspan.processors.settle import settle
from tollspan.processors.tariff import nearest, rounded
from tollspan.processors.usage import UNITS
from tollspan.processors.usual import DECIDING

START_NS = 1_760_000_000_000_000_000
ATTEMPT = {semconv.ATTEMPT: 1, semconv.HTTP_STATUS: 200, semconv.SERVER_ADDRESS: "api.openai.com"}


def call(**more: Any) -> dict[str, Any]:
    return {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.SERVER_ADDRESS: "api.openai.com",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
        semconv.STATUS: "success",
        semconv.FINISH_REASONS: ("stop",),
        **more,
    }


def used(chance: random.Random) -> dict[str, int]:
    asked, answered = chance.choice((0, 1, 540, 300_000)), chance.choice((0, 1, 180))
    found = {semconv.INPUT_TOKENS: asked, semconv.OUTPUT_TOKENS: answered}
    for name, most in (
        (semconv.CACHE_READ_TOKENS, asked),
        (semconv.CACHE_WRITE_TOKENS, 9),
        (semconv.REASONING_TOKENS, answered),
        (semconv.AUDIO_INPUT_TOKENS, 7),
    ):
        if chance.random() < 0.5:
            found[name] = chance.randint(0, most + chance.randint(0, 1))
    return found


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-audio-preview", "gpt-4.1", "unheard-of"])
def test_a_usual_call_is_settled_as_if_it_were_the_first(model: str) -> None:
    chance, warm = random.Random(7), Prices()
    for _ in range(600):
        each = call(
            **{semconv.REQUEST_MODEL: model, semconv.RESPONSE_MODEL: model},
            **used(chance),
            **chance.choice(({}, {semconv.SERVICE_TIER: "flex"}, {semconv.SPEED: "fast"})),
            **chance.choice(({}, {semconv.STATUS: "error"}, {semconv.COST_REPORTED: 0.5})),
        )
        anew = settle(each, [ATTEMPT], start_ns=START_NS, prices=Prices())
        assert settle(each, [ATTEMPT], start_ns=START_NS, prices=warm) == anew
    assert bool(warm.usual) is (model != "unheard-of")


def test_nothing_else_of_a_call_decides() -> None:
    read: set[str] = set()

    class Watched(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

        def __getitem__(self, name: str) -> Any:
            read.add(name)
            return super().__getitem__(name)

        def __contains__(self, name: object) -> bool:
            read.add(str(name))
            return super().__contains__(name)

    for status in ("success", "error"):
        each = Watched(call(**{semconv.INPUT_TOKENS: 5, semconv.STATUS: status}))
        settle(each, [ATTEMPT], start_ns=START_NS, prices=Prices())
    counted = {name for name, _ in UNITS} | {semconv.CACHE_CREATION_TOKENS}
    assert read - counted <= set(DECIDING)


def test_what_comes_from_elsewhere_may_be_of_any_type() -> None:
    odd = call(**{semconv.INPUT_TOKENS: 5, semconv.SERVICE_TIER: ["a"], semconv.SPEED: {"b": 1}})
    assert settle(odd, [ATTEMPT], start_ns=START_NS).attributes[semconv.COST_ROLE] == "owner"


def test_an_amount_in_whole_steps_is_rounded_alike() -> None:
    from tollspan.processors.tariff import Tariff

    for total in (1, 499_999, 500_000, 500_001, 1_500_000, 2_500_000, 10**24 - 1, 123_456_789_012):
        amount = Tariff(((-1, (("input_tokens", (), total),)),), frozenset({"input_tokens"}))
        assert nearest(total) == float(rounded(amount.amount({"input_tokens": 1})))


def test_values_recorded_together_make_the_same_histogram() -> None:
    chance = random.Random(3)
    values = [
        (chance.random() * 9, SpanContext(1, number + 1, False, TraceFlags(1)))
        for number in range(200)
    ]
    bounds, seen = (0.5, 1.0, 4.0), []
    for together in (True, False):
        reader = InMemoryMetricReader()
        meter = MeterProvider(metric_readers=[reader]).get_meter("test")
        histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=bounds)
        for batch in [values] if together else [[each] for each in values]:
            record_all(histogram, batch, {"a": "b"}, bounds)
        data: Any = reader.get_metrics_data()
        (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
        led_to = sorted(each.span_id for each in point.exemplars)
        seen.append((point.count, list(point.bucket_counts), point.min, point.max, led_to))
        assert point.sum == pytest.approx(sum(value for value, _ in values))
    assert seen[0] == seen[1]
