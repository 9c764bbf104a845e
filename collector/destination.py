"""Where the stage sends on, read from a URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["BadDestination", "Destination", "destination"]

GRPC_PORT = 4317


class BadDestination(ValueError):
    """The URL cannot be used; the message says why and what to write."""


@dataclass(frozen=True, slots=True)
class Destination:
    """An OTLP receiver. `path` goes before `/v1/traces` and is empty or begins with a slash."""

    host: str
    port: int
    is_secure: bool
    is_grpc: bool
    path: str = ""

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def destination(url: str, protocol: str = "", *, named: str = "TOLLSPAN_FORWARD_TO") -> Destination:
    """What `url` says.

    Args:
        url: `grpc://host:4317` or `http://host:4318`, with an `s` for TLS.
        protocol: of `OTEL_EXPORTER_OTLP_PROTOCOL`, which decides what `http` means: gRPC or
            `http/protobuf`. Without it port 4317 is gRPC.
        named: the setting, for the sentence of an error.

    Raises:
        BadDestination: nothing can be sent there.
    """
    example = f"write {named}=grpc://collector:4317 or http://collector:4318"
    if not url:
        raise BadDestination(f"the stage has nowhere to send on to: {example}, or --forward-to")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadDestination(f"{named} is not a URL: {example}") from error
    if parts.scheme not in ("grpc", "grpcs", "http", "https") or not parts.hostname:
        raise BadDestination(f"{named} is not a URL of grpc, grpcs, http or https: {example}")
    if parts.username or parts.password:
        raise BadDestination(
            f"{named} holds a password: put it in OTEL_EXPORTER_OTLP_HEADERS, "
            "as authorization=Basic%20…"
        )
    if parts.query or parts.fragment:
        raise BadDestination(f"{named} has a query, which OTLP does not know: {example}")
    if protocol not in ("", "grpc", "http/protobuf"):
        raise BadDestination(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not spoken here: "
            "write grpc or http/protobuf"
        )
    is_grpc = parts.scheme.startswith("grpc")
    if not is_grpc:
        is_grpc = protocol == "grpc" or (not protocol and port == GRPC_PORT)
    return Destination(
        parts.hostname,
        port or (GRPC_PORT if is_grpc else 4318),
        parts.scheme in ("grpcs", "https"),
        is_grpc,
        "" if is_grpc else parts.path.rstrip("/"),
    )
