"""What is wrong behind a stage is said in one sentence, with what to do; and nobody's silence is taken
for an acknowledgement."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from needs import ROOT
from sink import Failing, Sink
from spans import owner, protobuf
from stages import post, running, stage

from tollspan.collector import behind
from tollspan.collector.answers import acknowledged
from tollspan.collector.behind import KNOWN_FOR_S, Behind
from tollspan.collector.destination import BadDestination, destination
from tollspan.collector.receiver import Unavailable
from tollspan.config import Settings
from tollspan.exporter import OtlpExporter
from tollspan.launcher.stage_process import Ports, StageProcess

C = grpc.StatusCode
BODY = protobuf([owner(1)])


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@contextmanager
def answering(status: int, body: bytes = b"", content_type: str = "") -> Iterator[str]:
    """URL of a server that answers every POST like that."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refused(url: str) -> tuple[str, str]:
    """What the sender is told of a request that is not taken behind, and what `/readyz` says."""
    with stage(url) as made:
        status, body, _ = post(f"127.0.0.1:{made.ports.http}", BODY)
        assert status == 503
        assert made.admission.inside == 0, "a request that is answered is not inside"
        return body.decode(errors="replace"), made.why_not_ready()


# --- the sentence ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"),
        (403, "set OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "check the address and path in TOLLSPAN_FORWARD_TO"),
        (308, "write that address in TOLLSPAN_FORWARD_TO"),
        (413, "raise max_recv_msg_size_mib (gRPC) or max_request_body_size (HTTP)"),
    ],
)
def test_a_refusal_over_http_says_what_to_do(status: int, sentence: str) -> None:
    with answering(status) as url:
        told, ready = refused(url)

    assert f"HTTP {status}" in told
    assert sentence in told
    assert sentence in ready


@pytest.mark.parametrize(
    ("code", "signals", "sentence"),
    [
        (C.UNAUTHENTICATED, ("traces", "logs"), "set OTEL_EXPORTER_OTLP_HEADERS"),
        (C.PERMISSION_DENIED, ("logs",), "set OTEL_EXPORTER_OTLP_HEADERS"),
        (C.UNIMPLEMENTED, ("logs",), "that a pipeline of that collector has this signal"),
    ],
)
def test_a_refusal_over_grpc_says_what_to_do(
    sink: Sink, code: Any, signals: tuple[str, ...], sentence: str
) -> None:
    sink.failing = Failing(code, signals)
    told, ready = refused(sink.grpc_url)

    assert sentence in told
    assert sentence in ready
    assert ready.startswith("spans are not" if "traces" in signals else "records of calls")


@pytest.mark.parametrize(
    ("scheme", "port", "sentence"),
    [
        ("grpc", "http", "that port speaks no gRPC, maybe OTLP/HTTP: write http://"),
        ("http", "grpc", "grpc://"),
        ("grpcs", "grpc", "that port speaks no TLS"),
        ("https", "http", "that port speaks no TLS"),
    ],
)
def test_another_protocol_is_called_so(sink: Sink, scheme: str, port: str, sentence: str) -> None:
    url = sink.grpc_url if port == "grpc" else sink.http_url
    told, ready = refused(f"{scheme}://{url.partition('://')[2]}")

    assert sentence in told
    assert sentence in ready


@pytest.mark.parametrize(
    "said",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<html>400 The plain HTTP request was sent to HTTPS port</html>",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ],
)
def test_a_server_of_https_that_was_asked_in_plain_http_says_nothing_of_the_spans(
    said: bytes,
) -> None:
    """Of a request that is called malformed the sender drops what is in it."""
    with answering(400, said, "text/plain") as url:
        told, ready = refused(url)

    assert "that port speaks TLS: write https://" in told
    assert "that port speaks TLS" in ready


def test_a_host_that_nobody_knows_and_a_port_where_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
        for scheme in ("grpc", "http"):
            assert "nobody knows that host" in refused(f"{scheme}://nowhere.invalid:4318")[0]
            told, ready = refused(f"{scheme}://{nowhere}")
            assert "nothing listens there: start it" in told
            assert (
                ready == f"nothing answers at {nowhere}, where the stage sends on: start it there"
            )


