"""A process that ends without `atexit` has told of its calls: children, workers of a pool, a server on
a signal, and whoever calls `flush`."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from otlp import Receiver

import tollspan
from tollspan.chaos import Chaos
from tollspan.launcher import exporters, leaving, pools

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

POOL = """
import multiprocessing, sys
import openai, tollspan
from tollspan.launcher import pools

tollspan.instrument()
pools.HELD_S = 60  # on a busy machine too
url, method = sys.argv[1:]

def ask(_):
    with openai.OpenAI(base_url=url, api_key="k") as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=[])

if __name__ == "__main__":
    with multiprocessing.get_context(method).Pool(1) as pool:
        pool.map(str, range(3))
        pool.map(ask, range(3), chunksize=1)
"""

AT_ONCE = """
import os, sys
import openai, tollspan
tollspan.instrument()
with openai.OpenAI(base_url=sys.argv[1], api_key="k") as client:
    client.chat.completions.create(model="gpt-4o-mini", messages=[])
os._exit(0 if tollspan.flush(60) else 1)
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


def run(receiver: Receiver, *arguments: str) -> None:
    """Run a program to its end, which is a quiet one."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        env=environment(receiver),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def calls(receiver: Receiver) -> int:
    return sum(span.name.startswith("chat") for span in receiver.spans)


@pytest.mark.slow
def test_forked_children_tell_of_their_calls(chaos: Chaos) -> None:
    with Receiver() as receiver:
        run(receiver, "-c", CHILDREN, chaos.openai_base_url)
        assert calls(receiver) == 5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_pool_tell_of_a_task_before_they_can_be_terminated(
    chaos: Chaos, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(POOL)
    with Receiver() as receiver:
        run(receiver, str(program), chaos.openai_base_url, method)
        assert calls(receiver) == 3


@pytest.mark.slow
def test_a_program_that_flushes_may_end_as_it_likes(chaos: Chaos) -> None:
    with Receiver() as receiver:
        run(receiver, "-c", AT_ONCE, chaos.openai_base_url)
        assert calls(receiver) == 1


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
        return self.released.wait(300)


@pytest.fixture
def hanging() -> Iterator[None]:
    provider = Hanging()
    tollspan.instrument(tracer_provider=provider)
    yield
    provider.released.set()
    if leaving._telling is not None:
        leaving._telling.join()
    tollspan.uninstrument()


@pytest.mark.usefixtures("hanging")
def test_a_collector_that_hangs_holds_no_end_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters, "EXIT_MS", 50)
    before = time.monotonic()
    leaving.tell()
    assert time.monotonic() - before < 10


@pytest.mark.usefixtures("hanging")
def test_flushes_that_hang_say_so_and_do_not_pile_up() -> None:
    assert [tollspan.flush(0.05) for _ in range(3)] == [False] * 3
    assert sum(each.name == "tollspan-tell" for each in threading.enumerate()) <= 1


@pytest.mark.parametrize("timeout_s", [-1, "5", None, True, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused_with_an_example(timeout_s: Any) -> None:
    with pytest.raises(ValueError, match=r"write a number of seconds, e\.g\. flush\(2\.0\)"):
        tollspan.flush(timeout_s)


def test_a_collector_that_does_not_answer_holds_a_few_results_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled = itertools.count()
    monkeypatch.setattr(pools._Held, "_settled", staticmethod(lambda: next(settled)))
    waited: list[float] = []
    held = pools._Held(lambda seconds: bool(waited.append(seconds)))
    for _ in range(9):
        held.tell()
    assert waited == [pools.HELD_S] * pools.TRIES


def test_without_tollspan_at_work_nothing_is_told() -> None:
    tollspan.uninstrument()
    leaving.tell()
    assert tollspan.flush(60)
