"""What the environment asks to be exported, and where to: the standard `OTEL_*` variables.

The OpenTelemetry SDK reads these only through a distro; without one they are read here, with the
specification's defaults: OTLP over HTTP to http://localhost:4318, or to the ports that
`TOLLSPAN_HTTP_PORT` and `TOLLSPAN_GRPC_PORT` give to `tollspan up`.
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tollspan import calls, ended
from tollspan.config import environment, settings
from tollspan.guard import quietly

from . import background

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

__all__ = ["Batched", "OnFirstUse", "endpoint", "names", "protocol"]

_logger = logging.getLogger("tollspan")

_BY_PROTOCOL = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}

EXIT_MS = 5000
"""Longest that a process waits at exit for its last spans to go out."""

DELAY_MS = 1000
"""How long spans wait for company before they go out."""

_CONNECT_S = 0.5


def protocol(signal: str, environ: Mapping[str, str] | None = None) -> str:
    """`grpc` or `http/protobuf` for `signal` (`traces`, `metrics`).

    Unset, the specification says `http/protobuf`; an endpoint at port 4317 is gRPC whatever the
    specification says, because nothing else listens there.
    """
    environ = environment() if environ is None else environ
    asked = (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or ""
    ).strip()
    if asked in _BY_PROTOCOL:
        return asked
    if asked:
        _logger.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL=%r is unknown: write grpc or http/protobuf; "
            "http/protobuf is used",
            asked,
        )
        return "http/protobuf"
    return "grpc" if _port(_endpoint_asked(signal, environ)) == 4317 else "http/protobuf"


def _endpoint_asked(signal: str, environ: Mapping[str, str]) -> str:
    return (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or ""
    ).strip()


def _port(url: str) -> int | None:
    try:
        return urlsplit(url if "://" in url else f"//{url}").port
    except ValueError:
        return None


def _port_of_stack(protocol: str) -> int:
    found = settings()
    port = found.grpc_port if protocol == "grpc" else found.http_port
    return port or (4317 if protocol == "grpc" else 4318)  # 0 is a free one, which nobody knows


def endpoint(signal: str = "traces", environ: Mapping[str, str] | None = None) -> str:
    """Where OTLP goes, as the exporter will see it: a base URL, no signal path, no credentials."""
    environ = environment() if environ is None else environ
    asked = _endpoint_asked(signal, environ)
    if not asked:
        return f"http://localhost:{_port_of_stack(protocol(signal, environ))}"
    scheme, _, rest = asked.rpartition("://")
    host = rest.split("/", 1)[0].rpartition("@")[2]
    return f"{scheme or 'http'}://{host}"


def address(url: str) -> tuple[str, int] | None:
    """Host and port of `url`; None where it has none that can be read."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


def reachable(url: str, timeout_s: float = _CONNECT_S) -> bool:
    """Whether something accepts connections at `url`."""
    where = address(url)
    if where is None:
        return False
    try:
        socket.create_connection(where, timeout_s).close()
    except OSError:
        return False
    return True


