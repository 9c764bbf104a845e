"""Everything that `tollspan up` runs, in one process: receivers, ledger, API, page."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tollspan.collector.foreign import normalised, settled
from tollspan.collector.http_servers import bound
from tollspan.collector.kept import Kept
from tollspan.collector.otlp_grpc import GrpcReceiver, PortInUse
from tollspan.collector.otlp_http import http_receiver
from tollspan.collector.receiver import Received
from tollspan.collector.stage import Stage
from tollspan.config import settings
from tollspan.limits import backends_file
from tollspan.limits.backends_file import BackendFile

from . import (
    budgets,
    budgets_api,
    compiled,
    health,
    ingest_api,
    points_api,
    reconcile_api,
    status,
    usage_api,
)
from .api import PAGE, api
from .arrivals import Arrivals
from .clickhouse_http import clickhouse_http
from .counting import Counting
from .demo_data import DemoData, is_demo
from .gate import Gate, is_loopback
from .http_servers import HttpServers, Served
from .ingest import ingest_into
from .key_events import KeyWatch
from .ledger import Ledger
from .live import Live
from .openapi import openapi_route
from .probing import Probing
from .recall import Recall
from .refused import PortTaken, TokenNeeded, cannot_listen
from .throttle import Throttle
from .whole import Whole
from .writer import Told, Writer

__all__ = ["LocalStack", "PortTaken", "TokenNeeded"]

PAGE_FILES = ("/", "/index.html")
V1 = (ingest_api, budgets_api, health, points_api, reconcile_api, usage_api)
"""Modules of `/v1`, each with its `OPERATIONS`."""


class LocalStack:
    """The local stack: `with LocalStack() as stack: stack.page_url, stack.grpc_endpoint, …`.

    Port 0 takes a free one. Without `data_dir` the ledger is temporary and goes with the stack.

    Raises (at `start`; all are `tollspan.local.refused.Refused`):
        PortTaken: one of the ports is in use.
        CannotListen: `host` is not ours, or a port is not for this user.
        TokenNeeded: `host` is not loopback and there is no token.
        BackendFileError (of `tollspan.limits.backends_file`): the file of backends cannot be used.
        Unusable: the data directory cannot be opened.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        ui_port: int = 0,
        grpc_port: int = 0,
        http_port: int = 0,
        clickhouse_port: int | None = None,
        token: str = "",
    ) -> None:
        self._temporary = (
            tempfile.TemporaryDirectory(prefix="tollspan-") if data_dir is None else None
        )
        self.data_dir = Path(self._temporary.name if self._temporary else data_dir or "")
        self.host = host.removeprefix("[").removesuffix("]")
        self.ui_port, self.grpc_port, self.http_port = ui_port, grpc_port, http_port
        self.clickhouse_port = clickhouse_port
        self._token = token
        self.received = Received()
        self.arrivals = Arrivals()
        self._llm_spans = 0
        self._started = datetime.now(UTC)
        self._stopping: list[Any] = []

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Open the ledger, then the doors. Returns when all three ports answer."""
        try:
            if not is_loopback(self.host) and not self._token:
                raise TokenNeeded(
                    f"{self.host} is reachable from other machines: set TOLLSPAN_TOKEN to a "
                    "secret, or bind 127.0.0.1."
                )
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        page = self._bound(self.ui_port, "TOLLSPAN_UI_PORT")
        http = self._bound(self.http_port, "TOLLSPAN_HTTP_PORT")
        sql = None
        if self.clickhouse_port is not None:
            sql = self._bound(self.clickhouse_port, "TOLLSPAN_CLICKHOUSE_PORT", "127.0.0.1")
            self.clickhouse_port = sql.getsockname()[1]
        self.ui_port, self.http_port = page.getsockname()[1], http.getsockname()[1]
        wanted = settings().budgets
        found = budgets.read(wanted) if wanted else []
        declared = backends_file.read(settings().backends) if settings().backends else BackendFile()
        self.ledger = Ledger(self.data_dir)
        self._stopping.append(self.ledger.close)
        if wanted:
            budgets.keep(self.ledger, found)
        loop = asyncio.new_event_loop()
        self.live = Live(loop)
        self._keys = KeyWatch(self.ledger)
        recall = Recall(self.ledger)
        self.stage = Stage(settled, normalised, recall, recall.linked)
        self.writer = Writer(self.ledger, self.stage, self._committed, recall)
        self._stopping.append(self.writer.stop)
        self.ingest = ingest_into(self.ledger, self.writer, recall, self.received)
        self._stopping.append(Counting(self.ledger).stop)
        self.policy = declared.policy
        self.probing = Probing(self.ledger, declared.backends)
        if declared.backends:
            self.probing.start()
            self._stopping.append(self.probing.stop)
        self._serve(loop, page, http, sql)
        try:
            receiver = GrpcReceiver(
                self.arrivals.at_intake(Kept(self.writer, self.received)),
                host=self.host,
                port=self.grpc_port,
                token=self._token,
            )
        except PortInUse as error:
            raise cannot_listen(
                self.host, self.grpc_port, "TOLLSPAN_GRPC_PORT", error.__cause__
            ) from error
        receiver.start()
        self._stopping.append(receiver.stop)
        self.grpc_port = receiver.port

    def _bound(self, port: int, setting: str, host: str = "") -> socket.socket:
        host = host or self.host
        try:
            made = bound(host, port)
        except OSError as error:
            raise cannot_listen(host, port, setting, error) from error
        self._stopping.append(made.close)
        return made

    def _serve(
        self,
        loop: asyncio.AbstractEventLoop,
        page: socket.socket,
        http: socket.socket,
        sql: socket.socket | None,
    ) -> None:
        open_paths = {*PAGE_FILES, *(f"/{file.name}" for file in PAGE.iterdir())}
        self.demo = DemoData(self.ledger, self.writer, self.live.tell_gone)
        self._whole = Whole(self.ledger)
        v1 = [
            *ingest_api.routes(self.ingest),
            *budgets_api.routes(self.ledger),
            *health.routes(self.ledger, lambda: self.probing.standings, lambda: self.policy),
            *reconcile_api.routes(self.ledger),
            *points_api.routes(self.ledger),
            *usage_api.routes(self.ledger),
            openapi_route(each.OPERATIONS for each in V1),
        ]
        pages = api(self.ledger, self.live, self.status, self.demo, v1)
        receiver = http_receiver(Kept(self.writer, self.received))
        limited = Throttle(pages, settings().api_per_minute)
        gate = Gate(limited, token=self._token, hosts={self.host}, open_paths=open_paths)
        door = Gate(receiver, token=self._token, hosts={self.host}, asks_host=False)
        served: list[Served] = [
            (self.arrivals.at_page(gate), self.arrivals.protocol("otlp_on_page"), page),
            (self.arrivals.at_receiver(door), self.arrivals.protocol("grpc_on_http"), http),
        ]
        if sql is not None:
            reader = Gate(clickhouse_http(self.data_dir, token=self._token))
            served.append((reader, self.arrivals.protocol("grpc_on_http"), sql))
        servers = HttpServers(loop, served, self.live.close)
        servers.start()
        self._stopping.append(servers.stop)
        servers.wait()

    def stop(self) -> None:
        """Take nothing new, commit what was taken, let go of ports and folder. Idempotent."""
        while self._stopping:
            self._stopping.pop()()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- what it tells ---------------------------------------------------------------------------

    @property
    def page_url(self) -> str:
        return self._url(self.ui_port)

    @property
    def grpc_endpoint(self) -> str:
        return self._url(self.grpc_port)

    @property
    def http_endpoint(self) -> str:
        return self._url(self.http_port)

    @property
    def clickhouse_url(self) -> str:
        """Where the ledger is read over ClickHouse's HTTP interface; '' where it is not."""
        return f"http://127.0.0.1:{self.clickhouse_port}" if self.clickhouse_port else ""

    @property
    def urls(self) -> dict[str, str]:
        """`{page, grpc, http}`."""
        return {"page": self.page_url, "grpc": self.grpc_endpoint, "http": self.http_endpoint}

    def _url(self, port: int) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything received so far stands in the ledger."""
        return self.writer.flush(timeout_s)

    def status(self) -> dict[str, Any]:
        """See the API's `/api/status`."""
        return {
            "version": status.tollspan_version(),
            **self.urls,
            "data_dir": str(self.data_dir),
            "started": self._started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requests_received": self.received.requests,
            "spans_received": self.received.spans,
            "spans_rejected": self.received.rejected,
            "llm_spans": self._llm_spans,
            "failed_commits": self.writer.failed_commits,
            "metrics_received": self.received.metrics,
            "logs_received": self.received.logs,
            "refused": self.arrivals.told(self.urls),
            "with_token": bool(self._token),
            "compiled": compiled.IS_COMPILED,
            "demo_calls": self.demo.calls(),
            **self._whole.counts(),
            **status.size(self.ledger),
            "python_snippet": status.snippet(self.grpc_endpoint),
        }

    def _committed(self, told: Told) -> None:
        self._llm_spans += sum(not is_demo(trace_id) for _, trace_id in told.ids)
        self.live.tell(call_id for call_id, _ in told.ids)
        self._keys.told(told.calls)
