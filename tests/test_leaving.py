"""A process that ends without `atexit` has told of its calls: forked children, a server on a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from otlp import Receiver

import tollspan
from tollspan.chaos import Chaos
from tollspan.launcher import exporters, leaving

CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import openai, tollspan

def ask(_=None):
    with openai.OpenAI(base_url=sys.argv[1], api_key="k") as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=[])

tollspan.instrument()
forks = multiprocessing.get_context("fork")
children = [forks.Process(target=ask) for _ in range(2)]
for each in children:
    each.start()
for each in children:
    each.join()
with ProcessPoolExecutor(1, mp_context=forks) as pool:
    list(pool.map(ask, range(3)))
"""

SERVER = """
import sys
import openai, tollspan, uvicorn
tollspan.instrument()
client = openai.AsyncOpenAI(base_url=sys.argv[1], api_key="k")

async def application(scope, receive, send):
    await client.chat.completions.create(model="gpt-4o-mini", messages=[])
    print("called", flush=True)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

Server(uvicorn.Config(application, port=0, lifespan="off", log_level="error")).run()
"""


def environment(receiver: Receiver) -> dict[str, str]:
    return os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",  # nothing goes out by itself in time
        "TOLLSPAN_RAISE": "",
    }


def calls(receiver: Receiver) -> int:
    return sum(span.name.startswith("chat") for span in receiver.spans)


@pytest.mark.slow
def test_forked_children_tell_of_their_calls(chaos: Chaos) -> None:
    with Receiver() as receiver:
        ended = subprocess.run(
            [sys.executable, "-c", CHILDREN, chaos.openai_base_url],
            env=environment(receiver),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert calls(receiver) == 5


@pytest.mark.slow
def test_a_server_that_a_signal_ends_tells_of_its_calls(chaos: Chaos) -> None:
    import httpx

    with Receiver() as receiver:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, chaos.openai_base_url],
            env=environment(receiver),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        port = int(server.stdout.readline())
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=60).status_code == 200
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=60)

        assert (server.returncode, said) == (-signal.SIGTERM, "")
        assert calls(receiver) == 1


class Hanging(TracerProvider):
    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.released = threading.Event()

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        return self.released.wait(30)


@pytest.fixture
def hanging() -> Iterator[None]:
    provider = Hanging()
    tollspan.instrument(tracer_provider=provider)
    yield
    provider.released.set()
    tollspan.uninstrument()


@pytest.mark.usefixtures("hanging")
def test_a_collector_that_hangs_holds_no_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters, "EXIT_MS", 50)
    before = time.monotonic()
    leaving.tell()
    assert time.monotonic() - before < 10


def test_without_tollspan_at_work_nothing_is_told() -> None:
    tollspan.uninstrument()
    leaving.tell()
