"""OTLP/HTTP out, as protobuf: some threads, each with a connection that stays open."""

from __future__ import annotations

import gzip
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import urllib3
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from tollspan.exporter import OtlpExporter

from .advice import WANTS_TLS, advice, advice_on_status
from .answers import acknowledged
from .destination import Destination
from .forward import refused_there
from .receiver import INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED, Unavailable

__all__ = ["HttpForwarder"]

CONNECTIONS = 32
CODES = {
    400: INVALID_ARGUMENT,
    404: UNIMPLEMENTED,
    405: UNIMPLEMENTED,
    429: RESOURCE_EXHAUSTED,
    501: UNIMPLEMENTED,
}
"""What a status means in google.rpc; every other one is UNAVAILABLE."""


class HttpForwarder:
    """A `Forwarder` over HTTP. `exporter`: headers, certificates, compression."""

    def __init__(self, to: Destination, exporter: OtlpExporter, timeout_s: float) -> None:
        self._path = to.path
        self._is_packed = exporter.compression == "gzip"
        self._headers = {"content-type": "application/x-protobuf", **dict(exporter.headers)}
        if self._is_packed:
            self._headers["content-encoding"] = "gzip"
        given: dict[str, Any] = {
            "port": to.port,
            "timeout": urllib3.Timeout(total=timeout_s),
            "maxsize": CONNECTIONS,
            "block": True,
        }
        if to.is_secure:
            self._pool: Any = urllib3.HTTPSConnectionPool(
                to.host,
                ca_certs=exporter.certificate or None,
                cert_file=exporter.client_certificate or None,
                key_file=exporter.client_key or None,
                **given,
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(to.host, **given)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="tollspan-forward")

    def send(self, signal: str, body: bytes) -> Future[bytes]:
        try:
            return self._threads.submit(self._sent, signal, body)
        except RuntimeError as error:  # what an executor says that was shut down
            answer: Future[bytes] = Future()
            answer.set_exception(Unavailable(f"the stage is stopping ({error})"))
            return answer

    def _sent(self, signal: str, body: bytes) -> bytes:
        if self._is_packed:
            body = gzip.compress(body, 1)
        try:
            answer = self._pool.urlopen(
                "POST",
                f"{self._path}/v1/{signal}",
                body=body,
                headers=self._headers,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(_unreached(error)) from error
        if 200 <= answer.status < 300:
            content_type = answer.headers.get("content-type", "")
            return acknowledged(signal, bytes(answer.data), content_type)
        if answer.status == 400 and _wants_tls(bytes(answer.data)):
            # Nobody has looked at the spans, so nothing is wrong with them.
            raise Unavailable(f"the collector behind the stage says: HTTP 400; {WANTS_TLS}")
        code = CODES.get(answer.status, UNAVAILABLE)
        said = _said(answer.data)
        told = f"HTTP {answer.status}{': ' if said else ''}{said}"
        wait_s = _retry_after_s(answer.headers.get("retry-after", ""))
        raise refused_there(code, told, wait_s, advice_on_status(answer.status))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()


def _unreached(error: urllib3.exceptions.HTTPError) -> str:
    """Why nothing was answered. The error's own text may quote a URL, so its kind stands for it."""
    kind = type(error).__name__
    todo = advice(f"{kind} {error}")
    return f"the collector behind the stage cannot be reached ({kind}){'; ' if todo else ''}{todo}"


def _wants_tls(body: bytes) -> bool:
    """Whether a server of HTTPS says that it was asked in plain HTTP: Go's, nginx, Apache, Envoy."""
    said = body[:2_000].lower()
    return b"http request" in said and b"https" in said or b"speaking plain http" in said


def _said(body: bytes) -> str:
    """The message of the google.rpc.Status that OTLP wants in an error's body."""
    try:
        return str(Status.FromString(body).message)
    except DecodeError:
        return ""


def _retry_after_s(said: str) -> float | None:
    return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else None
