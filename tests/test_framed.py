"""Spans are found in a request's bytes where protobuf finds them, or are left to protobuf."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from spans import owner, protobuf

from tollspan.collector import wire
from tollspan.collector.framed import framed
from tollspan.collector.receiver import Malformed
from tollspan.collector.trimmed import Bundle


def field(tag: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while size > 0x7F:
        length += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return bytes((tag,)) + length + bytes((size,)) + body


def both(body: bytes) -> tuple[list[tuple[bytes, bytes, list[bytes]]], ...]:
    """Resource, scope and spans as protobuf and as `framed` finds them."""
    bundle = Bundle.FromString(body)
    wanted = [
        (b"".join(of.resource), b"".join(each.scope), list(each.spans))
        for of in bundle.resource_spans
        for each in of.scope_spans
    ]
    found = framed(body)
    assert found is not None
    spans = [
        [body[begin:end] for begin, end in zip(each.begins, each.ends, strict=True)]
        for each in found
    ]
    return wanted, [
        (each.resource, each.scope, some) for each, some in zip(found, spans, strict=True)
    ]


sizes = st.sampled_from([0, 1, 90, 127, 128, 300, 16_383, 16_384, 70_000])
scopes = st.builds(
    lambda scope, spans, url: (
        (field(0x0A, bytes(scope)) if scope else b"")
        + b"".join(field(0x12, b"s" * size) for size in spans)
        + (field(0x1A, b"url") if url else b"")
    ),
    sizes,
    st.lists(sizes, max_size=4),
    st.booleans(),
)
requests = st.lists(
    st.builds(
        lambda resource, inside, url: (
            (field(0x0A, bytes(resource)) if resource else b"")
            + b"".join(field(0x12, each) for each in inside)
            + (field(0x1A, b"url") if url else b"")
        ),
        sizes,
        st.lists(scopes, max_size=3),
        st.booleans(),
    ),
    max_size=3,
).map(lambda each: b"".join(field(0x0A, one) for one in each))


@given(requests)
@settings(max_examples=100, deadline=None)
def test_spans_stand_where_protobuf_finds_them(body: bytes) -> None:
    wanted, found = both(body)

    assert found == wanted


@given(requests, st.data())
@settings(max_examples=150, deadline=None)
def test_a_broken_request_is_never_read_otherwise_than_by_protobuf(
    body: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body)))
    broken = (
        body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 2)) :]
    )

    found = framed(broken)

    if found is not None:
        wanted, again = both(broken)
        assert again == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x80",
        b"\x0a\x05\x12\x02\x12\x00",
        b"\x0a" + b"\x80" * 12 + b"\x00",
        field(0x0A, field(0x12, b"\x12\xff\xff\xff\xff\x7f")),
        protobuf([owner(1)])[:-1],
    ],
)
def test_what_protobuf_refuses_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        Bundle.FromString(body)
    assert framed(body) is None
    with pytest.raises(Malformed):
        wire.traces(body, seals=True)


def test_fields_in_another_order_or_in_pieces_are_left_to_protobuf() -> None:
    resource, scope, span = field(0x0A, b"r"), field(0x0A, b"s"), field(0x12, b"span")
    for inside in (
        field(0x12, scope + span) + resource,
        resource + field(0x12, span + scope),
        resource + resource + field(0x12, scope + span),
        resource + field(0x12, scope + span + b"\x18\x01"),
    ):
        assert framed(field(0x0A, inside)) is None


def test_our_own_spans_are_sealed_however_their_request_is_written() -> None:
    body = protobuf([owner(1), owner(2)])
    other = body + b"\x9a\x01\x00"  # a field that nobody knows
    ways = [wire.traces(each, seals=True) for each in (body, other)]

    assert framed(body) is not None
    assert framed(other) is None
    for decoded in ways:
        found = [each.opened(at).span_id for each in decoded.sealed for at in range(len(each))]
        assert found == [f"{number:016x}" for number in (1, 2)]
