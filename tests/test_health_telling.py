"""Changes are told in a log, as an OpenTelemetry event and to a webhook, and never in a call's way; metrics
say how backends are; an application probes by itself or follows a `tollspan up`."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import config, semconv
from tollspan.chaos import Chaos
from tollspan.limits import health, meters, telling
from tollspan.limits.circuits import Policy
from tollspan.limits.outcomes import SERVER, Outcome
from tollspan.limits.telling import Teller, Telling
from tollspan.limits.watched import Where

DOWN = Telling(
    "engine",
    Where("vllm", "gpu", 8000),
    "circuit",
    "closed",
    "open",
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "5 of 5 calls failed",
)


class Server:
    """Answers every request by `status`, `None` for never; notes what came."""

    def __init__(self, body: bytes = b"", path: str = "") -> None:
        self.status: int | None = 200
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.came.append((self.path, headers, self.rfile.read(length)))
                if server.status is None:
                    server.ended.wait(30)
                    return
                self.send_response(server.status)
                if server.status in (301, 307):
                    self.send_header("location", path)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    health.unlisten()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# --- webhook --------------------------------------------------------------------------------------


def test_a_webhook_gets_one_post_of_json_with_its_header(server: Server) -> None:
    teller = Teller(f"{server.url}/hook?team=ops", "authorization: Bearer s3cret")
    teller.tell(DOWN)
    teller.stop()
    ((path, headers, body),) = server.came

    assert path == "/hook?team=ops"
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "event": "tollspan.backend.changed",
        "text": "circuit of engine is open, was closed: 5 of 5 calls failed",
        "backend": "engine",
        "provider": "vllm",
        "server_address": "gpu",
        "server_port": 8000,
        "of": "circuit",
        "state": "open",
        "state_before": "closed",
        "since": "2026-01-02T03:04:05.000Z",
        "reason": "5 of 5 calls failed",
    }


def test_a_webhook_that_refuses_is_asked_four_times_and_no_more(server: Server) -> None:
    server.status = 500
    teller = Teller(server.url, pause_s=0.01)
    teller.tell(DOWN)
    eventually(lambda: teller.lost == 1)
    teller.stop()

    assert len(server.came) == 4


def test_a_redirect_of_the_webhook_is_not_followed(server: Server) -> None:
    other = Server()
    server.status = 307
    moved = Server(path=f"{other.url}/internal")
    moved.status = 307
    teller = Teller(moved.url, pause_s=0.001)
    teller.tell(DOWN)
    eventually(lambda: teller.lost == 1)
    teller.stop()
    for each in (other, moved):
        each.close()

    assert len(moved.came) == 4
    assert other.came == []


def test_whoever_tells_never_waits_for_a_webhook_that_hangs(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_TIMEOUT_S", 0.2)
    server.status = None
    teller = Teller(server.url, pause_s=0.001)
    began = time.monotonic()
    for _ in range(1000):
        teller.tell(DOWN)
    took_s = time.monotonic() - began
    lost = teller.lost
    teller.stop(timeout_s=0.01)
    came = len(server.came)
    eventually(lambda: all(each.name != "tollspan-telling" for each in threading.enumerate()))

    assert took_s < 20  # had each of them waited: 200 s
    assert lost >= 1000 - 101  # a hundred wait, one is being told
    assert len(server.came) <= came + 1  # of those that waited none was told afterwards


def test_trials_are_no_news_for_people(server: Server) -> None:
    teller = Teller(server.url)
    for before, after in [("open", "half_open"), ("half_open", "open"), ("half_open", "closed")]:
        teller.tell(Telling("e", Where("p"), "circuit", before, after, datetime.now(UTC), "why"))
    teller.stop()

    assert [json.loads(body)["state"] for _, _, body in server.came] == ["closed"]


@pytest.mark.parametrize(
    ("url", "header", "said"),
    [
        ("ftp://s3cret", "", "TOLLSPAN_HEALTH_WEBHOOK is no address: write https://host/path"),
        ("http://me:s3cret@host", "", "TOLLSPAN_HEALTH_WEBHOOK is no address"),
        ("http://host", "s3cret", "TOLLSPAN_HEALTH_WEBHOOK_HEADER is no header: write name: value"),
    ],
)
def test_a_webhook_that_cannot_be_asked_is_logged_without_its_secret(
    url: str, header: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    config.reload(
        {"TOLLSPAN_HEALTH_WEBHOOK": url, "TOLLSPAN_HEALTH_WEBHOOK_HEADER": header}, strict=True
    )
    Teller.of_settings()

    assert said in caplog.text
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(config.settings())


# --- log and event --------------------------------------------------------------------------------


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()
    made = LoggerProvider()
    made.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", made)
    yield exporter
    made.shutdown()


def test_a_change_is_a_log_line_and_an_event(
    events: InMemoryLogRecordExporter, caplog: pytest.LogCaptureFixture
) -> None:
    teller = Teller()
    teller.tell(DOWN)
    teller.stop()
    (told,) = events.get_finished_logs()
    record = told.log_record

    assert record.event_name == "tollspan.backend.changed"
    assert record.body == "circuit of engine is open, was closed: 5 of 5 calls failed"
    assert record.severity_text == "WARN"
    assert record.attributes == {
        semconv.BACKEND: "engine",
        semconv.BACKEND_STATE: "open",
        semconv.BACKEND_STATE_BEFORE: "closed",
        semconv.BACKEND_REASON: "5 of 5 calls failed",
        semconv.PROVIDER: "vllm",
        semconv.SERVER_ADDRESS: "gpu",
    }
    assert [(each.name, each.levelno) for each in caplog.records] == [
        ("tollspan.health", logging.WARNING)
    ]


def test_a_circuit_that_opens_is_told(events: InMemoryLogRecordExporter) -> None:
    tollspan.health("p")
    backend = health.known.at(Where("p", "h"))
    for _ in range(5):
        backend.ended(Outcome(SERVER, 0.1), health.known.clock())
    eventually(lambda: len(events.get_finished_logs()) == 1)

    assert "circuit of p at h is open" in str(events.get_finished_logs()[0].log_record.body)


# --- beside an application ------------------------------------------------------------------------


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    made = InMemoryMetricReader()
    provider = MeterProvider([made], shutdown_on_exit=False)
    meters.measure_with(provider)
    yield made
    meters.measure_with(None)
    provider.shutdown()


def measured(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    found = reader.get_metrics_data()
    return {
        metric.name: list(metric.data.data_points)
        for resource in (found.resource_metrics if found else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def declared(folder: Path, chaos: Chaos) -> Path:
    file = folder / "backends.toml"
    file.write_text(
        f'[[backends]]\nname = "engine"\nprovider = "vllm"\nurl = "{chaos.url}"\n'
        'checks = [{kind = "http", path = "/__chaos__/log"}]\n'
        "interval_s = 0.1\ntimeout_s = 1\ndown_after = 2\nup_after = 1\n"
        "circuit = { cool_down_s = 60, trials_to_close = 1 }\n"
    )
    return file


def test_an_application_that_probes_opens_and_tries_circuits_before_any_call(
    tmp_path: Path, chaos: Chaos, reader: InMemoryMetricReader
) -> None:
    file = declared(tmp_path, chaos)
    config.reload({"TOLLSPAN_BACKENDS": str(file), "TOLLSPAN_PROBE": "1"}, strict=True)
    engine = tollspan.health("engine")
    eventually(lambda: engine.backends[0].probe == "up")
    up = measured(reader)
    chaos.close()
    eventually(lambda: engine.state == "open")
    down = measured(reader)

    assert engine.reason.startswith("2 probes in a row failed: http GET /__chaos__/log: connection")
    with pytest.raises(tollspan.CircuitOpen), engine.guard():
        pass
    chaos.start()
    eventually(lambda: engine.state == "half_open")  # long before its cool-down of a minute is over
    with engine.guard():
        pass
    eventually(lambda: engine.state == "closed")

    known = {
        semconv.BACKEND: "engine",
        semconv.PROVIDER: "vllm",
        semconv.SERVER_ADDRESS: "127.0.0.1",
        semconv.SERVER_PORT: chaos.port,
    }
    for values, is_up, level in ((up, 1, 0), (down, 0, 2)):
        (gauge,) = values["tollspan.backend.up"]
        (circuit,) = values["tollspan.backend.circuit"]
        assert (gauge.value, dict(gauge.attributes)) == (is_up, known)
        assert (circuit.value, dict(circuit.attributes)) == (level, known)
    durations = down["tollspan.backend.probe.duration"]
    assert {each.attributes[semconv.PROBE_OK] for each in durations} == {True, False}
    assert all(each.attributes[semconv.PROBE_KIND] == "http" for each in durations)


def test_names_of_the_file_are_known_without_probes_and_calls_to_their_host_are_theirs(
    tmp_path: Path, chaos: Chaos
) -> None:
    config.reload({"TOLLSPAN_BACKENDS": str(declared(tmp_path, chaos))}, strict=True)
    engine = tollspan.health("engine")
    called = health.known.at(Where("openai", "127.0.0.1", chaos.port))

    assert engine.available
    assert engine.backends[0].probe == "unknown"
    assert called.name == "engine"


def test_an_instrumented_application_with_a_file_of_backends_watches_before_it_asks(
    tmp_path: Path, chaos: Chaos, provider: TracerProvider
) -> None:
    config.reload({"TOLLSPAN_BACKENDS": str(declared(tmp_path, chaos))}, strict=True)
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)
    import openai  # noqa: F401  (what runs beside an application waits for its first SDK)

    tollspan.instrument(provider, meter_provider)
    try:
        eventually(lambda: bool(health.known.called("engine")))
        eventually(lambda: "tollspan.backend.circuit" in measured(reader))
    finally:
        tollspan.uninstrument()
        meters.measure_with(None)
        meter_provider.shutdown()


def test_a_file_that_cannot_be_used_is_logged_and_everything_is_available(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config.reload({"TOLLSPAN_BACKENDS": str(tmp_path / "none.toml")}, strict=True)

    assert tollspan.health("engine").available
    assert "cannot be read (No such file or directory): correct TOLLSPAN_BACKENDS" in caplog.text


def told(state: str, port: int = 8000) -> dict[str, Any]:
    return {
        "name": "engine",
        "provider": "vllm",
        "server_address": "gpu",
        "server_port": port,
        "reason": "3 probes in a row failed",
        "probes": {"state": state},
    }


def test_what_a_tollspan_up_knows_by_its_probes_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tollspan.limits import follow

    answers = [
        *[b"", b"[]", b'{"backends": 3}', b'{"backends": [3, {"name": "engine", "probes": []}]}'],
        json.dumps({"backends": [told("down")]}).encode(),
    ]
    server = Server(body=json.dumps({"backends": [told("down")]}).encode())
    config.reload({"TOLLSPAN_TOKEN": "t0ken"}, strict=True)
    following = follow.Following(health.known, server.url, every_s=0.01)
    following.start()
    engine = tollspan.health("engine")
    eventually(lambda: engine.state == "open")

    assert engine.reason == "probed elsewhere: 3 probes in a row failed"
    assert server.came[0][0] == "/v1/health?history_s=1"
    assert server.came[0][1]["authorization"] == "Bearer t0ken"
    server.status = 500  # whoever probes there is gone: in the end nobody knows
    eventually(lambda: engine.backends[0].probe == "unknown")
    following.stop()
    server.close()
    for body in answers[:-1]:
        odd = Server(body=body)
        looking = follow.Following(health.known, odd.url, every_s=0.001)
        looking.start()
        eventually(lambda odd=odd: len(odd.came) > 2)  # type: ignore[misc]
        looking.stop()
        odd.close()


def test_after_a_fork_the_child_goes_on_by_itself(chaos: Chaos) -> None:
    health.known.policy = Policy(failures=1)
    tollspan.health("p")
    backend = health.known.at(Where("p", "h"))
    backend._lock.acquire()  # by a thread that the child does not have
    health._starting.acquire()
    child = os.fork()
    if child == 0:
        told: list[str] = []
        health.on_change(lambda watched, change, moment: told.append(change.after))
        backend.ended(Outcome(SERVER, 0.1), health.known.clock())
        state = tollspan.health("p").state
        os._exit(0 if (state, told) == ("open", ["open"]) else 1)
    backend._lock.release()
    health._starting.release()
    health.known.policy = Policy()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tollspan.health("p").state == "closed"
