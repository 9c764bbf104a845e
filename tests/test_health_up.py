"""`tollspan up` probes the backends of a file, tells of changes, and says at `/v1/health` how they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from backend_process import BackendProcess

from tollspan.limits.circuits import Policy
from tollspan.limits.follow import Following
from tollspan.limits.watched import Known, Watched, Where

pytestmark = pytest.mark.slow

INTERVAL_S, TIMEOUT_S = 0.2, 1.0
FILE = f"""
[[backends]]
name = "engine"
provider = "openai"
url = "http://{{host}}"
checks = [{{{{ kind = "http", path = "/__chaos__/log" }}}}]
interval_s = {INTERVAL_S}
timeout_s = {TIMEOUT_S}
up_after = 2
down_after = 3
"""
COMMAND = [sys.executable, "-m", "tollspan.launcher.command"]
FREE = ["--port", "0", "--grpc-port", "0", "--http-port", "0"]


class Hook:
    """A webhook that refuses the first post, and then takes what comes."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.refused = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if not hook.refused:
                    hook.refused += 1
                    self.send_response(503)
                else:
                    hook.heard.append((self.headers.get("x-secret", ""), body))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/changes?team=ops"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture(scope="module")
def backend() -> Iterator[BackendProcess]:
    with BackendProcess() as running:
        yield running


@pytest.fixture(scope="module")
def page(
    hook: Hook, backend: BackendProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a `tollspan up` that probes `backend` and tells `hook`."""
    folder = tmp_path_factory.mktemp("up")
    file = folder / "backends.toml"
    file.write_text(FILE.format(host=backend.name))
    process = subprocess.Popen(
        [*COMMAND, "up", *FREE, "--data-dir", str(folder / "ledger")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TOLLSPAN_BACKENDS": str(file),
            "TOLLSPAN_HEALTH_WEBHOOK": hook.url,
            "TOLLSPAN_HEALTH_WEBHOOK_HEADER": "x-secret: s3cret",
            "OTEL_METRICS_EXPORTER": "console",
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
        },
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    yield re.findall(r"http://127\.0\.0\.1:\d+", said)[0]
    process.terminate()
    printed, complaints = process.communicate(timeout=30)
    assert '"name": "tollspan.backend.up"' in printed
    assert '"name": "tollspan.backend.probe.duration"' in printed
    assert "backend engine is down" in complaints
    assert "s3cret" not in complaints


def asked(page: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{page}/v1/health", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def engine(page: str) -> dict[str, Any]:
    found: dict[str, Any] = asked(page)["backends"][0]
    return found


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def becomes(page: str, state: str) -> float:
    """When the backend's state became `state`, in seconds since the epoch."""
    eventually(lambda: engine(page)["probes"]["state"] == state)
    return datetime.fromisoformat(engine(page)["probes"]["since"]).timestamp()


def test_probes_follow_a_backend_that_dies_hangs_and_comes_back(
    page: str, backend: BackendProcess, hook: Hook
) -> None:
    becomes(page, "up")
    assert asked(page)["state"] == "up"
    before = time.time()
    backend.kill()
    down = becomes(page, "down")

    # Three probes, two pauses between them; a probe that was under way may count, and time to spare.
    assert 2 * INTERVAL_S * 0.9 - 0.05 <= down - before < 3 * 1.1 * INTERVAL_S + 20
    found = engine(page)
    assert found["state"] == "down"
    assert found["reason"] == (
        "3 probes in a row failed: http GET /__chaos__/log: connection refused"
    )
    backend.start()
    becomes(page, "up")
    before = time.time()
    backend.hang()
    down = becomes(page, "down")

    assert down - before < 3 * (1.1 * INTERVAL_S + TIMEOUT_S) + 20
    assert engine(page)["reason"].endswith(f"no answer in {TIMEOUT_S:g} s")
    backend.go_on()
    becomes(page, "up")

    eventually(lambda: len(engine(page)["history"]) == 5)
    assert [each["state"] for each in engine(page)["history"]] == ["up", "down"] * 2 + ["up"]


def test_the_webhook_hears_each_change_with_the_secret_also_when_it_refused_at_first(
    page: str, hook: Hook
) -> None:
    eventually(lambda: len(hook.heard) == 5)
    secrets, bodies = zip(*hook.heard, strict=True)

    assert hook.refused == 1
    assert set(secrets) == {"s3cret"}
    assert [each["state"] for each in bodies] == ["up", "down"] * 2 + ["up"]
    assert bodies[1]["backend"] == "engine"
    assert bodies[1]["provider"] == "openai"
    assert bodies[1]["of"] == "probe"
    assert bodies[1]["state_before"] == "up"
    assert bodies[1]["text"].startswith("backend engine is down, was up: 3 probes in a row failed")


def test_the_command_says_the_same_and_its_exit_code_too(
    page: str, backend: BackendProcess
) -> None:
    def said(*options: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "health", "--url", page]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    command = [*COMMAND, "health", "--url", page, "--watch", "--interval", "0.1"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    becomes(page, "up")
    well, first = said(), watching.stdout.readline()
    backend.kill()
    becomes(page, "down")
    bad, as_json, second = said(), said("--json"), watching.stdout.readline()
    watching.terminate()
    watching.communicate()
    backend.start()

    assert [line.split("\t")[4] for line in (first, second)] == ["up", "down"]
    assert well.returncode == 0
    names, line = [each.split("\t") for each in well.stdout.splitlines()]
    assert dict(zip(names, line, strict=True))["state"] == "up"
    assert bad.returncode == 1
    assert "\tdown\t" in bad.stdout
    assert json.loads(as_json.stdout)["state"] == "down"
    assert as_json.returncode == 1


def test_another_process_takes_over_what_the_probes_say(page: str, backend: BackendProcess) -> None:
    becomes(page, "up")
    known = Known(lambda *_: None, Policy(cool_down_s=300))
    following = Following(known, page, every_s=0.05)
    following.start()
    try:
        eventually(lambda: [each.probe for each in map(Watched.snapshot, known.every())] == ["up"])
        (engine,) = known.called("engine")
        backend.kill()
        eventually(lambda: engine.snapshot().state == "open")
        backend.start()
        eventually(lambda: engine.snapshot().state == "half_open")
    finally:
        following.stop()

    assert engine.where == Where("openai", "127.0.0.1", backend.port)


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "backends.toml"
    file.write_text('[[backends]]\nname = "a"\n')
    run = subprocess.run(
        [*COMMAND, "up", *FREE, "--data-dir", "d"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TOLLSPAN_BACKENDS": str(file)},
    )

    assert run.returncode == 2
    assert run.stderr.strip() == (
        f"tollspan: Entry 1 of the file of backends {file} has no url: "
        'write url = "https://host/v1", without user, query or fragment.'
    )
