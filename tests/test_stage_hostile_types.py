"""Whatever type an attribute comes in, its call is told, and so are the calls beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from spans import attempt, foreign, hop, owner, protobuf, span

from tollspan import semconv
from tollspan.collector.counters import Counters
from tollspan.collector.enrich import enrich
from tollspan.collector.holding import Holding
from tollspan.collector.records import requests_of

NAMES = sorted(
    value
    for name, value in vars(semconv).items()
    if name.isupper() and isinstance(value, str) and "." in value
)
ODD: tuple[Any, ...] = (["a", 1], {"a": [1]}, [], True, -(2**63), float("nan"), "\x00" * 3)
TRACE = [
    foreign(1, 9),
    attempt(2, 1, x_litellm_model_group="m"),
    hop(3, 1, 0, "router", "litellm"),
    owner(4, 9),
    hop(5, 4, 0, "proxy", "litellm"),
    attempt(6, 4),
    span(9),
]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_an_attribute_of_any_type_costs_no_call(value: Any) -> None:
    for name in NAMES:
        spans = [replace(each, attributes={**each.attributes, name: value}) for each in TRACE]
        beside = owner(7, trace_id="7" * 32)
        holding = Holding(Counters(), window_s=30, most_bytes=2**30, spans_per_trace=1000)

        told = holding.take(enrich(protobuf([*spans, beside])).relevant()).all

        assert "7" * 32 in {call.span.trace_id for call in told}, name
        assert sum(count for _, count in requests_of(told, "t", 1)) == len(told), name