def names(signal: str, default: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Entry point names of the exporters that `OTEL_<SIGNAL>_EXPORTER` asks for; `none` is none."""
    environ = environment() if environ is None else environ
    raw = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or default
    asked = [name.strip() for name in raw.split(",")]
    if "none" in (name.lower() for name in asked):
        return []
    return [_BY_PROTOCOL[protocol(signal, environ)] if n == "otlp" else n for n in asked if n]


def load(group: str, name: str) -> Any:
    """The exporter class that is installed under `name`.

    Raises:
        LookupError: nothing is installed under that name.
    """
    from importlib.metadata import entry_points  # 13 ms that `import tollspan.auto` does not need

    for found in entry_points(group=group, name=name):
        return found.load()
    raise LookupError(f"no exporter {name!r} is installed (entry points of {group})")


def meter_provider(asked: Sequence[str]) -> MeterProvider:
    """A meter provider that exports to `asked`, at the intervals of the environment.

    Raises:
        LookupError: one of them is not installed.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    readers: list[MetricReader] = []
    for name in asked:
        made = load("opentelemetry_metrics_exporter", name)()
        pulls = isinstance(made, MetricReader)
        readers.append(made if pulls else PeriodicExportingMetricReader(made))
    return MeterProvider(readers, shutdown_on_exit=False)


class OnFirstUse(SpanExporter):
    """An exporter that is imported and made when its first batch goes out, in that thread.

    Importing the OTLP exporter costs about 80 ms, which an application's start should not pay. One
    is made per process: connections do not survive a fork.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoint = endpoint() if name in _BY_PROTOCOL.values() else ""
        self.closing = False
        self._real: SpanExporter | None = None
        self._pid = 0
        self._complained = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.closing and self.endpoint and not reachable(self.endpoint):
            # At exit the exporter's own retries would hold the process for seconds, for nothing.
            return self._failed(SpanExportResult.FAILURE)
        real = self._made()
        if real is None:
            return SpanExportResult.FAILURE
        return self._failed(real.export(spans))

    def prepare(self) -> None:
        """Import it ahead of its first use."""
        with suppress(LookupError):  # said when it is used
            load("opentelemetry_traces_exporter", self.name)

    def ready(self) -> None:
        """Be made, while threads can still be started: importing the SDK's logs starts some."""
        with quietly:
            self._made()

    def _made(self) -> SpanExporter | None:
        if self._pid != os.getpid():
            # Who comes while another thread makes it waits: without it a batch would be lost.
            with background.importing, quietly:
                if self._pid != os.getpid():
                    self._real = self._of_this_process()
                    self._pid = os.getpid()
        return self._real

    def _of_this_process(self) -> SpanExporter | None:
        try:
            made: SpanExporter = load("opentelemetry_traces_exporter", self.name)(**self._where())
        except LookupError as error:
            _logger.warning("spans go nowhere: %s", error)
            return None
        return made

    def _where(self) -> dict[str, str]:
        """What the exporter does not read from the environment itself: the port of our stack."""
        if not self.endpoint or _endpoint_asked("traces", environment()):
            return {}
        return {"endpoint": self.endpoint + ("/v1/traces" if self.name.endswith("http") else "")}

    def _failed(self, result: SpanExportResult) -> SpanExportResult:
        if result is not SpanExportResult.SUCCESS and not self._complained:
            self._complained = True
            _logger.warning(
                "spans do not arrive%s: start `tollspan up`, or set OTEL_EXPORTER_OTLP_ENDPOINT; "
                "your calls are unaffected",
                f" at {self.endpoint}" if self.endpoint else "",
            )
        return result

    def shutdown(self) -> None:
        if self._real is not None and self._pid == os.getpid():
            self._real.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


class Batched(BatchSpanProcessor):
    """The SDK's batch processor, which at exit waits five seconds at most instead of thirty."""

    def __init__(self, exporter: OnFirstUse) -> None:
        # A second instead of the SDK's five: a worker that is killed loses less, a page is livelier.
        delay = None if "OTEL_BSP_SCHEDULE_DELAY" in environment() else DELAY_MS
        super().__init__(exporter, schedule_delay_millis=delay)
        self._lazy = exporter
        self._spans_came = False
        with quietly:
            background.before_threads_end(self._make_ready)

    def on_end(self, span: ReadableSpan) -> None:
        self._spans_came = True
        super().on_end(span)

    def _make_ready(self) -> None:
        """The main thread has ended: what a program that is this short will want to tell needs the
        exporter, which cannot be imported any later. Where there is nothing to tell, it is not."""
        ended.settle_all(ended.LAST_S)
        if self._spans_came or calls.open_calls or background.others_run():
            self._lazy.ready()

    def shutdown(self) -> None:
        self._lazy.closing = True
        self._batch_processor.shutdown(timeout_millis=EXIT_MS)
