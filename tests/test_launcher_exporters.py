"""The standard variables say where spans and metrics go, with or without a distro."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from otlp import Receiver

from tollspan import config
from tollspan.chaos import Chaos
from tollspan.config import environment
from tollspan.launcher import exporters, first_use

HTTP, GRPC = "otlp_proto_http", "otlp_proto_grpc"


@pytest.mark.parametrize(
    ("environ", "names", "endpoint"),
    [
        ({}, [HTTP], "http://localhost:4318"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [HTTP], "http://localhost:4318"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [GRPC], "http://localhost:4317"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            [HTTP],
            "http://localhost:4318",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, [GRPC], "http://c:4317"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c/base/"}, [HTTP], "https://c"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:1/v1/traces"}, [HTTP], "http://c:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@c:1"}, [HTTP], "http://c:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:nonsense"}, [HTTP], "http://c:nonsense"),
        ({"OTEL_TRACES_EXPORTER": " console , otlp "}, ["console", HTTP], "http://localhost:4318"),
        ({"OTEL_TRACES_EXPORTER": "none"}, [], "http://localhost:4318"),
        ({"OTEL_TRACES_EXPORTER": ""}, [HTTP], "http://localhost:4318"),
    ],
)
def test_what_the_variables_ask_for(
    environ: dict[str, str], names: list[str], endpoint: str
) -> None:
    assert exporters.names("traces", "otlp", environ) == names
    assert exporters.endpoint("traces", environ) == endpoint


def test_without_an_endpoint_the_ports_of_our_stack_are_meant(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider
) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("TOLLSPAN_HTTP_PORT", receiver.url.rpartition(":")[2])
        config.reload()
        lazy = first_use.OnFirstUse(HTTP)
        assert lazy.endpoint == receiver.url.replace("127.0.0.1", "localhost")
        span = provider.get_tracer("app").start_span("work")
        span.end()
        assert isinstance(span, ReadableSpan)
        assert lazy.export([span]) is SpanExportResult.SUCCESS
        lazy.shutdown()
        assert [each.name for each in receiver.spans] == ["work"]


@pytest.mark.parametrize(
    ("name", "placed"),
    [
        (HTTP, {"endpoint": "http://localhost:4318/v1/traces"}),
        (GRPC, {"endpoint": "http://localhost:4317"}),
        ("console", {}),
    ],
)
def test_an_exporter_asked_for_by_its_own_name_is_sent_to_its_own_port(
    name: str, placed: dict[str, str]
) -> None:
    assert exporters.place(name) == placed


def test_the_local_stack_is_shown_its_token_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.reload({"TOLLSPAN_TOKEN": "secret"})
    assert exporters.place(GRPC)["headers"] == {"authorization": "Bearer secret"}

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x=y")
    assert "headers" not in exporters.place(HTTP)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")
    assert exporters.place(HTTP) == {}


def test_an_unknown_protocol_is_said_and_http_is_used(caplog: pytest.LogCaptureFixture) -> None:
    assert exporters.protocol("traces", {"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}) == "http/protobuf"
    assert "'smoke' is unknown" in caplog.text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://c", ("c", 80)),
        ("https://c", ("c", 443)),
        ("c:4317", ("c", 4317)),
        ("http://[::1]:4318", ("::1", 4318)),
        ("http://c:nonsense", None),
        ("", None),
    ],
)
def test_hosts_and_ports(url: str, address: tuple[str, int] | None) -> None:
    assert exporters.address(url) == address


def span() -> list[object]:
    made = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    made.end()
    return [made]


def test_a_closing_exporter_does_not_wait_for_a_dead_collector(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    exporter = first_use.OnFirstUse(HTTP)
    exporter.closing = True

    for _ in range(2):
        assert exporter.export(span()) is SpanExportResult.FAILURE  # type: ignore[arg-type]

    assert caplog.text.count("spans do not arrive at http://127.0.0.1:9") == 1


def test_a_batch_waits_for_a_collector_that_is_not_there_yet_and_one_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        answers = iter([False, False, True])
        monkeypatch.setattr(exporters, "may_listen", lambda *_: next(answers))
        exporter = first_use.OnFirstUse(HTTP)

        assert exporter.export(span()) is SpanExportResult.SUCCESS  # type: ignore[arg-type]
        assert exporter.export(span()) is SpanExportResult.SUCCESS  # type: ignore[arg-type]
        exporter.shutdown()

    assert len(receiver.spans) == 2
    (said,) = (each.getMessage() for each in caplog.records)
    assert said.startswith(f"tollspan's spans do not arrive at {receiver.url}: start `tollspan up`")


def test_a_batch_is_given_up_for_the_next_after_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(first_use, "_PATIENCE_S", 0.1)
    exporter = first_use.OnFirstUse(HTTP)

    for _ in range(2):
        assert exporter.export(span()) is SpanExportResult.FAILURE  # type: ignore[arg-type]

    assert len(caplog.records) == 1


DNS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "dns:///collector:4317"}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy"])
def test_who_sends_through_a_proxy_is_not_asked_whether_the_collector_listens(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not exporters.may_listen("http://127.0.0.1:9")
    assert exporters.may_listen(exporters.endpoint(environ=DNS))
    monkeypatch.setenv(name, "http://proxy:3128")
    assert exporters.may_listen("http://127.0.0.1:9")


def test_an_exporter_is_made_at_its_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        exporter = first_use.OnFirstUse(HTTP)
        assert exporter._real is None

        assert exporter.export(span()) is SpanExportResult.SUCCESS  # type: ignore[arg-type]
        exporter.shutdown()

    assert [each.name for each in receiver.spans] == ["s"]


def test_a_batch_that_comes_while_another_thread_makes_the_exporter_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    loading = exporters.load

    def slow(group: str, name: str) -> Any:
        begun.set()
        assert go_on.wait(20)
        return loading(group, name)

    monkeypatch.setattr(exporters, "load", slow)
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        exporter = first_use.OnFirstUse(HTTP)
        threading.Thread(target=exporter.ready).start()
        assert begun.wait(20)
        threading.Timer(0.05, go_on.set).start()

        assert exporter.export([]) is SpanExportResult.SUCCESS


ADDED = """
import json, sys, time
import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export
sdk = time.process_time()
import tollspan.auto
print(json.dumps([(time.process_time() - sdk) / sdk, sorted(sys.modules)]))
"""


@pytest.mark.slow
def test_import_auto_is_light() -> None:
    """Less than Python and the SDK alone, in CPU time and best of five: the machine may be busy."""
    import json

    best, modules = 1e9, []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", ADDED],
            env={**environment(), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        share, modules = json.loads(done.stdout)
        best = min(best, share)

    heavy = {"genai_prices", "grpc", "requests", "httpx", "openai", "opentelemetry.sdk.metrics"}
    assert heavy.isdisjoint(modules)
    assert best < 0.75


METRICS = """
import openai, tollspan
FIRST tollspan.instrument()
client = openai.OpenAI(api_key="test", max_retries=0)
client.chat.completions.create(model="gpt-4o-mini", messages=[])
"""


BUSY = "from tollspan.launcher import background; background.start = lambda: None;"
"""As where no thread of ours has had a turn when the program ends."""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", BUSY], ids=["", "busy"])
def test_metrics_go_where_the_variable_says_without_a_distro(chaos: Chaos, first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", METRICS.replace("FIRST ", first)],
        env={
            **environment(),
            "OPENAI_BASE_URL": chaos.openai_base_url,
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "console",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert '"name": "gen_ai.client.operation.duration"' in done.stdout
    assert '"name": "tollspan.cost"' in done.stdout
    assert done.stdout.count('"gen_ai.token.type": "output"') == 1
