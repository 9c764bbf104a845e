"""What is compiled says of bytes what protobuf, hashlib and zlib say of them, and harms nobody."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

import needs
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from spans import attempt, owner, protobuf

from tollspan.collector import wire
from tollspan.collector.call import call_id
from tollspan.collector.opened import Scope
from tollspan.collector.sealed import Sealed
from tollspan.collector.span import EARLIEST_NS, LATEST_NS
from tollspan.local import alike
from tollspan.local.alike import TEXT, Alike, Said, sorted_out
from tollspan.local.spread import Spread
from tollspan.local.strings import Strings

needs.compiled()
from tollspan.local import _columns

BEHIND_IDS = 28


@given(st.binary(max_size=400))
def test_a_checksum_is_that_of_zlib(data: bytes) -> None:
    assert _columns.crc32(data) == zlib.crc32(data)


@given(st.lists(st.tuples(st.binary(min_size=24, max_size=24), st.integers(0, 2**63 - 1))))
def test_ids_of_calls_are_those_of_the_stage(calls: list[tuple[bytes, int]]) -> None:
    ids, starts = b"".join(each for each, _ in calls), [start for _, start in calls]
    wanted = [call_id(each[:16].hex(), each[16:].hex(), start) for each, start in calls]

    found = _columns.call_ids(ids, np.array(starts, np.int64))

    assert found == bytes.fromhex("".join(wanted))


@given(st.lists(st.binary(min_size=8, max_size=8)))
def test_ids_stand_as_hex_digits_behind_their_lengths(ids: list[bytes]) -> None:
    wanted = b"".join(b"\x10" + each.hex().encode() for each in ids)

    assert _columns.hexed(b"".join(ids), 8) == wanted


values = st.lists(st.binary(max_size=40), min_size=1, max_size=6)
Column = tuple[list[bytes], list[int]]


@st.composite
def groups(draw: st.DrawFn) -> list[tuple[int, list[Column]]]:
    found = []
    for _ in range(draw(st.integers(0, 3))):
        rows = draw(st.integers(0, 9))
        columns = []
        for known in draw(st.lists(values, max_size=3)):
            codes = st.integers(0, len(known) - 1)
            columns.append((known, draw(st.lists(codes, min_size=rows, max_size=rows))))
        found.append((rows, columns))
    return found


def buffers(column: Column) -> tuple[bytes, np.ndarray, np.ndarray]:
    known, codes = column
    ends = np.cumsum([len(each) for each in known]).astype(np.uint32)
    return b"".join(known), ends, np.array(codes, np.int32)


@given(groups(), st.randoms(use_true_random=False))
def test_rows_are_laid_one_behind_the_other_in_any_order(
    drawn: list[tuple[int, list[Column]]], chance: random.Random
) -> None:
    rows = [
        b"".join(known[codes[row]] for known, codes in columns)
        for count, columns in drawn
        for row in range(count)
    ]
    order = list(range(len(rows)))
    chance.shuffle(order)
    told = [(count, [*map(buffers, columns)]) for count, columns in drawn]

    assert _columns.laid(told) == b"".join(rows)
    assert _columns.laid(told, np.array(order, np.int64)) == b"".join(rows[at] for at in order)


FINE = ([b"one", b"two"], [0, 1, 1])


@pytest.mark.parametrize(
    ("told", "order"),
    [
        ([(3, [buffers((FINE[0], [0, 1, 2]))])], None),
        ([(3, [buffers((FINE[0], [0, -1, 1]))])], None),
        ([(2, [buffers(FINE)])], None),
        ([(4, [buffers(FINE)])], None),
        ([(-1, [buffers(FINE)])], None),
        ([(3, [(b"onetwo", np.array([3, 7], np.uint32), np.zeros(3, np.int32))])], None),
        ([(3, [(b"onetwo", np.array([5, 3], np.uint32), np.zeros(3, np.int32))])], None),
        ([(3, [buffers(FINE)])], [0, 1]),
        ([(3, [buffers(FINE)])], [0, 1, 3]),
        ([(3, [buffers(FINE)])], [0, 1, -1]),
        ([(3, [buffers(FINE)])], [0, 1, 1]),
    ],
)
def test_codes_ends_and_orders_that_cannot_be_are_refused(
    told: list[tuple[int, list[tuple[bytes, np.ndarray, np.ndarray]]]], order: list[int] | None
) -> None:
    with pytest.raises(ValueError, match="."):
        _columns.laid(told, *([] if order is None else [np.array(order, np.int64)]))


@pytest.mark.parametrize(
    "given", [([0, 2], [0], [1]), ([1, 1], [0], [1]), ([0, 1], [0], []), ([0], [0], [1])]
)
def test_spans_that_do_not_stand_in_their_bodies_are_refused(given: Sequence[list[int]]) -> None:
    with pytest.raises(ValueError, match="do not stand"):
        _columns.alike(
            [b"x"], *(np.array(each, np.int64) for each in given), 0, 1, 1, 256, 128, 120
        )


def test_texts_that_are_too_long_for_their_length_are_refused() -> None:
    offsets = np.array([0, 128], np.int32)
    with pytest.raises(ValueError, match="too long"):
        _columns.texts(b"x" * 128, offsets, 1)
    with pytest.raises(ValueError, match="not there"):
        _columns.texts(b"x", offsets, 1)


# --- spans ---------------------------------------------------------------------------------------


def raws() -> list[bytes]:
    """Calls, with and without a parent, and attempts."""
    spans = [owner(1), owner(2, parent=1), attempt(3, 1, 200), owner(4, attributes={"x": True})]
    spans += [owner(5, attributes={"list": ["a", "b"], "some": 1.5, "long": "y" * 90, "n": 2**34})]
    request = wire.traces(protobuf(spans), seals=True)
    found = [each.raw(at) for each in request.sealed for at in range(len(each))]
    assert len(found) >= 4
    return found


RAWS = raws()


def sorted_all(spans: Sequence[bytes]) -> list[Alike]:
    sealed = Sealed.of({}, Scope("tollspan", ""), spans)
    return sorted_out(Spread([sealed]))[1]


def value_at(said: Said, row: int) -> bytes:
    return list(said.values.each())[said.codes[row]]


def check(found: Alike, spans: Sequence[bytes]) -> None:
    """Of each of the spans it says what protobuf says."""
    for row, number in enumerate(found.rows.tolist()):
        raw = spans[number]
        try:
            span = trace_pb2.Span.FromString(raw)
        except DecodeError:  # a text that is no UTF-8, or a list that is none: looked at later
            continue
        assert value_at(found.called, row)[1:] == span.name.encode()
        assert (found.kind, len(found.names)) == (span.kind, len(span.attributes))
        assert EARLIEST_NS <= span.start_time_unix_nano <= span.end_time_unix_nano < LATEST_NS
        assert found.starts_ns[row] == span.start_time_unix_nano
        assert found.ends_ns[row] == span.end_time_unix_nano
        parent = b"" if found.parents is None else found.parents[row].tobytes()
        assert parent == span.parent_span_id
        size = int(found.sizes[row])
        assert found.crcs[row] == zlib.crc32(raw[BEHIND_IDS : BEHIND_IDS + size])
        for name, said, attribute in zip(found.names, found.said, span.attributes, strict=True):
            value = value_at(said, row)
            assert len(value) == 1 + value[0]
            assert name.text == attribute.key
            if name.kind == TEXT:
                assert value[1:].decode() == attribute.value.string_value
            else:
                assert AnyValue.FromString(value[1:]) == attribute.value


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "FEWEST", 1)


def test_spans_as_they_are_sent_are_all_found() -> None:
    found = sorted_all(RAWS)

    assert sorted(row for each in found for row in each.rows.tolist()) == list(range(len(RAWS)))
    for each in found:
        check(each, RAWS)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    raw = bytearray(draw(st.sampled_from(RAWS)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw)


@given(st.lists(broken(), min_size=1, max_size=12))
@settings(max_examples=400, deadline=None)
def test_of_broken_spans_nothing_is_said_that_protobuf_does_not_say(spans: list[bytes]) -> None:
    for found in sorted_all(spans):
        check(found, spans)


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_of_garbage_nothing_is_said(spans: list[bytes]) -> None:
    for found in sorted_all(spans):
        check(found, spans)


def test_values_are_told_apart_however_many_there_are() -> None:
    chance = random.Random(7)
    said = [f"value {min(int(chance.paretovariate(0.3)), 9_000)}" for _ in range(20_000)]
    spans = []
    for number, text in enumerate(said, 1):
        span = trace_pb2.Span(trace_id=number.to_bytes(16, "big"), span_id=b"12345678", name="chat")
        span.start_time_unix_nano, span.end_time_unix_nano = EARLIEST_NS, EARLIEST_NS + number
        span.attributes.add(key="same").value.string_value = "always"
        span.attributes.add(key="some").value.string_value = text
        span.attributes.add(key="each").value.int_value = number
        spans.append(span.SerializeToString())

    (found,) = sorted_all(spans)

    same, some, each = found.said
    assert len(same.values) == 1
    assert some.values.listed() == list(dict.fromkeys(said))
    assert [some.values.listed()[code] for code in some.codes.tolist()] == said
    assert each.codes.tolist() == list(range(len(said))), "values that all differ are not compared"


def test_spans_of_more_shapes_than_are_kept_apart_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alike, "MOST_SHAPES", 2)
    found = sorted_all([*RAWS, *RAWS])

    assert len(found) == 2
    for each in found:
        check(each, [*RAWS, *RAWS])


def test_strings_are_taken_by_their_codes() -> None:
    some = Strings.written(["a", "", "ü" * 40])

    assert some.taken(np.array([2, 0, 0, 1])) == b"".join(
        [*some.each()][code] for code in (2, 0, 0, 1)
    )
    assert some.rows().shape == (3, 11)
