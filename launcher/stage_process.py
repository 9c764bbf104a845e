"""One running `tollspan stage`: receivers, the step, what it sends on to, and its own door."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from starlette.routing import Route
from starlette.types import ASGIApp

from tollspan.collector import ingest_http
from tollspan.collector.admin import OPEN_PATHS, admin
from tollspan.collector.admission import Admission
from tollspan.collector.behind import Behind
from tollspan.collector.counters import Counters
from tollspan.collector.destination import BadDestination, Destination
from tollspan.collector.forward import forwarder
from tollspan.collector.holding import Holding
from tollspan.collector.http_servers import HttpServers, bound
from tollspan.collector.ingest import MOST_RECORDS
from tollspan.collector.ingest_schema import operations
from tollspan.collector.otlp_grpc import GrpcReceiver, PortInUse
from tollspan.collector.otlp_http import http_receiver
from tollspan.collector.serve import StageIntake
from tollspan.collector.told_shelf import ingest_through
from tollspan.config import Settings
from tollspan.exporter import OtlpExporter
from tollspan.guard import quietly
from tollspan.local.gate import Gate, is_loopback
from tollspan.local.openapi import openapi_route
from tollspan.local.refused import TokenNeeded, cannot_listen
from tollspan.processors import prices

from .own_address import is_own
from .stage_mend import Mending, clickhouse_of, mend_of
from .stage_status import status_page

__all__ = ["StageProcess"]

THREADS = 32
"""Of OTLP/gRPC: requests that wait for the collector behind at once."""

INGEST = operations(tuple(ingest_http.SOURCES), MOST_RECORDS)

DRAIN_S = 25.0
MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Ports:
    """Where it listens; 0 takes a free one."""

    grpc: int
    http: int
    admin: int


class StageProcess:
    """`with StageProcess(…) as stage:`; ends with what was taken sent on and answered.

    Raises (at `start`):
        PortTaken: one of the ports is in use.
        CannotListen: `host` is not ours, or a port is not for this user.
        TokenNeeded: `host` is not loopback and there is no token.
        BadDestination: it cannot be sent to `to`.
    """

    def __init__(
        self,
        to: Destination,
        settings: Settings,
        exporter: OtlpExporter,
        *,
        host: str,
        ports: Ports,
        name: str = "",
    ) -> None:
        self.to = to
        self.host = host.removeprefix("[").removesuffix("]")
        self.ports = ports
        self.name = name or settings.stage_name or socket.gethostname()
        # Another run of the same stage does not know what this one has told.
        self.told_by = f"{self.name}.{secrets.token_hex(3)}"
        self._settings = settings
        self._exporter = exporter
        self.prices = ""
        """Whose prices they are, once it has started."""
        self._stopping: list[Any] = []
        self.counters = Counters()
        self.admission = Admission(max(1, settings.stage_inflight_mb) * MEGABYTE)
        self.window_s = max(1, settings.window_s)
        self.holding = Holding(
            self.counters,
            window_s=self.window_s,
            most_bytes=max(1, settings.stage_memory_mb) * MEGABYTE,
            spans_per_trace=max(1, settings.trace_spans),
        )

    def start(self) -> Self:
        """Open the doors. Returns when all three ports answer, and the first span will be priced as
        quickly as the next ones."""
        try:
            if not is_loopback(self.host) and not self._settings.token:
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
        with quietly:
            self.prices = prices.current().source
        http = self._bound(self.ports.http, "TOLLSPAN_HTTP_PORT")
        door = self._bound(self.ports.admin, "TOLLSPAN_ADMIN_PORT")
        self.ports.http, self.ports.admin = http.getsockname()[1], door.getsockname()[1]
        through = forwarder(self.to, self._exporter, self._settings.forward_timeout_s)
        self._stopping.append(through.close)
        self._behind = send = Behind(through, self.to)
        self.intake = StageIntake(send, self.holding, self.admission, self.counters, self.told_by)
        self._stopping.append(self.intake.stop)
        if self._settings.clickhouse_url and self._settings.mend_every_s:
            mend = mend_of(self._settings, send, self.told_by)
            mending = Mending(mend, self.holding, self.counters, self._settings.mend_every_s)
            self._stopping.append(mending.stop)
        self._count()
        own = admin(
            self.counters,
            why_dead=self._why_dead,
            why_not_ready=self.why_not_ready,
            status=lambda: status_page(self),
        )
        servers = HttpServers(
            [
                (self._gated(http_receiver(self.intake, self._told())), http),
                (self._gated(own, open_paths=OPEN_PATHS), door),
            ]
        )
        servers.start()
        self._stopping.append(servers.stop)
        try:
            receiver = GrpcReceiver(
                self.intake,
                host=self.host,
                port=self.ports.grpc,
                token=self._settings.token,
                threads=THREADS,
            )
        except PortInUse as error:
            raise cannot_listen(
                self.host, self.ports.grpc, "TOLLSPAN_GRPC_PORT", error.__cause__
            ) from error
        self._stopping.append(receiver.stop)
        self.ports.grpc = receiver.port
        self._look_for_a_circle()
        receiver.start()

    def _look_for_a_circle(self) -> None:
        for port, setting in (
            (self.ports.grpc, "TOLLSPAN_GRPC_PORT"),
            (self.ports.http, "TOLLSPAN_HTTP_PORT"),
        ):
            if self.to.port == port and is_own(self.to.host, self.host):
                raise BadDestination(
                    f"the stage would send on to itself ({self.to.address} is {setting}): give it "
                    "another port, or write the collector behind it in TOLLSPAN_FORWARD_TO"
                )

    def _bound(self, port: int, setting: str) -> socket.socket:
        try:
            made = bound(self.host, port)
        except OSError as error:
            raise cannot_listen(self.host, port, setting, error) from error
        self._stopping.append(made.close)
        return made

    def _told(self) -> list[Route]:
        """Where records and events are taken; they become spans, and go the way of all spans."""
        ledger = None
        if self._settings.clickhouse_url:
            ledger = clickhouse_of(self._settings)
            self._stopping.append(ledger.close)
        ingest = ingest_through(self.intake, ledger, self.counters)
        return [*ingest_http.routes(ingest), openapi_route([INGEST])]

    def _gated(self, app: ASGIApp, open_paths: frozenset[str] = frozenset()) -> ASGIApp:
        # Programs reach us under names that we cannot know (a container's name for its host).
        return Gate(
            app,
            token=self._settings.token,
            hosts={self.host},
            open_paths=open_paths,
            asks_host=False,
        )

    def _count(self) -> None:
        self.counters.more.append(self.holding.senders.lines)
        self.counters.gauges |= {
            "lag_seconds": lambda: self.admission.lag_s,
            "inflight_bytes": lambda: self.admission.inflight_bytes,
            "waiting_bytes": lambda: self.admission.waiting_bytes,
            "overload_level": lambda: self.admission.level,
            "traces_held": lambda: len(self.holding.windows),
            "held_bytes": lambda: self.holding.windows.weight,
            "traces_remembered": lambda: len(self.holding.past),
            "suspect_traces": lambda: self.holding.suspects,
            "up": lambda: not self.why_not_ready(),
        }

    @property
    def mends_from(self) -> str:
        """`host:port` of the ClickHouse that is asked for traces that are no longer held, or ''."""
        return urlsplit(self._settings.clickhouse_url).netloc.rpartition("@")[2]

    def _why_dead(self) -> str:
        return "" if self.intake.is_alive else "the step has ended: start the stage again"

    def why_not_ready(self) -> str:
        """Why it would take nothing now, in a sentence; '' where it would."""
        return "the stage is stopping" if self.admission.is_closed else self._behind.why_not()

    def drain(self, timeout_s: float = DRAIN_S) -> tuple[int, int]:
        """Let nothing in, wait for what is inside: requests that were finished, and that were not."""
        self.admission.close()
        inside = self.admission.inside
        self.admission.drained(timeout_s)
        left = self.admission.inside
        return max(0, inside - left), left

    def stop(self) -> None:
        """Let go of ports and connections. Idempotent."""
        while self._stopping:
            self._stopping.pop()()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drain()
        self.stop()
