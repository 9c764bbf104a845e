"""Whether each collector that the environment names takes spans, and what to write where it does not.

Asked with an empty export through the real exporter with its real settings. Where that fails, what is
most often meant is tried as well: the other protocol, the usual path, no TLS.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from . import exporters
from .check import BAD, OK, WARN, Check

__all__ = ["receivers"]

_PROBE_S = 2.0
"""How long what the environment names is waited for."""
_TRY_S = 2.0
"""How long each of the others that are tried is."""
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_HTTP, _GRPC = "otlp_proto_http", "otlp_proto_grpc"
_GROUP = "opentelemetry_traces_exporter"


def receivers(environ: Mapping[str, str]) -> Iterator[Check]:
    """A finding for each exporter that `environ` asks for."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield Check("exporter", WARN, "OTEL_SDK_DISABLED is true: there are no spans")
        return
    asked = exporters.names("traces", "otlp", environ)
    if not asked:
        yield Check("exporter", WARN, "OTEL_TRACES_EXPORTER=none: spans go nowhere")
    for name in asked:
        yield _receiver(name, environ) if exporters.is_otlp(name) else _other(name)
    if "OTEL_EXPORTER_OTLP_PROTOCOL" not in environ and _has_distro():
        yield Check(
            "exporter",
            WARN,
            "opentelemetry-distro is installed: under opentelemetry-instrument the default is gRPC\n"
            "to port 4317, in two lines HTTP to port 4318. `tollspan up` listens on both.",
        )


def _other(name: str) -> Check:
    if any(True for _ in entry_points(group=_GROUP, name=name)):
        return Check("exporter", OK, f"{name}, as OTEL_TRACES_EXPORTER says")
    return Check(
        "exporter",
        BAD,
        f"OTEL_TRACES_EXPORTER names {name!r}, and no such exporter is installed: write otlp, "
        "or install it",
    )


def _receiver(name: str, environ: Mapping[str, str]) -> Check:
    where = exporters.endpoint("traces", environ, name)
    if not exporters.reachable(where, _PROBE_S):
        return Check(
            "exporter",
            BAD,
            f"nothing listens at {where}: start `tollspan up`, or set OTEL_EXPORTER_OTLP_ENDPOINT",
        )
    if refusal := _refusal(name, exporters.place(name), _PROBE_S):
        said = f"{where} refuses spans: {refusal.rstrip('.')}"
        advice = _advice(name, where, environ) or _meaning(refusal)
        return Check("exporter", BAD, f"{said}.\n{advice}" if advice else said)
    return Check("exporter", OK, f"{where} takes spans ({name})")


def _advice(name: str, where: str, environ: Mapping[str, str]) -> str:
    """What to write instead, found by trying; empty where nothing that was tried is taken."""
    scheme, _, host = where.partition("://")
    other = _GRPC if name == _HTTP else _HTTP
    spoken = {_GRPC: "grpc", _HTTP: "http/protobuf"}[other]
    tries = [
        (
            other,
            scheme,
            f"That port speaks the other protocol: OTEL_EXPORTER_OTLP_PROTOCOL={spoken}",
        )
    ]
    if scheme == "https":
        plain = f"Write the address as http://{host}: no TLS is spoken there"
        tries.insert(0, (name, "http", plain))
        both = f"Write http://{host} and OTEL_EXPORTER_OTLP_PROTOCOL={spoken}"
        tries.append((other, "http", both))
    elif name == _HTTP:
        usual = f"Write http://{host}"
        if environ.get(_TRACES_ENDPOINT):
            usual = f"{_TRACES_ENDPOINT} is used as it is written: end it with /v1/traces"
        tries.insert(0, (name, "http", usual))
    for exporter, spelled, sentence in tries:
        path = "/v1/traces" if exporter == _HTTP else ""
        if not _refusal(exporter, {"endpoint": f"{spelled}://{host}{path}"}, _TRY_S):
            return sentence
    return ""


def _meaning(refusal: str) -> str:
    """What to do, going by the answer's code."""
    for code, sentence in _CODES.items():
        if code in refusal:
            return sentence
    return ""


_CREDENTIALS = (
    "It wants other credentials: set TOLLSPAN_TOKEN for a `tollspan up`, for others "
    "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"
)
_CODES = {
    "401": _CREDENTIALS,
    "403": _CREDENTIALS,
    "UNAUTHENTICATED": _CREDENTIALS,
    "404": "Something else than an OTLP receiver answers there: check host and port",
}
"""What stands in the words of an exporter, and what to do then."""


def _has_distro() -> bool:
    return any(True for _ in entry_points(group="opentelemetry_distro"))


class _Last(logging.Handler):
    """Keeps the last thing that an exporter logged: the only place where it says why it failed."""

    said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def _refusal(name: str, place: Mapping[str, Any], timeout_s: float) -> str:
    """Why an empty export fails through the exporter `name`, made with `place`; empty if not."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    logger, last = logging.getLogger("opentelemetry.exporter"), _Last()
    propagates = logger.propagate
    logger.addHandler(last)
    logger.propagate = False
    try:
        exporter = exporters.load(_GROUP, name)(timeout=timeout_s, **place)
        try:
            if exporter.export([]) is SpanExportResult.SUCCESS:
                return ""
        finally:
            exporter.shutdown()
        return last.said or "the export failed"
    except (LookupError, ImportError, ValueError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        logger.removeHandler(last)
        logger.propagate = propagates
