"""Every collector configuration, also those in documents, is one that the real collector takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
import yaml
from needs import ROOT, missing
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import StatusCode
from otlp import Receiver
from pipeline_processes import CONFIGS, collector, free_port, otelcol, until

pytestmark = pytest.mark.slow

WHOLE = [
    "agent/agent.yaml",
    "gateway/gateway.yaml",
    "after-stage/after-stage.yaml",
    "kafka/to-kafka.yaml",
    "kafka/from-kafka.yaml",
    "health/health.yaml",
]
ADDED = {
    "sampling/sampling.yaml": "after-stage/after-stage.yaml",
    "secured/gateway-tls.yaml": "gateway/gateway.yaml",
    "secured/agent-tls.yaml": "agent/agent.yaml",
    "secured/stage-token.yaml": "gateway/gateway.yaml",
    "through-stage/through-stage.yaml": "agent/agent.yaml",
}
"""What is added to which."""

ONLY_IN_CONTRIB = {
    # https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/receiver
    "http_check": {"collection_interval", "initial_delay", "targets", "metrics"},
    "icmpcheckreceiver": {"collection_interval", "initial_delay", "targets", "metrics"},
}
"""Receivers that builder.yaml cannot have, as Go proxies do not all carry them; and their keys."""

DOCUMENTS = sorted([*CONFIGS.rglob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
SNIPPET = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets() -> Iterator[tuple[str, str]]:
    """Collector configurations in documents: YAML blocks with a collector's top-level keys."""
    for document in DOCUMENTS:
        for number, text in enumerate(SNIPPET.findall(document.read_text()), 1):
            found = yaml.safe_load(text)
            if isinstance(found, dict) and found.keys() & {"receivers", "exporters", "processors"}:
                yield f"{document.relative_to(ROOT)}:{number}", text


