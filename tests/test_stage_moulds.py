"""Calls that one pattern reads get what they get attribute by attribute, and so does what it leaves."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from test_foreign_dialects import DIALECTS
from test_stage_step import appended_alike, told, whole

from tollspan import semconv
from tollspan.collector import enrich, memory, moulds, pattern, settling
from tollspan.collector.fields import field, written
from tollspan.collector.pairs import map_of
from tollspan.collector.receiver import Malformed
from tollspan.collector.trimmed import Bundle
from tollspan.processors import cost, settle
from tollspan.processors.prices import Prices, Quote

START_NS = 1_780_000_000_000_000_000
DAY_NS = 86_400 * 10**9
LEARNED = 6
"""Times that a span comes before a pattern reads it."""

SAID = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    "gen_ai.request.temperature": 0.5,
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1234",
    semconv.FINISH_REASONS: ["stop"],
    semconv.INPUT_TOKENS: 540,
    "gen_ai.usage.cache_read.input_tokens": 0,
    semconv.OUTPUT_TOKENS: 180,
    "user.id": "user-1",
    "thread.name": "worker-1",
}


@contextlib.contextmanager
def begun(enough: int = 1) -> Iterator[settling.Settling]:
    """A stage that has just begun, and makes a pattern of the first spans that it looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moulds, "ENOUGH", enough)
        fresh = settling.Settling()
        patch.setattr(enrich, "settling", fresh)
        yield fresh


