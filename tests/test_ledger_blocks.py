"""A batch is the same rows in the ledger whether it goes in as a block or as JSON; a fault is heard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spans import START_NS, owner, span

from tollspan import semconv
from tollspan.collector.call import Call, Hop, call_id
from tollspan.collector.rows import TEXTS, call_row, hop_rows, span_row
from tollspan.collector.span import Event, Span
from tollspan.local import blocks, native
from tollspan.local.ledger import Ledger, LedgerError

TABLES = ("spans", "llm_calls", "llm_hops", "span_links")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", "a", "x" * 127, "y" * 128, "ü" * 70, "日本語", "\x00\n\t'\\", "z" * 17_000]
)
numbers = (
    st.integers(-3, 2**65)
    | st.floats(0, 10, allow_nan=False)
    | st.sampled_from([0, 1, 0.0, 2.0, float("nan"), float("inf"), -1.0, 10**7, 1e-12, 1.5e-13])
    | st.decimals(0, 5000, places=12).map(float)
)
values = texts | numbers | st.booleans() | st.none() | st.lists(texts, max_size=3)
KEYS = [
    *TEXTS.values(),
    semconv.INPUT_TOKENS,
    semconv.CACHE_READ_TOKENS,
    semconv.HOP_COUNT,
    semconv.APP_ATTEMPTS,
    semconv.COST_AMOUNT,
    semconv.COST_DERIVED,
    semconv.CACHE_HIT,
    semconv.WEB_SEARCHES,
    semconv.AUDIO_INPUT_SECONDS,
    semconv.FINISH_REASONS,
    semconv.TIME_TO_FIRST_CHUNK,
    semconv.STATUS,
    semconv.TAG_PREFIX + "team",
    semconv.TAG_PREFIX + "app",
    "somebody.else",
]
attributes = st.dictionaries(st.sampled_from(KEYS), values, max_size=9)


@st.composite
def some_spans(draw: st.DrawFn) -> list[Span]:
    return [
        span(
            number + 1,
            draw(st.integers(0, 1)),
            draw(attributes),
            name=draw(texts),
            resource=draw(st.dictionaries(texts, values, max_size=2)),
            end_ns=draw(st.sampled_from([0, START_NS - 1, START_NS + 10**11])),
            status_message=draw(texts),
            events=draw(st.sampled_from([[], [Event("e", START_NS, {"a": 1.5})]])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


def call_of(each: Span, role: str = "owner") -> Call:
    hops = [Hop(0, {semconv.HOP_ROLE: "model", semconv.HOP_OVERHEAD: 1.5}), Hop(1, each.attributes)]
    key = call_id(each.trace_id, each.span_id, each.start_ns)
    return Call(key, each, each.attributes, role, each.span_id, hops, each.version, {2, 3})


def stored(ledger: Ledger, table: str, order: str) -> list[dict[str, Any]]:
    found = ledger.query(f"SELECT * FROM {table} ORDER BY {order}")
    ledger.recall(f"TRUNCATE TABLE {table}", {})
    return found


@given(some_spans())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_and_rows_are_the_same(ledger: Ledger, made: list[Span]) -> None:
    calls = [call_of(each, "restated" if each.parent_id else "owner") for each in made]

    ledger.append("spans", blocks.span_block(made))
    ledger.append("llm_calls", blocks.call_block(calls, "stage-1"))
    ledger.append("llm_hops", blocks.hop_block(calls))
    as_blocks = [stored(ledger, table, "ALL") for table in TABLES]
    ledger.insert("spans", map(span_row, made))
    ledger.insert("llm_calls", (call_row(each) | {"told_by": "stage-1"} for each in calls))
    ledger.insert("llm_hops", (row for each in calls for row in hop_rows(each)))
    as_rows = [stored(ledger, table, "ALL") for table in TABLES]

    assert as_blocks == as_rows


def test_a_column_with_more_values_than_a_byte_or_two_tell_apart(ledger: Ledger) -> None:
    for size in (256, 257, 65_537):
        made = [f"v{number}" for number in range(size)]
        ids = native.texts([f"{number:016x}" for number in range(size)])
        times = native.numbers("q", [START_NS] * size)
        ledger.append(
            "spans",
            native.block(
                [
                    ("span_id", "String", ids),
                    ("time", "DateTime64(9, 'UTC')", times),
                    ("name", "LowCardinality(String)", native.low(made)),
                ],
                size,
            ),
        )
        found = stored(ledger, "spans", "span_id")
        assert [row["name"] for row in found] == made


def test_links_stand_as_they_were_told(ledger: Ledger) -> None:
    ledger.append("span_links", blocks.link_block(["request 1", "ü"], ["a" * 32, "b" * 32]))

    assert stored(ledger, "span_links", "key") == [
        {"key": "request 1", "trace_id": "a" * 32},
        {"key": "ü", "trace_id": "b" * 32},
    ]
    assert blocks.link_block([], []) == blocks.hop_block([]) == b""


def test_a_block_that_cannot_be_written_is_an_error_and_adds_nothing(ledger: Ledger) -> None:
    good = blocks.span_block([owner(1)])
    for bad in (good[:-3], b"garbage", good + b"\x01"):
        with pytest.raises(LedgerError):
            ledger.append("spans", bad)
    assert stored(ledger, "spans", "ALL") == []


def test_a_fault_behind_the_reading_of_rows_is_heard(ledger: Ledger) -> None:
    bad = {"name": "b", "limit_usd": "1", "period": "year"}

    with pytest.raises(LedgerError, match="known_period"):
        ledger.insert("budgets", [bad])
    assert ledger.query("SELECT name FROM budgets") == []
