"""The mend reads the ledger as it is, asks nothing that could do harm, and says what is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import START_NS, TRACE, foreign, owner, protobuf
from stages import until

from tollspan import semconv
from tollspan.collector.clickhouse import AskedLedger, ClickHouse, ClickHouseError
from tollspan.collector.counters import Counters
from tollspan.collector.destination import BadDestination
from tollspan.collector.enrich import enrich
from tollspan.collector.foreign import normalised
from tollspan.collector.holding import Holding
from tollspan.collector.mend import Mend
from tollspan.collector.unjoined import UNJOINED
from tollspan.local import LocalStack


class Server:
    """Something that answers over HTTP with what it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.asked: list[tuple[dict[str, list[str]], str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                query = parse_qs(urlsplit(self.path).query)
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append((query, body, headers))
                self.send_response(server.answer[0])
                self.send_header("Content-Length", str(len(server.answer[1])))
                self.end_headers()
                self.wfile.write(server.answer[1])

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_who_asks_and_for_what_travels_apart_from_the_statement(server: Server) -> None:
    clickhouse = ClickHouse(server.url + "/led%20ger", "reader", "s3cret")
    clickhouse.rows("SELECT {x:String}", {"x": "'; DROP TABLE", "many": ["a'b", "c\\d\n"]})

    ((query, body, headers),) = server.asked
    assert body == "SELECT {x:String}\nFORMAT JSONEachRow"
    assert query["param_x"] == ["'; DROP TABLE"]
    assert query["param_many"] == ["['a\\'b','c\\\\d\\n']"]
    assert query["database"] == ["led ger"]
    assert (headers["x-clickhouse-user"], headers["x-clickhouse-key"]) == ("reader", "s3cret")
    assert "s3cret" not in repr(clickhouse) + repr(query)


HOSTILE = ["a'b", "c\\d", "e\nf", "g\th", "{i:String}", "", "'; DROP TABLE spans; --", "𝕊", "%27"]


def test_hostile_keys_stay_data_in_the_real_engine() -> None:
    with LocalStack(clickhouse_port=0) as stack:
        stack.ledger.insert("span_links", ({"key": key, "trace_id": TRACE} for key in HOSTILE[:3]))
        asked = AskedLedger(ClickHouse(stack.clickhouse_url, "", ""))
        assert asked.linked(HOSTILE) == [TRACE]
        assert [asked.linked([key]) for key in HOSTILE[3:]] == [[]] * (len(HOSTILE) - 3)
        assert stack.ledger.query("SELECT count() AS n FROM spans") == [{"n": 0}]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((403, b"Code: 516. Authentication failed\nat somewhere"), "says: Code: 516. Auth"),
        ((500, b""), "says: 500"),
        ((200, b'{"a": 1}\nCode: 160. Estimated query'), "broke off"),
    ],
)
def test_what_clickhouse_says_is_said_in_one_line(
    server: Server, answer: tuple[int, bytes], sentence: str
) -> None:
    server.answer = answer
    with pytest.raises(ClickHouseError, match=sentence) as error:
        ClickHouse(server.url, "", "").rows("SELECT 1", {})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "not a URL of http"),
        ("clickhouse:9000", "not a URL of http"),
        ("http://[", "not a URL"),
        ("http://u:hunter2@x:8123", "TOLLSPAN_CLICKHOUSE_PASSWORD"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, sentence: str) -> None:
    with pytest.raises(BadDestination, match=sentence) as error:
        ClickHouse(url, "", "")
    assert "hunter2" not in str(error.value)


def test_numbers_come_as_numbers_or_as_text_and_what_the_stage_appended_is_taken_off(
    server: Server,
) -> None:
    """A span as it was forwarded, as the exporter writes it: every value is text."""
    sent = foreign(1)
    forwarded = ExportTraceServiceRequest.FromString(enrich(protobuf([sent])).body)
    (span,) = forwarded.resource_spans[0].scope_spans[0].spans
    said: dict[str, str] = {}
    typed = []
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        said[pair.key] = value if kind == "string_value" else json.dumps(value)
        typed += [pair.key] * (kind != "string_value")
    assert said[semconv.COST_ROLE] == UNJOINED
    row = {
        "trace_id": sent.trace_id,
        "span_id": sent.span_id,
        "parent_id": "",
        "name": sent.name,
        "kind": "client",
        "scope": sent.scope,
        "scope_version": "",
        "time_ns": str(sent.start_ns),
        "duration_ns": str(sent.end_ns - sent.start_ns),
        "status": "unset",
        "status_message": "",
        "resource": {},
        "attributes": said,
        "typed": typed,
        "events": "",
        "version": str(2**63),
    }
    server.answer = (200, json.dumps(row).encode())
    (found,) = AskedLedger(ClickHouse(server.url, "", "")).spans([TRACE])

    assert found.attributes == sent.attributes
    assert normalised(found) == normalised(sent)
    assert (found.start_ns, found.end_ns, found.version) == (sent.start_ns, sent.end_ns, 2**63)


class Nowhere:
    """A `Forwarder` to which nothing is sent."""

    def send(self, signal: str, body: bytes) -> Any:
        raise AssertionError("nothing was to be told")

    def close(self) -> None: ...


def test_nothing_torn_nothing_told(server: Server) -> None:
    done = Mend(ClickHouse(server.url, "", ""), Nowhere(), "me", minutes=30, timeout_s=1).run()

    assert (done.traces, done.records) == (0, 0)
    assert {query["param_minutes"][0] for query, _, _ in server.asked} == {"30"}


def test_suspects_wait_until_their_spans_have_landed() -> None:
    now = [0.0]
    fold = Holding(
        Counters(),
        window_s=60,
        most_bytes=10**8,
        spans_per_trace=10,
        clock=lambda: now[0],
    )
    fold.suspect("a" * 32)
    now[0] = 10
    fold.suspect("b" * 32)
    now[0] = 25

    assert fold.take_suspects(20) == ["a" * 32]
    assert fold.suspects == 1
    until(lambda: fold.take_suspects(0) == ["b" * 32])


def test_the_spans_of_a_trace_that_was_told_alone_are_suspected() -> None:
    fold = Holding(Counters(), window_s=60, most_bytes=10**8, spans_per_trace=10, clock=lambda: 0.0)
    fold.take([owner(1, start_ns=START_NS)], alone=True)

    assert fold.take_suspects(0) == [TRACE]
