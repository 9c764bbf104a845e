"""Whatever comes in over the real sockets: a clear status, bounded memory, the next request served."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sink import Sink
from spans import START_NS, foreign, hop, otlp_json, owner, protobuf, span
from stages import OPTIONS, post, running, send, stage

from tollspan import semconv
from tollspan.collector.otlp_grpc import TRACES
from tollspan.launcher.stage_process import StageProcess

C = grpc.StatusCode
JSON = "application/json"
GOOD = protobuf([owner(1)])
YEAR_NS = 365 * 86400 * 10**9


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture(scope="module")
def made(sink: Sink) -> Iterator[StageProcess]:
    with stage(sink.grpc_url) as made:
        yield made


@pytest.fixture(scope="module")
def channel(made: StageProcess) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{made.ports.grpc}", OPTIONS) as channel:
        yield channel.unary_unary(TRACES)


def http(made: StageProcess) -> str:
    return f"127.0.0.1:{made.ports.http}"


def served(made: StageProcess, sink: Sink) -> bool:
    """Whether the next request is taken, whole."""
    before = len(sink.bodies)
    return post(http(made), GOOD)[0] == 200 and len(sink.bodies) == before + 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff garbage", {}, 400),
        (GOOD[:-3], {}, 400),
        (b"{", {"content_type": JSON}, 400),
        (b"[]", {"content_type": JSON}, 400),
        (b"[" * 100_000, {"content_type": JSON}, 400),
        (b'{"a":' * 200 + b"1" + b"}" * 200, {"content_type": JSON}, 400),
        (b'{"resourceSpans": 7}', {"content_type": JSON}, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}', {"content_type": JSON}, 400),
        (b"\xff{}", {"content_type": JSON}, 400),
        (b"not gzip", {"content_encoding": "gzip"}, 400),
        (gzip.compress(GOOD)[:-9], {"content_encoding": "gzip"}, 400),
        (gzip.compress(bytes(100_000_000)), {"content_encoding": "gzip"}, 413),
        (bytes(100_000_000), {}, 413),
        (GOOD, {"content_type": "text/plain"}, 415),
        (GOOD, {"content_encoding": "br"}, 415),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, dict) else "",
)
def test_what_is_not_otlp_is_told_so_over_http(
    made: StageProcess, sink: Sink, body: bytes, headers: dict[str, str], status: int
) -> None:
    try:
        got, answer, _ = post(http(made), body, **headers)
    except OSError:  # told while we were still sending, and the connection closed
        assert status == 413
    else:
        assert got == status
        is_json = headers.get("content_type") == JSON
        message = json.loads(answer)["message"] if is_json else Status.FromString(answer).message
        assert len(message) > 10
    assert served(made, sink)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xff\xff garbage", C.INVALID_ARGUMENT),
        (GOOD[:-3], C.INVALID_ARGUMENT),
        (bytes(100_000_000), C.RESOURCE_EXHAUSTED),
    ],
    ids=["garbage", "cut short", "100 MB"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_not_otlp_is_told_so_over_grpc(
    made: StageProcess, sink: Sink, channel: Any, body: bytes, code: Any, packed: bool
) -> None:
    how = grpc.Compression.Gzip if packed else grpc.Compression.NoCompression
    with pytest.raises(grpc.RpcError) as refused:
        channel(body, timeout=30, compression=how)

    assert refused.value.code() is code
    assert served(made, sink)


ABSURD = {
    "ten thousand attributes": owner(1, attributes={f"a{n}": n for n in range(10_000)}),
    "ten thousand tags": owner(
        1, attributes={f"{semconv.TAG_PREFIX}t{n}": "x" * 50 for n in range(10_000)}
    ),
    "values of a megabyte": owner(
        1, attributes={semconv.TENANT: "x" * 1_000_000, semconv.REQUEST_MODEL: "m" * 1_000_000}
    ),
    "clocks years behind": owner(1, start_ns=START_NS - 20 * YEAR_NS),
    "clocks years ahead": owner(1, start_ns=START_NS + 100 * YEAR_NS, end_ns=2**63 - 1),
    "before all clocks": owner(1, start_ns=5),
    "no ids": owner(1, trace_id="0" * 32, span_id="0" * 16),
    "short ids": foreign(1, trace_id="ab", span_id="cd"),
    "its own parent": owner(1, 1),
    "money of fools": owner(1, cost=1e300),
    "less than nothing": owner(1, cost=-5.0),
    "usage of fools": foreign(1, tokens=2**62),
    "no number": owner(1, cost=float("nan")),
    "hop at the end of the world": hop(1, 2, 2**40, "proxy", "x"),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_spans_pass_and_what_is_told_of_them_fits_the_ledger(
    made: StageProcess, sink: Sink, what: str
) -> None:
    sink.told.clear()
    sink.bodies.clear()
    body = protobuf([ABSURD[what]])
    assert post(http(made), body)[0] == 200

    (forwarded,) = sink.bodies
    assert len(ExportTraceServiceRequest.FromString(forwarded).resource_spans) == 1
    for record in sink.told:
        assert len(json.dumps(record)) < 100_000
        assert "NaN" not in json.dumps(record)
        cost = record["call"].get("cost_usd")
        assert cost is None or 0 <= float(cost) < 1_000_000
    assert served(made, sink)


def test_invalid_utf8_is_refused_here_or_there_and_never_breaks_a_record(
    made: StageProcess, sink: Sink
) -> None:
    for clean, dirty in ((b"gpt-4o-mini", b"gpt-\xff\xfe-mini"), (b"acme", b"a\xc3\x28e")):
        body = protobuf([owner(1)])
        assert clean in body
        assert post(http(made), body.replace(clean, dirty))[0] in (200, 400)
    assert served(made, sink)


# --- fuzz -----------------------------------------------------------------------------------------

SAMPLE = protobuf([owner(1), foreign(2, 1), hop(3, 1, 0, "proxy", "x"), span(4, 1)])
SAMPLE_JSON = otlp_json([owner(1), foreign(2, 1)])
TOLD = {C.OK, C.INVALID_ARGUMENT}


@st.composite
def mutants(draw: st.DrawFn, sample: bytes) -> bytes:
    """A sample with bytes changed, cut out, doubled, put in."""
    body = bytearray(sample)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        kind = draw(st.sampled_from(["change", "cut", "double", "put in", "end"]))
        size = draw(st.integers(1, 20))
        if kind == "change":
            body[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "cut":
            del body[at : at + size]
        elif kind == "double":
            body[at:at] = body[at : at + size]
        elif kind == "put in":
            body[at:at] = draw(st.binary(max_size=size))
        else:
            del body[at:]
    return bytes(body)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.just("ab" * 16),
    st.just("cd" * 8),
)
NAMES = st.sampled_from(
    ["resourceSpans", "scopeSpans", "spans", "resource", "attributes", "traceId", "spanId", "name"]
    + ["kind", "key", "value", "stringValue", "intValue", "doubleValue", "arrayValue", "values"]
    + ["kvlistValue", "bytesValue", "boolValue", "startTimeUnixNano", "events", "links", "status"]
    + ["code", "scope", "timeUnixNano", "parentSpanId", "flags", "droppedAttributesCount"]
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=25,
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(body=mutants(SAMPLE) | st.binary(max_size=200))
@FUZZ
def test_fuzzed_protobuf_over_grpc(
    made: StageProcess, sink: Sink, channel: Any, body: bytes
) -> None:
    try:
        channel(body, timeout=20)
        code = C.OK
    except grpc.RpcError as error:
        code = error.code()

    assert code in TOLD, body
    assert made.intake.is_alive
    assert made.counters.count("shed_spans", "fault") == 0


@given(
    body=mutants(SAMPLE_JSON)
    | TREES.map(lambda tree: json.dumps({"resourceSpans": tree}).encode())
    | TREES.map(lambda tree: json.dumps({"resourceSpans": [{"scopeSpans": tree}]}).encode())
    | TREES.map(
        lambda tree: json.dumps(
            {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": tree}]}]}]}
        ).encode()
    )
)
@FUZZ
def test_fuzzed_json_over_http(made: StageProcess, sink: Sink, body: bytes) -> None:
    status, answer, _ = post(http(made), body, content_type=JSON)

    assert status in (200, 400), answer
    assert status == 200 or json.loads(answer)["message"]
    assert made.intake.is_alive


@given(path=st.sampled_from(["/v1/logs", "/v1/metrics"]), body=st.binary(max_size=60) | TREES)
@settings(FUZZ, max_examples=60)
def test_fuzzed_metrics_and_logs(made: StageProcess, sink: Sink, path: str, body: Any) -> None:
    if isinstance(body, bytes):
        status, _, _ = post(http(made), body, path=path)
    else:
        status, _, _ = post(http(made), json.dumps(body).encode(), path=path, content_type=JSON)

    assert status in (200, 400)


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_within_bounds_whatever_comes(sink: Sink) -> None:
    """Adversarial ids, a trace of 100,000 spans, and bodies as big as they may be."""
    bounds = {
        "TOLLSPAN_STAGE_MEMORY_MB": "12",
        "TOLLSPAN_STAGE_INFLIGHT_MB": "48",
        "TOLLSPAN_TRACE_SPANS": "2000",
    }
    call = protobuf([owner(1, trace_id="aa" * 16)])
    big, top = "ef" * 16, 2**40
    in_big, plain = protobuf([owner(1, top, trace_id=big)]), protobuf([span(1, top, trace_id=big)])
    strange = protobuf([foreign(1, top, trace_id=big)])
    with running(sink.grpc_url, **bounds) as real:
        send(real.grpc, GOOD)
        resident = resident_mb(real)
        for first in range(0, 12_000, 1_000):
            send(real.grpc, copies(call, b"\xaa" * 16, range(first, first + 1_000)))
        assert real.metric("held_bytes") <= 12 * 2**20
        assert real.metric("released_traces_total") > 5_000
        assert resident_mb(real) - resident < 150

        number = (1).to_bytes(8)
        for first in range(0, 100_000, 10_000):
            body = copies(plain, number, range(first + 600, first + 10_000))
            body += copies(strange, number, range(first + 100, first + 600))
            send(real.grpc, body + copies(in_big, number, range(first + 1, first + 100)))
        assert real.metric("shed_spans_total") > 0
        assert sum(row["trace_id"] == big for row in sink.owners()) == 990 + 5_000

        for _ in range(3):
            with pytest.raises(grpc.RpcError):
                send(real.grpc, bytes(100_000_000))
            bomb = gzip.compress(bytes(90_000_000), 1)
            assert post(real.http, bomb, content_encoding="gzip")[0] == 413
        assert resident_mb(real) - resident < 300
        send(real.grpc, GOOD)
        real.end()

    assert real.code == 0


def copies(body: bytes, number: bytes, numbers: Iterable[int]) -> bytes:
    """A request with `body` once for each number, written in the place of `number`: requests one
    behind the other are one request."""
    return b"".join(body.replace(number, each.to_bytes(len(number))) for each in numbers)


def resident_mb(real: Any) -> float:
    for line in real.get("/metrics")[1].splitlines():
        if line.startswith("process_resident_memory_bytes "):
            return float(line.split()[1]) / 2**20
    raise AssertionError("no such metric")
