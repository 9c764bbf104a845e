"""The doctor says what is patched and by whom, what is lost, doubled, sampled away or unpriced."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from otlp import Receiver

import tollspan
from tollspan import config, guard
from tollspan.chaos import Chaos
from tollspan.config import environment
from tollspan.instrumentation import PROVIDERS
from tollspan.launcher import checkup, doctor, layers, receivers
from tollspan.processors import prices


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    prices.unpriced.clear()
    guard.faults.clear()
    yield
    tollspan.uninstrument()


def found(name: str, checks: Any = None) -> list[tuple[str, str]]:
    """(state, text) of the checks called `name`."""
    if checks is None:
        checks = doctor.report()["checks"]
    rows = [check if isinstance(check, dict) else vars_of(check) for check in checks]
    return [(row["state"], row["text"]) for row in rows if row["name"] == name]


def vars_of(check: checkup.Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state, "text": check.text}


def ask(client: openai.OpenAI, model: str = "gpt-4o-mini") -> None:
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="test", max_retries=0) as client:
        yield client


def test_before_instrument_it_says_so() -> None:
    ((state, text),) = found("patches")
    assert state == "bad"
    assert "has not run" in text


def test_our_patches_are_named(provider: TracerProvider) -> None:
    tollspan.instrument(tracer_provider=provider)

    ((state, text),) = found("openai")
    assert state == "ok"
    assert "AsyncAPIClient.request" in text  # the first by name: of many the rest is counted


def test_a_patch_that_is_gone_is_seen(provider: TracerProvider) -> None:
    tollspan.instrument(tracer_provider=provider, providers=["anthropic"])

    assert found("openai") == [("bad", "imported, but not patched by tollspan")]


def test_patches_of_others_are_named(
    provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openai.resources.chat.completions import Completions

    inside = Completions.create

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return inside(*args, **kwargs)

    theirs = FunctionType(
        wrapper.__code__,
        {"__name__": "openinference.instrumentation.openai"},
        closure=wrapper.__closure__,
    )
    monkeypatch.setattr(Completions, "create", functools.wraps(inside)(theirs))
    tollspan.instrument(tracer_provider=provider)

    ((state, text),) = found("openai")
    assert state == "warn"
    assert "also by OpenInference" in text


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("opentelemetry.instrumentation.genai.openai.patch", "OpenTelemetry genai"),
        ("opentelemetry.instrumentation.openai.v1", "OpenLLMetry"),
        ("openlit.instrumentation.openai", "OpenLIT"),
        ("ddtrace.contrib.internal.openai.patch", "Datadog"),
        ("tollspan.instrumentation._engine", "tollspan"),
        ("somebody.else", "somebody"),
    ],
)
def test_tools_are_known_by_their_modules(module: str, name: str) -> None:
    assert layers.tool(module) == name


def test_the_official_instrumentation_is_recognised_on_the_real_sdk(
    provider: TracerProvider,
) -> None:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    tollspan.instrument(tracer_provider=provider)
    official = OpenAIInstrumentor()
    official.instrument(tracer_provider=provider)
    try:
        ((state, text),) = found("openai")
    finally:
        official.uninstrument()

    assert state == "warn"
    assert "also by OpenTelemetry genai" in text


def test_every_sdk_is_known_that_can_be_patched(provider: TracerProvider) -> None:
    import groq  # noqa: F401

    (text,) = (text for _, text in found("sdks", doctor.examination().checks))
    for sdk in ("openai ", "groq ", "mistralai ", "google-genai ", "botocore "):
        assert sdk in text

    tollspan.instrument(tracer_provider=provider, providers=["openai"])
    assert found("groq") == [("bad", "imported, but not patched by tollspan")]
    tollspan.instrument(tracer_provider=provider)
    ((state, text),) = found("groq")
    assert (state, "SyncAPIClient.request" in text) == ("ok", True)


def test_an_sdk_that_is_too_old_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    old = PROVIDERS["groq"]._replace(requires=("groq >= 9000",))
    monkeypatch.setattr(checkup, "PROVIDERS", {**PROVIDERS, "groq": old})

    (said,) = (text for state, text in found("sdks", doctor.examination().checks) if state != "ok")
    assert "is older than 9000, the oldest that is supported: its calls are not seen" in said


def test_the_default_sampler_is_no_cause_for_alarm() -> None:
    tollspan.instrument(tracer_provider=TracerProvider(shutdown_on_exit=False))

    assert found("sampler") == [("ok", "ParentBased AlwaysOnSampler: every call is recorded")]


@pytest.mark.parametrize(
    ("root", "state"), [(ALWAYS_OFF, "warn"), (TraceIdRatioBased(0.5), "warn")]
)
def test_what_a_parents_sampler_begins_with_decides(root: Sampler, state: str) -> None:
    assert checkup.sampler(ParentBased(root).get_description()).state == state


def test_an_exporter_that_was_shut_down_in_order_is_fine(client: openai.OpenAI) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    tollspan.instrument(tracer_provider=provider)
    ask(client)
    provider.shutdown()

    ((state, text),) = found("exporter")
    assert state == "ok"
    assert "does not run" not in text


def test_a_ratio_sampler_is_warned_of(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(sampler=TraceIdRatioBased(0.1), shutdown_on_exit=False)
    tollspan.instrument(tracer_provider=provider)

    ((state, text),) = found("sampler")
    assert state == "warn"
    assert "0.1" in text


def test_spans_that_arrive_are_counted(client: openai.OpenAI) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    tollspan.instrument(tracer_provider=provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    ask(client)

    sent = len(exporter.get_finished_spans())
    ((state, text),) = found("exporter")
    assert (state, text) == ("ok", f"InMemorySpanExporter: {sent} spans sent, 0 waiting")
    assert doctor.report()["process"]["calls"] == 1


def test_models_without_a_price_are_named(provider: TracerProvider, client: openai.OpenAI) -> None:
    tollspan.instrument(tracer_provider=provider)
    ask(client, "our-own-model")
    ask(client, "our-own-model")

    ((state, text),) = found("unpriced")
    assert state == "warn"
    assert "our-own-model: no price for 2 of its calls" in text
    assert doctor.report()["process"]["unpriced"][0]["calls"] == 2


@pytest.mark.quiet
def test_swallowed_faults_are_named(provider: TracerProvider) -> None:
    tollspan.instrument(tracer_provider=provider)
    with guard.quietly:
        raise KeyError("a fault of ours")

    ((state, text),) = found("faults")
    assert state == "warn"
    assert "KeyError at" in text


@pytest.mark.quiet
def test_a_check_that_fails_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[checkup.Check]:
        raise OSError("a fault of ours")

    monkeypatch.setattr(checkup, "sdks", broken)

    names = {check.name for check in doctor.examination().checks}
    assert "settings" in names


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_worker_knows_its_parent_and_exports(client: openai.OpenAI) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    tollspan.instrument(tracer_provider=provider)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        report = doctor.report()
        os.write(into, json.dumps([report["process"]["forked"], found("fork")]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    forked, fork = json.loads(os.read(out, 10_000))
    provider.shutdown()

    assert forked is True
    assert fork[0][0] == "ok"
    assert f"worker of process {os.getpid()}" in fork[0][1]


def test_the_environment_names_a_dead_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

    ((state, text),) = found("exporter", doctor.examination().checks)
    assert state == "bad"
    assert "nothing listens at http://127.0.0.1:9" in text
    assert "secret" not in text


def test_the_environment_names_a_collector_that_takes_spans(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

        assert found("exporter", doctor.examination().checks) == [
            ("ok", f"{receiver.url} takes spans (otlp_proto_http)")
        ]
        assert receiver.requests == 1


def test_the_local_stack_is_asked_at_its_own_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("TOLLSPAN_HTTP_PORT", receiver.url.rpartition(":")[2])
        config.reload()

        (state, text), *_ = found("exporter", doctor.examination().checks)
        assert (state, "takes spans" in text) == ("ok", True)


def test_the_environment_names_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "_PROBE_S", 0.3)
    with Receiver(hang=True) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

        ((state, text),) = found("exporter", doctor.examination().checks)

    assert state == "bad"
    assert "refuses spans" in text


@pytest.mark.parametrize(
    ("spelled", "protocol", "advice"),
    [
        ("http://{}", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        ("{}", "http/protobuf", "Write http://{}"),
    ],
)
def test_where_another_spelling_is_taken_it_says_which(
    spelled: str, protocol: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "_TRY_S", 60)  # the first that is tried is taken
    with Receiver() as receiver:
        host = receiver.url.partition("://")[2]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", spelled.format(host))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)

        ((state, text),) = found("exporter", doctor.examination().checks)

    assert state == "bad"
    assert text.endswith(advice.format(host))


def test_a_server_that_is_no_receiver_is_said_to_be_none(
    chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", chaos.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")

    ((state, text),) = found("exporter", doctor.examination().checks)

    assert state == "bad"
    assert text.endswith("Something else than an OTLP receiver answers there: check host and port")


def test_other_instrumentations_that_are_installed_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doubled = found("doubles", doctor.examination().checks)
    for package in ("genai-openai", "google-genai"):
        assert any(f"opentelemetry-instrumentation-{package}" in text for _, text in doubled)
    assert {state for state, _ in doubled} == {"warn"}

    names = [text.rpartition("=")[2] for _, text in doubled]
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", ", ".join(names))
    assert [state for state, _ in found("doubles", doctor.examination().checks)] == ["ok"]


def test_native_tracing_of_the_anthropic_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [state for state, _ in found("anthropic", doctor.examination().checks)] == ["ok"]

    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "false")
    assert found("anthropic", doctor.examination().checks) == []


@pytest.mark.parametrize(
    ("variable", "value", "name", "state"),
    [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "sampler", "warn"),
        ("OTEL_TRACES_SAMPLER", "always_off", "sampler", "warn"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_on", "sampler", "ok"),
        ("OTEL_TRACES_EXPORTER", "none", "exporter", "warn"),
        ("OTEL_SDK_DISABLED", "true", "exporter", "warn"),
        ("TOLLSPAN_METRICS", "perhaps", "settings", "bad"),
        ("TOLLSPAN_TENNANT", "acme", "settings", "warn"),
        ("TOLLSPAN_DISABLED", "true", "settings", "warn"),
        ("TOLLSPAN_PRICES", "/no/such/file.toml", "prices", "bad"),
        ("TOLLSPAN_BUDGETS", "/no/such/file.toml", "budgets", "bad"),
        ("TOLLSPAN_BACKENDS", "/no/such/file.toml", "backends", "bad"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "exporter", "bad"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests,tollspan_openai", "sdks", "warn"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", "sdks", "warn"),
    ],
)
def test_variables_that_matter(
    variable: str, value: str, name: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    config.reload()

    assert state in {each for each, _ in found(name, doctor.examination().checks)}


def test_the_table_is_readable() -> None:
    examined = doctor.Examination(
        {"tollspan": "1"},
        (checkup.Check("a", "ok", "fine"), checkup.Check("longer", "bad", "first\nsecond")),
    )

    assert doctor.as_table(examined) == (
        "tollspan 1\n\n✓ ok    a       fine\n✗ bad   longer  first\n                second"
    )


def test_a_name_that_somebody_sent_moves_no_cursor() -> None:
    """`tollspan up` tells which models have no price; anybody who may send spans names them."""
    evil = checkup.Check(
        "unpriced", "warn", "openai/\x1b]0;owned\x07\x1b[2J\u202e: no price\nadd it"
    )

    first, second = doctor.as_table(doctor.Examination({}, (evil,))).splitlines()[-2:]
    assert first.endswith("no price") and second.endswith("add it")
    assert first.isprintable()


PROGRAM = """
import openai, tollspan
tollspan.instrument()
client = openai.OpenAI(api_key="test", max_retries=0)
client.chat.completions.create(model="our-own-model", messages=[])
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["file", "-"])
def test_a_process_writes_its_report_at_exit(where: str, chaos: Chaos, tmp_path: Path) -> None:
    file = tmp_path / "reports.jsonl"
    with Receiver() as receiver:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={
                    **environment(),
                    "OPENAI_BASE_URL": chaos.openai_base_url,
                    "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                    "TOLLSPAN_DOCTOR": str(file) if where == "file" else "-",
                },
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
        sent = len(receiver.spans) // 2

    if where == "-":
        assert "our-own-model: no price for 1 of its calls" in done.stderr
        return
    first, second = (json.loads(line)["process"] for line in file.read_text().splitlines())
    assert first["pid"] != second["pid"]
    assert first["calls"] == 1
    assert first["deliveries"][0]["sent"] == sent
    assert first["faults"] == {}