# --- what counts as taken -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>Please log in</html>", "text/html; charset=utf-8"),
        (b"<html>It works!</html>", ""),
        (b"welcome", "application/x-protobuf"),
        (b"[1]", "application/json"),
        (b"{", "application/json"),
    ],
)
def test_a_page_that_answers_200_has_taken_nothing(body: bytes, content_type: str) -> None:
    with answering(200, body, content_type) as url:
        told, ready = refused(url)

    assert "nobody has taken the request: write the address of an OTLP receiver" in told
    assert "write the address of an OTLP receiver" in ready


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"", "text/plain"),
        (b"OK", "text/plain"),
        (b"OK", ""),
        (b"{}", "application/json"),
        (b'{"partialSuccess":{},"requestId":"7"}', "application/json; charset=utf-8"),
    ],
)
def test_intakes_that_answer_in_a_way_of_their_own_have_taken_it(
    body: bytes, content_type: str
) -> None:
    with answering(202, body, content_type) as url, stage(url) as made:
        assert post(f"127.0.0.1:{made.ports.http}", BODY)[0] == 200
        assert made.counters.count("forwarded_spans") == 1
        assert made.why_not_ready() == ""


def test_what_json_leaves_out_is_left_out() -> None:
    said = b'{"partialSuccess": {"rejectedSpans": "2"}}'

    assert acknowledged("traces", said, "application/json") == b"\n\x02\x08\x02"
    with pytest.raises(Unavailable, match="nobody has taken"):
        acknowledged("traces", b"\xff")


# --- asked without load ---------------------------------------------------------------------------


def test_real_requests_answer_for_the_empty_ones(sink: Sink) -> None:
    with stage(sink.grpc_url) as made:
        assert made.why_not_ready() == ""
        assert sink.bodies == [b""]
        post(f"127.0.0.1:{made.ports.http}", BODY)
        assert made.why_not_ready() == ""
        assert len(sink.bodies) == 2

    assert not any(record["call"]["role"] == "gone" for record in sink.told)


def test_one_that_is_full_or_slow_is_there_all_the_same(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "WAIT_S", 0.01)
    sink.failing = Failing(C.RESOURCE_EXHAUSTED)
    with stage(sink.grpc_url) as made:
        assert made.why_not_ready() == ""
        sink.failing, sink.slow_s = None, 0.2
        made._behind._asked_at = float("-inf")
        assert made.why_not_ready() == ""


def test_what_was_taken_long_ago_is_asked_again(sink: Sink) -> None:
    now = [0.0]
    with stage(sink.grpc_url) as made:
        asked = Behind(made._behind._through, made.to, lambda: now[0])
        assert asked.why_not() == ""
        sink.failing = Failing(C.UNAUTHENTICATED)
        now[0] += KNOWN_FOR_S / 2
        assert asked.why_not() == ""
        now[0] += KNOWN_FOR_S
        assert "OTEL_EXPORTER_OTLP_HEADERS" in asked.why_not()
        sink.failing = None
        now[0] += 1
        assert asked.why_not() == ""


# --- at the start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("which", ["grpc", "http"])
def test_a_stage_that_would_send_to_itself_does_not_start(host: str, which: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = Ports(port, 0, 0) if which == "grpc" else Ports(0, port, 0)
    made = StageProcess(
        destination(f"{which}://{host}:{port}"),
        Settings(),
        OtlpExporter(),
        host="127.0.0.1",
        ports=ports,
    )
    with pytest.raises(BadDestination, match="would send on to itself"):
        made.start()


def test_prices_are_there_before_the_first_span(sink: Sink) -> None:
    with stage(sink.grpc_url) as made:
        assert made.prices.startswith("genai-prices/")


@pytest.mark.slow
def test_it_says_at_its_start_what_is_wrong_and_when_that_is_over() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(f"grpc://127.0.0.1:{port}") as made:
        assert f"sends on to 127.0.0.1:{port} (OTLP/gRPC)" in made.said
        assert "prices     genai-prices/" in made.said
        assert "TOLLSPAN_CLICKHOUSE_URL names no ledger" in made.said
        line = made.process.stderr.readline()
        assert "\twarn\ttollspan\tnot ready yet: nothing answers at" in line
        with Sink(port=port):
            assert "\tinfo\ttollspan\tready: spans and records are taken" in (
                made.process.stderr.readline()
            )
            made.end()

    assert (made.code, made.complained) == (0, "")


@pytest.mark.slow
def test_the_images_health_check_asks_at_the_port_that_is_set(sink: Sink) -> None:
    text = (ROOT / "Dockerfile").read_text().split("HEALTHCHECK ")[1]
    command = json.loads(text.split("CMD ")[1].splitlines()[0])
    assert command[0] == "python", shlex.join(command)

    def checked(port: int) -> int:
        environ = {"TOLLSPAN_ADMIN_PORT": str(port)}
        told = subprocess.run(
            [sys.executable, *command[1:]], env=environ, capture_output=True, check=False
        )
        return told.returncode

    with stage(sink.grpc_url) as made:
        assert checked(made.ports.admin) == 0
        made.admission.close()
        assert checked(made.ports.admin) == 1
    assert "'TOLLSPAN_ADMIN_PORT', 4320" in command[2]