@pytest.fixture
def stage() -> Iterator[settling.Settling]:
    with begun() as fresh:
        yield fresh


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The spans that no pattern has read."""
    found: list[bytes] = []
    view = settling.view

    def noting(raw: bytes) -> Any:
        found.append(raw)
        return view(raw)

    monkeypatch.setattr(settling, "view", noting)
    return found


def call(said: dict[str, Any] = SAID, /, **more: Any) -> Span:
    """A span of another instrumentation, with these attributes in this order."""
    given: dict[str, Any] = {
        "trace_id": b"t" * 16,
        "span_id": b"s" * 8,
        "parent_span_id": b"p" * 8,
        "name": "chat gpt-4o-mini",
        "kind": Span.SPAN_KIND_CLIENT,
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 10**9,
        "flags": 0x100,
    }
    made = Span(**(given | more))
    made.attributes.extend(KeyValue.FromString(written(*each)) for each in said.items())
    return made


def request(spans: Sequence[Span | bytes], scope: str = "another") -> bytes:
    """An OTLP request with `spans`."""
    bundle = Bundle()
    inside = bundle.resource_spans.add().scope_spans.add()
    inside.scope.append(InstrumentationScope(name=scope).SerializeToString())
    inside.spans.extend(
        each if isinstance(each, bytes) else each.SerializeToString() for each in spans
    )
    return bytes(bundle.SerializeToString())


def learn(*calls: Span | bytes) -> None:
    """Send calls until each of them is read by a pattern."""
    for _ in range(LEARNED):
        assert appended_alike(request(calls)) == len(calls)


def other(said: dict[str, Any], number: int) -> dict[str, Any]:
    """The same call of another moment."""
    return said | {
        semconv.RESPONSE_ID: f"chatcmpl-{number:04}",
        semconv.INPUT_TOKENS: 10 + number * 7_919,
        semconv.OUTPUT_TOKENS: 1 + number,
        "user.id": f"user-{number % 10}",
    }


# --- what is read ---------------------------------------------------------------------------------


def test_calls_of_a_known_mould_are_not_opened(
    stage: settling.Settling, opened: list[bytes]
) -> None:
    cached = SAID | {"gen_ai.usage.cache_read.input_tokens": 5}
    learn(call(), call(cached))
    opened.clear()
    made = [call(other(each, n)) for n in range(40) for each in (SAID, cached)]
    assert appended_alike(request(made)) == len(made)
    assert not opened


def test_dialects_in_one_request_each_have_a_mould(
    stage: settling.Settling, opened: list[bytes]
) -> None:
    calls = [call(said) for said in (SAID, DIALECTS["openllmetry"], SAID | {"more": "x"})]
    learn(*calls)
    opened.clear()
    assert appended_alike(request(calls * 9)) == 27
    assert not opened


def test_sizes_that_come_later_are_read_too(stage: settling.Settling, opened: list[bytes]) -> None:
    learn(call())
    for size in (1, 3, 7, 20, 90):
        longer = call(SAID | {"user.id": "u" * size, "thread.name": "t" * size}, name="n" * size)
        for _ in range(8):
            learn(longer)
        opened.clear()
        assert appended_alike(request([call(), longer])) == 2
        assert not opened


@pytest.mark.parametrize("parent", [b"", b"\x22\x00", b"\x22\x08pppppppp"])
def test_calls_without_a_parent_are_read_however_that_is_written(
    stage: settling.Settling, opened: list[bytes], parent: bytes
) -> None:
    learn(call())
    opened.clear()
    raw = call().SerializeToString().replace(b"\x22\x08pppppppp", parent)
    assert appended_alike(request([raw])) == 1
    assert not opened


def test_a_day_has_prices_of_its_own(stage: settling.Settling, opened: list[bytes]) -> None:
    today = call()
    tomorrow = call(start_time_unix_nano=START_NS + DAY_NS)
    learn(today)
    opened.clear()
    assert appended_alike(request([today, tomorrow])) == 2
    assert len(opened) == 1


def test_prices_that_change_are_heard_of(
    stage: settling.Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(call())
    body = request([call()] * 9)
    assert enrich.enrich(body).priced == {"derived": 9}
    unpriced = Prices(None)
    monkeypatch.setattr(unpriced, "quote", lambda *asked: Quote(None))
    for module in (memory, cost, settle):
        monkeypatch.setattr(module, "current", lambda: unpriced)
    assert enrich.enrich(body).priced == {"unpriced": 9}


# --- what is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {semconv.RESPONSE_MODEL: "gpt-4o-2024-08-06"},
        {semconv.FINISH_REASONS: ["length"]},
        {semconv.INPUT_TOKENS: 0},
        {semconv.INPUT_TOKENS: -1},
        {semconv.INPUT_TOKENS: "540"},
        {semconv.INPUT_TOKENS: 2**28},
        {semconv.INPUT_TOKENS: 3, "gen_ai.usage.cache_read.input_tokens": 4},
        {semconv.OUTPUT_TOKENS: 2**40},
        {semconv.COST_ROLE: "owner"},
        {"gen_ai.usage.cost": 0.5},
        {"gen_ai.prompt.0.content": "what nobody may read"},
        {"user.id": "u" * 130},
        {"more": "x"},
    ],
    ids=str,
)
def test_what_decides_is_never_overlooked(
    stage: settling.Settling, changes: dict[str, Any]
) -> None:
    learn(call(), call(SAID | {"gen_ai.usage.cache_read.input_tokens": 5}))
    for _ in range(LEARNED):
        appended_alike(request([call(), call(SAID | changes), call()]))


def test_an_id_that_tells_of_openrouter_is_looked_at(stage: settling.Settling) -> None:
    said = SAID | {semconv.RESPONSE_PROVIDER: "OpenAI"}
    learn(call(said))
    routed = call(said | {semconv.RESPONSE_ID: "gen-123456789"})
    for _ in range(LEARNED):
        assert appended_alike(request([call(said), routed])) == 2
    made = whole(enrich.enrich(request([call(said), routed])).body)
    routes = [map_of(each.attributes)[semconv.ROUTE] for _, each in made]
    assert routes[0] != routes[1]


def test_an_id_without_a_value_is_no_text(stage: settling.Settling) -> None:
    empty = call(SAID | {semconv.RESPONSE_ID: None})
    learn(empty)
    for text in ("", "J" * 74, "gen-1", "x"):
        appended_alike(request([call(SAID | {semconv.RESPONSE_ID: text}), empty]))


@pytest.mark.parametrize("size", range(117, 124))
def test_counts_of_long_names_are_read_up_to_a_length_of_one_byte(
    stage: settling.Settling, size: int
) -> None:
    name = "gen_ai.usage.".ljust(size, "x")
    learn(call(SAID | {name: 1}))
    for count in (127, 128, 2**14, 2**21, 2**28):
        appended_alike(request([call(SAID | {name: count}), call(SAID | {name: 1})]))


@pytest.mark.parametrize("kind", range(6))
def test_calls_of_another_kind_are_looked_at(
    stage: settling.Settling, opened: list[bytes], kind: int
) -> None:
    learn(call())
    opened.clear()
    appended_alike(request([call(kind=kind)]))
    assert len(opened) == (kind != Span.SPAN_KIND_CLIENT)


AGAIN = {
    "another count": field(written(semconv.OUTPUT_TOKENS, 7)),
    "another name": field(written("more", "x")),
    "a start": b"\x39" + struct.pack("<Q", START_NS - 900 * DAY_NS),
    "no start": b"\x39" + bytes(8),
    "a kind": b"\x30\x02",
    "an event": b"\x5a\x03\x12\x01e",
    "a failure": b"\x7a\x02\x18\x02",
    "flags": b"\x85\x01\x00\x02\x00\x00",
}


@pytest.mark.parametrize("what", AGAIN)
def test_what_is_said_again_behind_the_attributes_stands(
    stage: settling.Settling, what: str
) -> None:
    """As protobuf has it: the last of two by one number or name."""
    learn(call())
    raw = call().SerializeToString()
    body = request([raw, raw + AGAIN[what], raw])
    for _ in range(LEARNED):
        for (scope, came), (_, left) in zip(
            whole(body), whole(enrich.enrich(body).body), strict=True
        ):
            appended = map_of(left.attributes[len(came.attributes) :])
            assert appended == told(scope, came)


def test_text_that_looks_like_attributes_is_text(
    stage: settling.Settling, opened: list[bytes]
) -> None:
    false = (field(written(semconv.OUTPUT_TOKENS, 7)) + field(written("thread.name", "x"))).decode()
    made = [call(SAID | {"user.id": text}) for text in (false, "J" * len(false), "\x12" * 30)]
    learn(*made)
    opened.clear()
    assert appended_alike(request(made)) == 3
    assert not opened


VALUES = {
    "temperature": st.floats(0, 2),
    "tokens": st.one_of(
        st.sampled_from((0, 1, 127, 128, 2**14 - 1, 2**14, 2**21, 2**28 - 1, 2**28, 2**63 - 1)),
        st.integers(0, 100_000),
    ),
    "text": st.one_of(st.text(max_size=40), st.sampled_from(("a" * 90, "b" * 127, "c" * 300))),
}


@st.composite
def moment(draw: st.DrawFn, said: dict[str, Any]) -> Span:
    """A call like one that was there before, of another moment."""
    changed = dict(said)
    for name, value in said.items():
        if draw(st.booleans()):
            continue
        if type(value) is int and "token" in name:
            changed[name] = draw(VALUES["tokens"])
        elif type(value) is float:
            changed[name] = draw(VALUES["temperature"])
        elif name in ("user.id", "thread.name"):
            changed[name] = draw(VALUES["text"])
        elif name == semconv.RESPONSE_ID:
            changed[name] = draw(st.sampled_from(("chatcmpl-", "gen-", ""))) + draw(st.text())
    return call(
        changed,
        name=draw(VALUES["text"]),
        kind=draw(st.sampled_from((3, 3, 1, 0))),
        parent_span_id=draw(st.sampled_from((b"", b"p" * 8))),
        start_time_unix_nano=START_NS + draw(st.sampled_from((0, 0, 5, DAY_NS, -DAY_NS))),
        flags=draw(st.sampled_from((0x100, 0x101, 0))),
        trace_state=draw(st.sampled_from(("", "", "a=b"))),
    )


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.data_too_large]
)
@given(data=st.data())
def test_whatever_comes_of_known_names_is_settled_as_span_by_span(data: st.DataObject) -> None:
    more = {"user.id": "user-1", "thread.name": "worker-1"}
    kinds = [SAID, *(dict(said) | more for said in DIALECTS.values())]
    said = data.draw(st.sampled_from(kinds))
    with begun():
        for _ in range(LEARNED):
            appended_alike(request([call(said)]))
        made = data.draw(st.lists(moment(said), min_size=1, max_size=6))
        for _ in range(3):
            appended_alike(request(made))


def test_damaged_bytes_are_taken_as_they_are_without_patterns() -> None:
    """One byte of a span changed, wherever: what is said of it is the same."""
    chance = random.Random(1)
    raw = call().SerializeToString()
    good = request([raw] * 4)
    found: list[list[tuple[int, bytes, Any]]] = []
    for enough in (1, 10**9):
        with begun(enough):
            for _ in range(LEARNED):
                enrich.enrich(good)
            found.append([])
            for at in range(len(raw)):
                damaged = bytearray(raw)
                damaged[at] = chance.choice((raw[at - 1], raw[at] ^ 1, chance.randrange(256)))
                with contextlib.suppress(Malformed):
                    made = enrich.enrich(request([bytes(damaged), raw]))
                    found[-1].append((at, made.body, made.priced))
        chance = random.Random(1)
    read, opened = found
    assert len(opened) > len(raw) / 2
    # What nobody opens is not looked at: of these spans some are refused where they are opened.
    assert {at for at, *_ in opened} <= {at for at, *_ in read}
    assert [each for each in read if each[0] in {at for at, *_ in opened}] == opened


# --- bounded --------------------------------------------------------------------------------------


def test_who_never_sends_the_same_twice_gets_no_patterns_without_end(
    stage: settling.Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    write = pattern.pattern
    monkeypatch.setattr(moulds, "pattern", lambda *asked: made.append(asked) or write(*asked))
    for number in range(4 * moulds.MOST_MOULDS):
        for _ in range(4):
            appended_alike(request([call(SAID | {f"app.{number}": "x"})] * 3))
        of_scope = stage._memory.shapes("another")[2]
        assert len(of_scope._made) <= len(of_scope._by_names) <= moulds.MOST_MOULDS
    assert made
    first = len(made)
    for size in range(2, 60):
        appended_alike(request([call(SAID | {"app.last": "x" * size, "app.more": "x"})] * 4))
    assert len(made) - first < 8, "each new size is not a new pattern"


def test_values_that_decide_are_not_remembered_without_end(
    stage: settling.Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_SHAPES", 40)
    monkeypatch.setattr(moulds, "MOST_COUNTS", 8)
    most = 0
    for number in range(60):
        flags = (number + 1 << 8).to_bytes(4, "little")
        raw = call(other(SAID, number), flags=0).SerializeToString() + b"\x85\x01" + flags
        for _ in range(2):
            appended_alike(request([raw, raw]))
        of_scope = stage._memory.shapes("another")[2]
        casts = sum(len(mould._casts) for mould in of_scope._made)
        assert casts <= stage._memory._shapes <= 42
        most = max(most, casts)
    assert most > 20


def test_names_of_scopes_are_not_remembered_without_end(
    stage: settling.Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MOST_SCOPES", 8)
    for number in range(30):
        assert appended_alike(request([call()], scope=f"scope {number}")) == 1
    assert len(stage._memory._tables) <= 9
    assert len(stage._memory._moulds) <= 9
