"""No line changed: real programs under `opentelemetry-instrument`, with real workers, on real wires."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from otlp import Receiver

from tollspan.chaos import Chaos, ok
from tollspan.config import environment

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
INSTRUMENT = [str(BIN / "opentelemetry-instrument")]
OTHERS_OFF = "openai,anthropic,google-genai,bedrock"
"""The official instrumentations of SDKs, which the development environment has too; they import them."""

NO_DISTRO = {"OTEL_PYTHON_DISTRO": "none", "OTEL_PYTHON_CONFIGURATOR": "none"}
"""Names of no distro and no configurator: the machinery then runs as if none were installed."""

ASK = """
import openai
client = openai.OpenAI(api_key="test", max_retries=0)
client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
"""

OWN_PROVIDER = """
import os
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "made-by-the-application"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(os.environ["MINE"] + "/v1/traces")))
trace.set_tracer_provider(provider)
"""

SERVICE = """
import fastapi, openai
app = fastapi.FastAPI()
client = openai.AsyncOpenAI(api_key="test", max_retries=0)

@app.get("/")
def ready():
    return "yes"

@app.get("/summaries/{document}")
async def summary(document: str):
    await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": document}]
    )
    return os.getpid()

import os
"""


@pytest.fixture
def environ(chaos: Chaos, receiver: Receiver) -> dict[str, str]:
    chaos.script(*[ok(input_tokens=1000, output_tokens=100)] * 100)
    return {
        **environment(),
        "PATH": f"{BIN}{os.pathsep}{environment().get('PATH', '')}",
        "OPENAI_BASE_URL": chaos.openai_base_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OTHERS_OFF,
        "TOLLSPAN_RAISE": "1",
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def run(command: Sequence[str], program: str, environ: dict[str, str]) -> str:
    """Run `program`, which must end well; its standard error."""
    done = subprocess.run(
        [*command, sys.executable, "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def the_call(receiver: Receiver) -> Any:
    (call,) = receiver.calls()
    assert call.attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.00021)
    assert call.attributes["tollspan.route"] == "openai/gpt-4o-mini"
    return call


@pytest.mark.parametrize("distro", [{}, NO_DISTRO], ids=["distro", "no distro"])
def test_opentelemetry_instrument(
    distro: dict[str, str], environ: dict[str, str], receiver: Receiver
) -> None:
    run(INSTRUMENT, ASK, {**environ, **distro, "OTEL_SERVICE_NAME": "shop"})

    call = the_call(receiver)
    assert call.resource["service.name"] == "shop"
    attempts = [span for span in receiver.spans if "tollspan.attempt" in span.attributes]
    assert [span.parent_id for span in attempts] == [call.span_id]


@pytest.mark.parametrize("distro", [{}, NO_DISTRO], ids=["distro", "no distro"])
def test_the_exporter_none_is_respected(
    distro: dict[str, str], environ: dict[str, str], receiver: Receiver
) -> None:
    run(INSTRUMENT, ASK, {**environ, **distro, "OTEL_TRACES_EXPORTER": "none"})

    assert receiver.requests == 0


def test_the_console_exporter_without_a_distro(environ: dict[str, str], receiver: Receiver) -> None:
    done = subprocess.run(
        [*INSTRUMENT, sys.executable, "-c", ASK],
        env={**environ, **NO_DISTRO, "OTEL_TRACES_EXPORTER": "console"},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    assert "gen_ai.usage.cost.amount" in done.stdout
    assert receiver.requests == 0


@pytest.mark.parametrize("command", [INSTRUMENT, []], ids=["instrumented", "import auto"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_provider_that_the_application_makes(
    command: list[str], order: str, environ: dict[str, str], receiver: Receiver
) -> None:
    """Without a distro the place is the application's; made before or after the SDK's import."""
    auto = "" if command else "import tollspan.auto\n"
    first, second = (OWN_PROVIDER, ASK) if order == "before" else (ASK, OWN_PROVIDER)
    program = f"{auto}{first}{second}"
    if order == "after":
        program = f"{auto}import openai\n{OWN_PROVIDER}{ASK}"
    with Receiver() as mine:
        said = run(command, program, {**environ, **NO_DISTRO, "MINE": mine.url})

        assert the_call(mine).resource["service.name"] == "made-by-the-application"
    assert receiver.calls() == []
    assert "Overriding" not in said


def test_a_disabled_instrumentation_stays_off(environ: dict[str, str], receiver: Receiver) -> None:
    off = f"{OTHERS_OFF},tollspan_openai"
    run(INSTRUMENT, ASK, {**environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": off})

    assert receiver.calls() == []


def test_import_auto_is_enough(environ: dict[str, str], receiver: Receiver) -> None:
    run([], f"import tollspan.auto\n{ASK}", environ)

    the_call(receiver)


def test_tollspan_run_is_enough(environ: dict[str, str], receiver: Receiver) -> None:
    run([sys.executable, "-m", "tollspan.launcher.command", "run", "--"], ASK, environ)

    the_call(receiver)


def test_beside_the_official_instrumentation_money_is_counted_once(
    environ: dict[str, str], receiver: Receiver
) -> None:
    run(INSTRUMENT, ASK, {**environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ""})

    costs = [
        span.attributes["gen_ai.usage.cost.amount"]
        for span in receiver.spans
        if "gen_ai.usage.cost.amount" in span.attributes
    ]
    assert costs == [pytest.approx(0.00021)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], environ: dict[str, str], port: int, folder: Path
) -> Iterator[None]:
    """A server process that answers on `port`; stopped as a supervisor would stop it."""
    (folder / "service.py").write_text(SERVICE)
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env=environ, cwd=folder, stdout=output, stderr=output, start_new_session=True
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while not answers(port):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)  # asking without a pause takes the processor from the server
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def asked(port: int, times: int) -> set[str]:
    """Ask the service; process ids of the workers that answered."""
    workers = set()
    for number in range(times):
        url = f"http://127.0.0.1:{port}/summaries/{number}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            workers.add(answer.read().decode())
    return workers


SERVERS = {
    "gunicorn": "gunicorn service:app -k asgi -w 2 -b 127.0.0.1:{port}",
    "gunicorn preload": "gunicorn service:app -k asgi -w 2 --preload -b 127.0.0.1:{port}",
    "uvicorn": "uvicorn service:app --workers 2 --port {port} --timeout-worker-healthcheck 60",
}


@pytest.mark.parametrize("distro", [{}, NO_DISTRO], ids=["distro", "no distro"])
@pytest.mark.parametrize("server", SERVERS)
def test_workers_export_their_calls_under_the_route_as_endpoint(
    server: str,
    distro: dict[str, str],
    environ: dict[str, str],
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    port = free_port()
    command = [*INSTRUMENT, *SERVERS[server].format(port=port).split()]
    with serving(command, {**environ, **distro}, port, tmp_path):
        workers = asked(port, 12)
        receiver.wait_for(lambda: len(receiver.calls()) == 12)

    calls = receiver.calls()
    assert {call.attributes["tollspan.endpoint_tag"] for call in calls} == {"/summaries/{document}"}
    assert len({call.trace_id for call in calls}) == 12
    assert len({call.attributes["tollspan.request_id"] for call in calls}) == 12
    assert sum(call.attributes["gen_ai.usage.cost.amount"] for call in calls) == pytest.approx(
        12 * 0.00021
    )
    assert workers
