"""A request is read alike in whichever order its fields were written: SDKs begin with the lowest, the
collector with the highest."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_processes import collector, free_port, until
from sink import Sink
from spans import attempt, foreign, hop, owner, protobuf, span
from stages import send

from bench import traffic
from bench.backwards import backwards
from tollspan.collector import settling, wire
from tollspan.collector.enrich import enrich
from tollspan.collector.ordered import bundled

TRACE = [foreign(1), attempt(2, 1), span(3, 1), owner(4), hop(5, 4, 0, "router", "litellm")]


def meant(body: bytes) -> ExportTraceServiceRequest:
    """What a request says, a status that says nothing left out."""
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for each in scope.spans:
                each.status.SetInParent()
    return request


def test_both_orders_say_and_become_the_same() -> None:
    body = protobuf(TRACE)
    assert backwards(body) != body

    one, other = enrich(body), enrich(backwards(body))

    assert meant(other.body) == meant(one.body)
    assert other.priced == one.priced == {"derived": 1}
    found, expected = other.relevant(), one.relevant()
    assert found == expected
    assert [each.version for each in found] == [each.version for each in expected]
    assert wire.traces(backwards(body)).spans == wire.traces(body).spans


def test_a_shape_is_known_again_in_the_order_of_a_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = [backwards(each) for each in traffic.calls(10 * traffic.BATCH)]
    read: list[Any] = []
    whole = settling.Settling._from_the_beginning
    monkeypatch.setattr(
        settling.Settling,
        "_from_the_beginning",
        lambda *given: read.append(given) or whole(*given),
    )

    enriched = [enrich(body) for body in bodies[:-1]]
    assert read, "new shapes are read in full"
    read.clear()
    enriched.append(enrich(bodies[-1]))

    assert len(read) < traffic.BATCH / 20
    assert all(sum(each.priced.values()) == traffic.BATCH for each in enriched)


@given(
    fields=st.lists(
        st.tuples(st.text(max_size=9), st.text(max_size=9) | st.integers(-9, 9) | st.booleans()),
        max_size=5,
    ),
    unknown=st.binary(max_size=20),
)
@hypothesis_settings(deadline=None)
def test_nothing_is_lost_on_the_way(fields: list[tuple[str, Any]], unknown: bytes) -> None:
    request = ExportTraceServiceRequest.FromString(protobuf([foreign(1), span(2, 1)]))
    resource = request.resource_spans[0]
    for name, value in fields:
        made = resource.scope_spans[0].spans[0].attributes.add(key=name).value
        kind = {str: "string_value", int: "int_value", bool: "bool_value"}[type(value)]
        setattr(made, kind, value)
    written = backwards(request.SerializeToString())
    # Field 99 of a request, which this version does not know.
    body = written + b"\x9a\x06" + bytes([len(unknown)]) + unknown

    ordered, bundle = bundled(body)

    assert ExportTraceServiceRequest.FromString(ordered) == ExportTraceServiceRequest.FromString(
        body
    )
    assert unknown in ordered
    assert bundle.SerializeToString() == ordered
    assert bundled(ordered)[0] is ordered


def test_what_cannot_be_put_in_order_is_taken_as_it_came() -> None:
    body = backwards(protobuf([foreign(1, name="chat ~~~~")])).replace(b"~~~~", b"\xff\xfe\xff\xfe")

    assert bundled(body)[0] is body
    (raw,) = bundled(body)[1].resource_spans[0].scope_spans[0].spans
    assert b"\xff\xfe" in raw


@pytest.mark.slow
def test_so_a_real_collector_writes(tmp_path: Path) -> None:
    # A root would have an empty parent written, which is one more byte than need be.
    body = protobuf([replace(each, parent_id=each.parent_id or "8" * 16) for each in TRACE])
    address = f"127.0.0.1:{free_port()}"
    with Sink() as sink, contextlib.ExitStack() as ending:
        agent = collector(
            *("agent", tmp_path, "agent/agent.yaml"),
            TOLLSPAN_AGENT_GRPC=address,
            TOLLSPAN_AGENT_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_GATEWAY=f"127.0.0.1:{sink.port}",
        )
        ending.callback(agent.end)
        agent.start().ready()
        send(address, body)
        until(lambda: sink.bodies, "the collector sent it on")

    (received,) = sink.bodies
    assert received == backwards(received)
    assert bundled(received)[0] != received
    assert meant(received) == meant(body)
