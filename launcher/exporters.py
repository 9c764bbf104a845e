"""What the environment asks to be exported, and where to: the standard `OTEL_*` variables.

The OpenTelemetry SDK reads these only through a distro; without one they are read here, with the
specification's defaults: OTLP over HTTP to http://localhost:4318, or to the ports that
`TOLLSPAN_HTTP_PORT` and `TOLLSPAN_GRPC_PORT` give to `tollspan up`.
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import atexit
import logging
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tollspan.config import environment, settings

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

__all__ = [
    "address",
    "endpoint",
    "is_otlp",
    "load",
    "may_listen",
    "names",
    "own_meters",
    "place",
    "protocol",
    "reachable",
]

_logger = logging.getLogger("tollspan")

_BY_PROTOCOL = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}

EXIT_MS = 5000
"""Longest that a process waits at exit for its last spans to go out."""

DELAY_MS = 1000
"""How long spans wait for company before they go out."""

MOST_WAITING = 16_384
"""Spans that wait for a collector; about 50 MB of them, where it is gone for good."""

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


def endpoint(
    signal: str = "traces", environ: Mapping[str, str] | None = None, name: str = ""
) -> str:
    """Where OTLP goes, as the exporter will see it: a base URL, no signal path, no credentials.

    Args:
        name: of the exporter, where it is known: `otlp_proto_grpc` speaks gRPC whatever is set.
    """
    environ = environment() if environ is None else environ
    asked = _endpoint_asked(signal, environ)
    if not asked:
        spoken = {each: words for words, each in _BY_PROTOCOL.items()}.get(name)
        return f"http://localhost:{_port_of_stack(spoken or protocol(signal, environ))}"
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


def may_listen(url: str, timeout_s: float = _CONNECT_S) -> bool:
    """Whether something accepts connections there; true where that cannot be told: with a proxy in
    between, which would, and for addresses that only gRPC reads (`dns:///c:4317`)."""
    environ = environment()
    proxied = any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES)
    return proxied or address(url) is None or reachable(url, timeout_s)


_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


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


def is_otlp(name: str) -> bool:
    """Whether the exporter `name` is one whose endpoint we know."""
    return name in _BY_PROTOCOL.values()


def place(name: str) -> dict[str, Any]:
    """What the span exporter `name` does not read from the environment itself: the port of our
    stack, and the token that it asks for."""
    environ = environment()
    if not is_otlp(name) or _endpoint_asked("traces", environ):
        return {}
    found: dict[str, Any] = {
        "endpoint": endpoint(name=name) + ("/v1/traces" if name.endswith("http") else "")
    }
    token = settings().token
    if token and not any(environ.get(each) for each in _HEADERS):
        found["headers"] = {"authorization": f"Bearer {token}"}
    return found


_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


@cache
def own_meters(asked: Sequence[str]) -> MeterProvider:
    """The meter provider of this process that exports to `asked` until its end.

    Raises:
        LookupError: one of them is not installed.
    """
    made = meter_provider(asked)
    atexit.register(made.shutdown, timeout_millis=EXIT_MS)
    return made


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