def validated(files: Sequence[Path], folder: Path) -> str:
    """What `otelcol validate` complains of, or ''."""
    command = [str(otelcol()), "validate"]
    for file in files:
        command += ["--config", str(file)]
    environ = {**os.environ, "TOLLSPAN_QUEUE_DIR": str(folder), "TOLLSPAN_TOKEN": "secret"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    said = done.stderr if done.returncode or "deprecated" in done.stderr else ""
    return said or ("" if done.returncode == 0 else "failed")


def without_absent(text: str) -> str:
    """`text` with receivers that only otelcol-contrib has replaced by one that is everywhere."""
    config = yaml.safe_load(text)
    absent = config.get("receivers", {}).keys() & ONLY_IN_CONTRIB.keys()
    for name in absent:
        strange = config["receivers"][name].keys() - ONLY_IN_CONTRIB[name]
        assert not strange, f"{name}: {strange}"
        config["receivers"][name.replace(name, f"otlp/{name}")] = {"protocols": {"grpc": None}}
        del config["receivers"][name]
    for pipeline in config["service"]["pipelines"].values():
        pipeline["receivers"] = [
            f"otlp/{name}" if name in absent else name for name in pipeline["receivers"]
        ]
    return yaml.safe_dump(config)


def test_every_file_is_tested() -> None:
    found = {
        str(file.relative_to(CONFIGS))
        for file in CONFIGS.rglob("*.yaml")
        if file.parent != CONFIGS and file.parent.name not in ("clickhouse", "compose")
    }

    assert found == {*WHOLE, *ADDED}


@pytest.mark.parametrize("name", WHOLE)
def test_a_configuration_is_valid(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(without_absent((CONFIGS / name).read_text()))

    assert validated([file], tmp_path) == ""


@pytest.mark.parametrize("name", ADDED)
def test_an_addition_is_valid_with_what_it_is_added_to(name: str, tmp_path: Path) -> None:
    assert validated([CONFIGS / ADDED[name], CONFIGS / name], tmp_path) == ""


def test_snippets_of_documents_are_valid(tmp_path: Path) -> None:
    """A snippet that begins with a comment `# added to FILE` is checked together with that file."""
    wrong = {}
    for where, text in snippets():
        file = tmp_path / "snippet.yaml"
        file.write_text(text)
        onto = re.match(r"# added to (\S+)", text)
        files = [CONFIGS / onto[1], file] if onto else [file]
        if said := validated(files, tmp_path):
            wrong[where] = said[-500:]

    assert wrong == {}


def test_the_check_would_notice(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text((CONFIGS / "agent/agent.yaml").read_text().replace("queue_size", "queue_sizes"))

    assert "queue_sizes" in validated([file], tmp_path)


def test_nothing_is_called_by_a_name_that_is_on_its_way_out() -> None:
    """Names of 0.156 and newer: `load_balancing`, not `loadbalancing`."""
    old = ("loadbalancing:", "prometheusremotewrite:", "spanmetrics:", "otlp/", "httpcheck:")
    for name in (*WHOLE, *ADDED):
        config = yaml.safe_load((CONFIGS / name).read_text())
        # A receiver is still called `otlp`.
        received = [each.replace("otlp/", "otlp ") for each in config.get("receivers", {})]
        names = [*config.get("exporters", {}), *received]
        assert not [each for each in names if f"{each}:".startswith(old)], name


@pytest.mark.parametrize("name", [each for each in WHOLE if "health" not in each])
def test_what_is_tried_again_for_ever_is_said_in_the_log(name: str) -> None:
    """Collectors say at info why a batch waits, and never anything else."""
    config = yaml.safe_load((CONFIGS / name).read_text())

    assert config["service"]["telemetry"]["logs"] == {"level": "${env:TOLLSPAN_LOG_LEVEL:-info}"}


@pytest.mark.parametrize("name", [*WHOLE, *ADDED])
def test_every_folder_says_where_it_runs_and_why(name: str) -> None:
    said = (CONFIGS / name).with_name("README.md").read_text()

    assert Path(name).name in said


def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load((CONFIGS / "builder.yaml").read_text()))


def test_the_collector_is_what_the_manifest_says() -> None:
    told = subprocess.run([otelcol(), "components"], capture_output=True, text=True, check=True)
    built = yaml.safe_load(told.stdout)
    for kind in ("receivers", "processors", "exporters", "connectors", "extensions"):
        names = {each["name"] for each in built[kind]}
        assert len(names) == len(manifest()[kind]), kind


# --- who may send -----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_gateway_over_a_network_takes_only_whom_it_knows(password: str, tmp_path: Path) -> None:
    """agent-tls.yaml and gateway-tls.yaml with a real certificate and two real collectors."""
    if shutil.which("openssl") is None:
        missing("openssl", "no openssl on the PATH")
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key]
        + ["-out", certificate, "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    known = tmp_path / "htpasswd"
    known.write_text(f"agent-1:{{SHA}}{b64encode(sha1(b'right').digest()).decode()}\n")
    shown = tmp_path / "password"
    shown.write_text(password)
    sending, between = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with Receiver() as receiver:
        onward = tmp_path / "onward.yaml"
        onward.write_text(
            f"exporters: {{otlp_http: {{endpoint: '{receiver.url}'}}}}\n"
            "service: {pipelines: {traces: {exporters: [otlp_http]}}}\n"
        )
        gateway = collector(
            "gateway",
            tmp_path,
            "gateway/gateway.yaml",
            "secured/gateway-tls.yaml",
            str(onward),
            TOLLSPAN_GATEWAY_GRPC=between,
            TOLLSPAN_GATEWAY_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_CERT=certificate,
            TOLLSPAN_KEY=key,
            TOLLSPAN_HTPASSWD=known,
        )
        agent = collector(
            "agent",
            tmp_path,
            "agent/agent.yaml",
            "secured/agent-tls.yaml",
            TOLLSPAN_AGENT_GRPC=sending,
            TOLLSPAN_AGENT_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_GATEWAY=between,
            TOLLSPAN_CA=certificate,
            TOLLSPAN_AGENT_PASSWORD_FILE=shown,
        )
        with ExitStack() as ending:
            for each in (gateway.start(), agent.start()):
                ending.callback(each.end)
            gateway.ready()
            agent.ready()
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://{sending}", insecure=True)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            provider.get_tracer("t").start_span("hello").end()
            provider.shutdown()
            if password == "right":
                until(lambda: receiver.spans, "the span came through")
            else:
                until(lambda: "Unauthenticated" in agent.log.read_text(), "it was refused")

    assert [span.name for span in receiver.spans] == (["hello"] if password == "right" else [])


# --- what is too large ------------------------------------------------------------------------------


def test_a_span_of_megabytes_comes_through_with_all_that_was_batched_with_it(
    tmp_path: Path,
) -> None:
    """From the agent to the gateway, as large as the agent takes: a batch that could not be split was
    dropped, and counted nowhere. While the gateway is away the agent says so."""
    sending, between = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with Receiver() as receiver:
        onward = tmp_path / "onward.yaml"
        onward.write_text(
            f"exporters: {{otlp_http: {{endpoint: '{receiver.url}'}}}}\n"
            "service: {pipelines: {traces: {exporters: [otlp_http]}}}\n"
        )
        gateway = collector(
            "gateway",
            tmp_path,
            "gateway/gateway.yaml",
            str(onward),
            TOLLSPAN_GATEWAY_GRPC=between,
            TOLLSPAN_GATEWAY_HTTP=f"127.0.0.1:{free_port()}",
        )
        agent = collector(
            "agent",
            tmp_path,
            "agent/agent.yaml",
            TOLLSPAN_AGENT_GRPC=sending,
            TOLLSPAN_AGENT_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_GATEWAY=between,
        )
        with ExitStack() as ending:
            ending.callback(agent.start().end)
            agent.ready()
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://{sending}", insecure=True)
            provider.add_span_processor(BatchSpanProcessor(exporter))
            tracer = provider.get_tracer("t")
            for name in ("before", "huge", "behind"):
                said = {"x": "a" * (15_900_000 if name == "huge" else 1)}
                tracer.start_span(name, attributes=said).end()
            provider.shutdown()
            until(
                lambda: re.search("Exporting failed.*connection refused", agent.log.read_text()),
                "the agent says why it waits",
            )
            ending.callback(gateway.start().end)
            until(lambda: len(receiver.spans) == 3, "all three spans came through")

    assert {span.name for span in receiver.spans} == {"before", "huge", "behind"}


# --- what sampling keeps ---------------------------------------------------------------------------


def test_sampling_keeps_what_is_dear_failed_or_strange(tmp_path: Path) -> None:
    """The after-stage with a real exporter in ClickHouse's place, deciding after a second."""
    grpc = f"127.0.0.1:{free_port()}"
    with Receiver() as receiver:
        quick = tmp_path / "quick.yaml"
        quick.write_text(
            f"exporters: {{otlp_http: {{endpoint: '{receiver.url}'}}}}\n"
            "processors: {tail_sampling: {decision_wait: 1s}}\n"
            "service: {pipelines: {traces: {exporters: [otlp_http]}, logs: {exporters: [otlp_http]}}}\n"
        )
        after = collector(
            "after-stage",
            tmp_path,
            "after-stage/after-stage.yaml",
            "sampling/sampling.yaml",
            str(quick),
            TOLLSPAN_AFTER_STAGE_GRPC=grpc,
            TOLLSPAN_AFTER_STAGE_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_PROMETHEUS=f"127.0.0.1:{free_port()}",
        )
        after.start()
        try:
            after.ready()
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://{grpc}", insecure=True)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            tracer = provider.get_tracer("t")
            for name, attributes in KEPT.items():
                tracer.start_span(name, attributes=attributes).end()
            failed = tracer.start_span("failed")
            failed.set_status(StatusCode.ERROR)
            failed.end()
            for _ in range(60):
                tracer.start_span("ordinary", attributes=ORDINARY).end()
            provider.shutdown()
            until(
                lambda: {*KEPT, "failed"} <= {span.name for span in receiver.spans},
                "what must be kept came through",
            )
        finally:
            after.end()  # decides on what it still holds

    ordinary = sum(span.name == "ordinary" for span in receiver.spans)
    assert ordinary < 30, "a tenth of 60 is kept, give or take"


ORDINARY: dict[str, Any] = {"tollspan.status": "success", "gen_ai.usage.cost.amount": 0.001}
KEPT: dict[str, dict[str, Any]] = {
    "dear": {**ORDINARY, "gen_ai.usage.cost.amount": 0.05},
    "wasted": {**ORDINARY, "tollspan.cost.wasted_usd": 0.0001},
    "unpriced": {**ORDINARY, "tollspan.cost.grade": "unpriced"},
    "cancelled": {"tollspan.status": "cancelled"},
    "fallback": {**ORDINARY, "tollspan.fallback": True},
    "retried": {**ORDINARY, "tollspan.app_attempts": 2},
}


def test_sampling_leaves_records_and_metrics_alone() -> None:
    """Only spans pass it: records are the money."""
    sampling = yaml.safe_load((CONFIGS / "sampling/sampling.yaml").read_text())

    assert sampling["service"]["pipelines"].keys() == {"traces"}
    for name in {*WHOLE, *ADDED} - {"sampling/sampling.yaml"}:
        assert "sampl" not in (CONFIGS / name).read_text(), name


# --- what the agent takes away --------------------------------------------------------------------


def test_content_and_keys_do_not_leave_the_machine(tmp_path: Path) -> None:
    """The agent with a real exporter: names and numbers pass, what people wrote does not."""
    grpc = f"127.0.0.1:{free_port()}"
    with Receiver() as receiver:
        http = tmp_path / "http.yaml"
        http.write_text(
            f"exporters: {{otlp_http: {{endpoint: '{receiver.url}'}}}}\n"
            "service: {pipelines: {traces: {exporters: [otlp_http]}}}\n"
        )
        agent = collector(
            "agent",
            tmp_path,
            "agent/agent.yaml",
            str(http),
            TOLLSPAN_AGENT_GRPC=grpc,
            TOLLSPAN_AGENT_HTTP=f"127.0.0.1:{free_port()}",
        )
        agent.start()
        try:
            agent.ready()
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://{grpc}", insecure=True)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            with provider.get_tracer("t").start_as_current_span("chat", attributes=SAID) as span:
                span.add_event("gen_ai.user.message", {"content": SECRET, "index": 0})
            until(lambda: receiver.spans, "the span came through")
            provider.shutdown()
        finally:
            agent.end()

    (got,) = receiver.spans
    assert got.attributes == {
        "gen_ai.prompt.name": "summary",
        "gen_ai.prompt.version": "v3",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.cost.amount": 0.25,
        "tollspan.tenant": "acme",
        "url.full": "https://api.example/v1?key=****",
        "error.message": "Incorrect API key provided: ****",
    }
    for body in receiver.bodies:
        assert SECRET.encode() not in body


SECRET = "the patient said"
SAID: dict[str, Any] = {
    "gen_ai.prompt.name": "summary",
    "gen_ai.prompt.version": "v3",
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.cost.amount": 0.25,
    "tollspan.tenant": "acme",
    "gen_ai.input.messages": SECRET,
    "gen_ai.output.messages": SECRET,
    "gen_ai.system_instructions": SECRET,
    "gen_ai.tool.call.arguments": SECRET,
    "gen_ai.prompt": SECRET,
    "gen_ai.prompt.0.content": SECRET,
    "gen_ai.completion.0.content": SECRET,
    "input.value": SECRET,
    "output.value": SECRET,
    "llm.input_messages.0.message.content": SECRET,
    "traceloop.entity.input": SECRET,
    "langfuse.observation.output": SECRET,
    "url.full": "https://api.example/v1?key=AIzaSyA0123456789012345678901234567890",
    "error.message": "Incorrect API key provided: sk-proj-abcdefghijklmnopqrstuvwxyz",
}
