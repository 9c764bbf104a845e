"""Sending on to the collector behind the stage, and what its refusals mean for our sender.

What it says of a batch decides what we say: only what it calls malformed is malformed; whatever
else goes wrong is told as a refusal that the sender tries again.
https://opentelemetry.io/docs/specs/otlp/#failures
"""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from tollspan.exporter import OtlpExporter

from .advice import advice, advice_on_code
from .destination import BadDestination, Destination
from .receiver import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    Malformed,
    NotTaken,
    Overloaded,
    Refusal,
    Unavailable,
)

__all__ = ["Forwarder", "forwarder", "refused_there"]

LONGEST_WAIT_S = 60.0
LONGEST_SAID = 200
"""Letters of what the collector behind says that are passed on."""

CONNECT_S = 1.0


class Forwarder(Protocol):
    """Sends bodies of OTLP requests on."""

    def send(self, signal: str, body: bytes) -> Future[bytes]:
        """Send a request of `signal` (`traces`, `metrics`, `logs`), as protobuf.

        The future is the body of the answer, or raises a `Refusal`; it never waits longer than the
        timeout that was asked for.
        """
        ...

    def close(self) -> None:
        """Let go of connections; what is being sent is not waited for."""
        ...


def forwarder(to: Destination, exporter: OtlpExporter, timeout_s: float) -> Forwarder:
    """What sends to `to`, in its protocol.

    Raises:
        BadDestination: a certificate cannot be read, or the compression is unknown.
    """
    if exporter.compression not in ("", "none", "gzip"):
        raise BadDestination(
            f"OTEL_EXPORTER_OTLP_COMPRESSION={exporter.compression!r} is unknown: "
            "write gzip or none"
        )
    for name in ("certificate", "client_certificate", "client_key"):
        path = getattr(exporter, name)
        if path and not Path(path).is_file():
            raise BadDestination(
                f"OTEL_EXPORTER_OTLP_{name.upper()}={path} names no file: write the path of a PEM file"
            )
    if to.is_secure:
        _check_certificates(exporter)
    if to.is_grpc:
        from .forward_grpc import GrpcForwarder

        return GrpcForwarder(to, exporter, timeout_s)
    from .forward_http import HttpForwarder

    return HttpForwarder(to, exporter, timeout_s)


def _check_certificates(exporter: OtlpExporter) -> None:
    """Raises:
    BadDestination: a file is not what it is said to be, which gRPC would tell with no request but
        'failed to connect'.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    setting = "OTEL_EXPORTER_OTLP_CERTIFICATE"
    path = exporter.certificate
    try:
        if path:
            context.load_verify_locations(path)
        setting, path = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", exporter.client_certificate
        if bool(path) != bool(exporter.client_key):
            raise BadDestination(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go "
                "together: set both or neither"
            )
        if path:
            # Nobody is there to type a password.
            context.load_cert_chain(path, exporter.client_key, lambda: "")
    except OSError as error:
        raise BadDestination(
            f"{setting}={path} cannot be used ({getattr(error, 'reason', '') or error.strerror}): "
            "write the path of a PEM file, and for a client's certificate its own key without password"
        ) from error


def refused_there(
    code: int, said: str, retry_after_s: float | None, todo: str | None = None
) -> Refusal:
    """What we tell our sender when the collector behind us answered `code` of google.rpc.

    `todo`: what its keeper can do about it, where that is not to be read from the answer.
    """
    if todo is None:
        todo = advice_on_code(code) or advice(said)
    said = f"the collector behind the stage says: {said[:LONGEST_SAID]}"
    if todo:
        said = f"{said}; {todo}"
    if code == INVALID_ARGUMENT:
        return Malformed(said)
    if code == UNIMPLEMENTED:
        return NotTaken(said)
    wait_s = 1.0 if retry_after_s is None else min(max(retry_after_s, 0.05), LONGEST_WAIT_S)
    if code == RESOURCE_EXHAUSTED:
        return Overloaded(wait_s, said)
    return Unavailable(said, wait_s)


def answers(to: Destination) -> bool:
    """Whether something takes connections there, asked now."""
    try:
        with socket.create_connection((to.host, to.port), CONNECT_S):
            return True
    except OSError:
        return False
