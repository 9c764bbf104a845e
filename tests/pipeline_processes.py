"""The production path as processes of its own: collectors, stages, Prometheus; and a ClickHouse.

The ClickHouse is the ledger of `tollspan up` with its HTTP endpoint taking INSERTs, in the process of
the test, so that a test can ask it, stop it, start it again and slow it down.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from needs import ROOT, missing
from starlette.types import Receive, Scope, Send

from tollspan.launcher._litellm import private_environment
from tollspan.local.clickhouse_http import clickhouse_http
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

CONFIGS = ROOT / "collector-config"
READY_WITHIN_S = 30.0

_ports = iter(random.sample(range(11_000, 32_000), 20_000))


def free_port() -> int:
    """A free port of 127.0.0.1 below those that the system gives to outgoing connections, so that it is
    still free when a process that was killed comes back to it."""
    for port in _ports:
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def otelcol() -> Path:
    """The collector that `.ci/otelcol` builds."""
    told = subprocess.run(
        [ROOT / ".ci" / "otelcol", "--path"], capture_output=True, text=True, check=True
    )
    program = Path(told.stdout.strip())
    if not program.is_file():
        missing("otelcol", "not in the cache; `.ci/otelcol` builds it (needs go 1.26)")
    return program


def go_client(*arguments: str) -> dict[str, Any]:
    """What tests/clickhouse_go says: clickhouse-go, as in the collector's exporter and Grafana."""
    told = subprocess.run(
        [ROOT / ".ci" / "clickhouse_go", "--path"], capture_output=True, text=True, check=True
    )
    program = Path(told.stdout.strip())
    if not program.is_file():
        missing("clickhouse-go", "not in the cache; `.ci/clickhouse_go` builds it (needs go 1.26)")
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


def prometheus() -> str:
    """Debian's Prometheus."""
    found = shutil.which("prometheus")
    return found or missing("prometheus", "no prometheus on the PATH (apt: prometheus)")


def until(holds: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    """What `holds` gives as soon as that is true; fails when it takes too long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within_s:.0f} s")


def get(url: str, timeout_s: float = 2.0) -> str:
    """The body of a 200, or ''."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=timeout_s) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.HTTPError):
        return ""


class Running:
    """A process that can be killed and started again as it was. `health`: URL that answers 200 when it is up."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        health: str,
        folder: Path,
        *,
        port: int = 0,
        telemetry: int = 0,
    ) -> None:
        self.name = name
        self.port = port
        """Where it listens, if it has one port that matters."""
        self.telemetry = telemetry
        """Where it tells its own metrics."""
        self._command = list(command)
        self._environ = {**private_environment(), **environ}
        self._health = health
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: Any) -> Self:
        """Start it, with these variables changed from now on; returns at once."""
        self._environ |= {name: str(value) for name, value in variables.items()}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command,
                env=self._environ,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        return self

    def ready(self) -> Self:
        """Wait until it answers."""
        assert self.process is not None

        def answers() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended:\n{self.said()}")
            return bool(get(self._health))

        try:
            until(answers, f"{self.name} answers", READY_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from None
        return self

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def kill(self) -> None:
        """SIGKILL: it has no time for anything. Fails when it was not running."""
        assert self.process is not None and self.process.poll() is None, self.said()
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM, then wait. Idempotent."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


def collector(name: str, folder: Path, *configs: str, **variables: Any) -> Running:
    """An otelcol with files of collector-config. `variables` are those that the files name."""
    health, telemetry = free_port(), free_port()
    environ = {
        "TOLLSPAN_HEALTH": f"127.0.0.1:{health}",
        "TOLLSPAN_TELEMETRY_PORT": str(telemetry),
        "TOLLSPAN_QUEUE_DIR": str(folder / f"queue-{name}"),
        **{key: str(value) for key, value in variables.items()},
    }
    command = [str(otelcol())]
    for config in configs:
        command += ["--config", str(CONFIGS / config)]
    url = f"http://127.0.0.1:{health}/"
    return Running(name, command, environ, url, folder, telemetry=telemetry)


def stage(name: str, folder: Path, forward_to: str, **variables: Any) -> Running:
    """A `tollspan stage`; `port` is of OTLP/gRPC."""
    grpc, http, admin = free_port(), free_port(), free_port()
    environ = {
        "TOLLSPAN_GRPC_PORT": str(grpc),
        "TOLLSPAN_HTTP_PORT": str(http),
        "TOLLSPAN_ADMIN_PORT": str(admin),
        "TOLLSPAN_STAGE_NAME": name,
        "TOLLSPAN_FORWARD_TO": forward_to,
        **{key: str(value) for key, value in variables.items()},
    }
    command = [str(Path(sys.executable).parent / "tollspan"), "stage"]
    url = f"http://127.0.0.1:{admin}/readyz"
    return Running(name, command, environ, url, folder, port=grpc, telemetry=admin)


class ClickHouse:
    """A ledger behind ClickHouse's HTTP interface, with the tables that the exporter writes to."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        landing = (CONFIGS / "clickhouse" / "landing.sql").read_text()
        for statement in statements(landing):
            self.ledger._writer.query(statement)
        self.port = free_port()
        self.slow_s = 0.0
        self.inserts = 0
        self._app = clickhouse_http(folder, writable=True)
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"INSERT" in scope.get("query_string", b""):
            self.inserts += 1
            await asyncio.sleep(self.slow_s)
        await self._app(scope, receive, send)

    def up(self) -> Self:
        """Answer from now on, at the same port as before."""
        config = uvicorn.Config(
            self._asked,
            port=self.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            interface="asgi3",
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        until(lambda: server.started, "the ClickHouse listens")
        return self

    def down(self) -> None:
        """Let the statements that run come to their end, then be away."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = None

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()
        self.ledger.close()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.ledger.query(sql)

    def one(self, sql: str) -> Any:
        """The only value of the only row."""
        (row,) = self.ledger.query(sql)
        (value,) = row.values()
        return value


def scraping(folder: Path, targets: Mapping[str, Sequence[int]]) -> Running:
    """A Prometheus that scrapes ports of this machine each second: job to ports."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": job,
                # The exporter's own job and instance are those of the applications.
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{each}" for each in ports]}],
            }
            for job, ports in targets.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))
    command = [prometheus(), f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    url = f"http://127.0.0.1:{port}/-/ready"
    return Running("prometheus", command, {}, url, folder, port=port)
