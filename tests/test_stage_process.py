"""`tollspan stage` answers for what it hands on, says what it does, and ends as it was told."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sink import Failing, Sink
from spans import attempt, foreign, hop, otlp_json, owner, protobuf, span
from stages import metric, post, running, send, stage, until

from tollspan import __version__, semconv
from tollspan.collector.destination import destination
from tollspan.collector.otlp_grpc import METRICS
from tollspan.config import Settings
from tollspan.exporter import OtlpExporter
from tollspan.launcher.stage import _on_signals
from tollspan.launcher.stage_process import Ports, StageProcess
from tollspan.local.server import LocalStack


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def at(made: Any) -> str:
    return f"127.0.0.1:{made.ports.grpc}"


def http(made: Any) -> str:
    return f"127.0.0.1:{made.ports.http}"


def refused(address: str, body: bytes) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        send(address, body)
    return error.value


def retry_after_s(error: grpc.RpcError) -> float | None:
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            info = RetryInfo()
            Status.FromString(value).details[0].Unpack(info)
            return info.retry_delay.ToTimedelta().total_seconds()
    return None


# --- what is handed on ----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_spans_and_records_reach_the_collector_behind(sink: Sink, protocol: str) -> None:
    url = sink.grpc_url if protocol == "grpc" else sink.http_url + "/below"
    exporter = OtlpExporter(compression="gzip", headers=(("x-key", "k 1"),))
    with stage(url, exporter) as made:
        assert (
            send(at(made), protobuf([owner(1), foreign(2, 1), hop(3, 1, 0, "model", "x")])) == b""
        )

    assert len(sink.spans) == 3
    (row,) = sink.owners()
    assert (row["cost_usd"], row["tenant"]) == ("0.000123000000", "acme")
    assert {record["call"]["role"] for record in sink.told} == {"owner", "restated"}
    assert [record["told_by"] for record in sink.told] == [made.told_by] * 2
    assert sink.told[0]["hops"][0]["name"] == "x"
    assert all(each["x-key"] == "k 1" for each in sink.metadata)


def test_json_is_sent_on_as_protobuf_with_its_ids(sink: Sink) -> None:
    spans = [owner(1), foreign(2, 1)]
    with stage(sink.grpc_url) as made:
        packed = gzip.compress(otlp_json(spans))
        status, answer, _ = post(
            http(made), packed, content_type="application/json", content_encoding="gzip"
        )

    assert (status, answer) == (200, b"{}")
    assert set(sink.spans) == {(each.trace_id, each.span_id) for each in spans}
    assert sink.spans[spans[1].trace_id, spans[1].span_id].parent_span_id.hex() == spans[0].span_id


def test_metrics_and_logs_pass_untouched(sink: Sink) -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"traceId": "ab" * 16}]}]}]}
    with stage(sink.grpc_url) as made:
        assert send(at(made), b"", METRICS) == b""
        body = json.dumps(logs).encode()
        assert post(http(made), body, path="/v1/logs", content_type="application/json")[0] == 200

    assert sink.others[0] == ("metrics", b"")
    assert bytes.fromhex("ab" * 16) in sink.others[1][1]


def test_a_call_is_corrected_when_its_path_comes_later(sink: Sink) -> None:
    with stage(sink.grpc_url) as made:
        send(at(made), protobuf([foreign(1)]))
        first = sink.owners()[0]["version"]
        send(at(made), protobuf([attempt(2, 1, x_litellm_version="1.2")]))
        text = made.counters.text()

    (row,) = sink.owners()
    assert row["version"] > first
    assert metric(text, "records_total") == 2
    assert 'records_total{kind="corrected"} 1' in text


# --- what the collector behind refuses ------------------------------------------------------------


def delay(seconds: float) -> tuple[tuple[str, bytes], ...]:
    status = Status(code=8, message="full")
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=int(seconds))))
    return (("grpc-status-details-bin", status.SerializeToString()),)


C = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "signals", "details", "told", "wait_s"),
    [
        (C.UNAVAILABLE, ("traces",), (), C.UNAVAILABLE, 1),
        (C.UNAVAILABLE, ("logs",), (), C.UNAVAILABLE, 1),
        (C.RESOURCE_EXHAUSTED, ("traces", "logs"), delay(7), C.RESOURCE_EXHAUSTED, 7),
        (C.RESOURCE_EXHAUSTED, ("logs",), (), C.RESOURCE_EXHAUSTED, 1),
        (C.PERMISSION_DENIED, ("traces",), (), C.UNAVAILABLE, 1),
        (C.UNIMPLEMENTED, ("logs",), (), C.UNAVAILABLE, 1),
        (C.INVALID_ARGUMENT, ("logs",), (), C.UNAVAILABLE, 1),
        (C.INVALID_ARGUMENT, ("traces",), (), C.INVALID_ARGUMENT, None),
    ],
)
def test_a_refusal_behind_is_one_that_the_sender_tries_again(
    sink: Sink, code: Any, signals: Any, details: Any, told: Any, wait_s: float | None
) -> None:
    sink.failing = Failing(code, signals, details=details)
    with stage(sink.grpc_url) as made:
        error = refused(at(made), protobuf([owner(1)]))
        status, _, headers = post(http(made), protobuf([owner(1)]))
        assert made.counters.count("forwarded_spans") == 0
        assert made.counters.count("refused_spans", "downstream") == 2

    assert error.code() is told
    assert retry_after_s(error) == wait_s
    assert status == {C.UNAVAILABLE: 503, C.RESOURCE_EXHAUSTED: 429, C.INVALID_ARGUMENT: 400}[told]
    assert headers.get("retry-after") == (str(wait_s) if wait_s else None)


@pytest.mark.parametrize(
    ("code", "status"), [(C.RESOURCE_EXHAUSTED, 429), (C.INTERNAL, 503), (C.INVALID_ARGUMENT, 400)]
)
def test_the_same_over_http(sink: Sink, code: Any, status: int) -> None:
    sink.failing = Failing(code, ("traces",))
    with stage(sink.http_url) as made:
        assert post(http(made), protobuf([owner(1)]))[0] == status


def test_what_was_refused_is_told_whole_when_it_is_sent_again(sink: Sink) -> None:
    """The fold has seen the spans already; the ledger has not heard of the call."""
    with stage(sink.grpc_url) as made:
        send(at(made), protobuf([owner(1)]))
        for signals in (("logs",), ("traces",)):
            sink.failing = Failing(C.UNAVAILABLE, signals, times=1)
            refused(at(made), protobuf([foreign(2, 1), foreign(3)]))
        send(at(made), protobuf([foreign(2, 1), foreign(3)]))

    assert [row["span_id"] for row in sink.owners()] == [f"{1:016x}", f"{3:016x}"]
    assert len(sink.spans) == 3


def test_a_partial_success_is_passed_on(sink: Sink) -> None:
    sink.rejects_spans, sink.rejects_records = 2, 1
    with stage(sink.grpc_url) as made:
        answer = send(at(made), protobuf([owner(1), owner(2), owner(3)]))
        _, told, _ = post(http(made), otlp_json([owner(4)]), content_type="application/json")
        assert made.counters.count("rejected_spans") == 4

    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 2
    assert "some spans are ugly" in partial.error_message
    assert "1 records of calls were left out: some records are ugly" in partial.error_message
    assert json.loads(told)["partialSuccess"]["rejectedSpans"] == "2"


def test_nobody_behind_is_a_refusal_too_and_the_stage_is_not_ready(sink: Sink) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
        for url in (f"grpc://{nowhere}", f"http://{nowhere}"):
            with stage(url, forward_timeout_s=2) as made:
                assert refused(at(made), protobuf([owner(1)])).code() is C.UNAVAILABLE
                assert "nothing answers at" in made.why_not_ready()


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_sigterm_under_load_finishes_what_is_in_flight(sink: Sink) -> None:
    sink.slow_s = 1.0
    acknowledged: list[int] = []
    refusals: list[Any] = []

    def sender(first: int) -> None:
        for number in range(first, first + 100):
            body = protobuf([owner(1, trace_id=f"{number:032x}", cost=0.001)])
            try:
                send(made.grpc, body)
            except grpc.RpcError as error:
                refusals.append(error.code())
                return
            acknowledged.append(number)

    with running(sink.grpc_url) as made:
        threads = [threading.Thread(target=sender, args=(1000 * (each + 1),)) for each in range(4)]
        for each in threads:
            each.start()
        until(lambda: len(sink.told) >= 4 and made.metric("inflight_bytes") > 0)
        made.process.send_signal(signal.SIGTERM)
        said = made.end()
        for each in threads:
            each.join()

    assert made.code == 0, made.complained
    assert "requests in flight were finished" in said
    assert 1 <= int(said.split("stopped: ")[1].split()[0]) <= 4
    assert made.complained == ""
    assert set(refusals) <= {C.UNAVAILABLE, C.CANCELLED}, "both are tried again"
    assert sink.missing((f"{number:032x}", f"{1:016x}") for number in acknowledged) == []
    assert sink.usd() == Decimal("0.001") * len(sink.owners())
    assert len(sink.owners()) == len({*acknowledged})


@pytest.mark.slow
def test_an_address_in_brackets_is_that_address(tmp_path: Path) -> None:
    to, ports = destination("grpc://127.0.0.1:1", ""), Ports(0, 0, 0)

    assert StageProcess(to, Settings(), OtlpExporter(), host="[::1]", ports=ports).host == "::1"
    assert LocalStack(tmp_path, host="[::1]").host == "::1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_that_ends_it_lets_it_finish(number: signal.Signals) -> None:
    asked, before = threading.Event(), signal.signal(number, lambda *_: None)
    try:
        found = _on_signals(asked)
        signal.raise_signal(number)
        assert asked.wait(30)
        for each, handler in found.items():
            signal.signal(each, handler)
    finally:
        signal.signal(number, before)


def test_under_nohup_it_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        found = _on_signals(threading.Event())
        for each, handler in found.items():
            signal.signal(each, handler)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.SIGHUP not in found
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_tells_prometheus_and_its_keeper_how_it_is(sink: Sink) -> None:
    with running(sink.grpc_url, "--name", "one") as made:
        assert "tollspan stage one sends on to" in made.said
        send(made.grpc, protobuf([owner(1), span(2, 1)]))
        assert made.get("/healthz") == (200, "ok\n")
        assert made.get("/readyz") == (200, "ok\n")
        assert made.metric("received_spans_total") == made.metric("forwarded_spans_total") == 2
        assert made.metric("traces_held") == made.metric("up") == 1
        assert made.metric("lag_seconds") == 0
        sink._server.stop(0).wait()
        status, why = made.get("/readyz")
        assert (status, made.get("/healthz")[0]) == (503, 200)
        assert "nothing answers at" in why
        made.end(signal.SIGINT)

    assert made.code == 0
    assert sink.told[0]["told_by"].startswith("one.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "variables", "sentence"),
    [
        ([], {}, "nowhere to send on to"),
        (["--forward-to", "kafka://x"], {}, "--forward-to is not a URL of grpc"),
        (["--forward-to", "http://u:hunter2@x:4318"], {}, "OTEL_EXPORTER_OTLP_HEADERS"),
        (["--forward-to", "grpc://x", "--host", "0.0.0.0"], {}, "set TOLLSPAN_TOKEN"),
        (["--forward-to", "grpc://x", "--grpc-port", "{port}"], {}, "is in use"),
        (["--forward-to", "grpc://x", "--admin-port", "{port}"], {}, "--admin-port 0"),
        (
            ["--forward-to", "grpcs://x"],
            {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere"},
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere names no file",
        ),
        (["--forward-to", "grpc://x", "--mend-once"], {}, "TOLLSPAN_CLICKHOUSE_URL"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(
    options: list[str], variables: dict[str, str], sentence: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        free = ["--grpc-port", "0", "--http-port", "0", "--admin-port", "0"]
        done = subprocess.run(
            [sys.executable, "-m", "tollspan.launcher.command", "stage", *free]
            + [each.format(port=port) for each in options],
            env={**variables, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr


def test_off_loopback_the_token_is_asked_for_everywhere_but_for_health(sink: Sink) -> None:
    with stage(sink.grpc_url, token="s3cret") as made:
        assert refused(at(made), protobuf([owner(1)])).code() is C.UNAUTHENTICATED
        assert send(at(made), protobuf([owner(1)]), authorization="Bearer s3cret") == b""
        assert post(http(made), protobuf([owner(1)]))[0] == 401
        assert post(http(made), protobuf([owner(1)]), authorization="Bearer s3cret")[0] == 200
        from stages import get

        door = f"http://127.0.0.1:{made.ports.admin}"
        assert get(door + "/metrics")[0] == 401
        assert get(door + "/metrics", "s3cret")[0] == 200
        assert get(door + "/readyz")[0] == get(door + "/healthz")[0] == 200
        assert "s3cret" not in repr(made._settings)


def test_secrets_show_in_no_repr() -> None:
    from tollspan.config import Settings

    settings = Settings(token="hunter1", clickhouse_password="hunter2")
    assert "hunter" not in repr(settings) + repr(
        OtlpExporter(headers=(("authorization", "hunter3"),))
    )


def test_every_metric_is_named_once_with_help_and_type(sink: Sink) -> None:
    with stage(sink.grpc_url) as made:
        text = made.counters.text()

    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for line in text.splitlines():
        if not line.startswith("#"):
            assert line.split("{")[0].split()[0] in names, line
    assert semconv.SCOPE + "_stage_shed_spans_total" in names
    assert f'tollspan_build_info{{version="{__version__}"}} 1' in text.splitlines()
