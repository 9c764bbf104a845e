"""What knocked at our ports and was not let in, and what whoever knocked should do instead.

"Nothing arrives" has few causes, and the sender's log rarely names them: the wrong protocol on a
port, the wrong path, a content type we do not read, no token. Each refusal is counted by its cause,
so that the page can say it in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollspan.collector.patient import Patient
from tollspan.collector.receiver import Intake, Refusal

__all__ = ["Arrivals"]

HTTP2_PREFACE = b"PRI * HTTP/2.0"
"""What a gRPC client says first. https://www.rfc-editor.org/rfc/rfc9113#section-3.4"""

OTLP_PATHS = ("/v1/traces", "/v1/metrics", "/v1/logs")
CAUSES: dict[str, tuple[str, str]] = {
    "grpc_on_http": (
        "gRPC came to the port of OTLP/HTTP",
        "send gRPC to {grpc}, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ),
    "otlp_on_page": (
        "OTLP came to the port of this page",
        "send it to {http} (HTTP) or {grpc} (gRPC)",
    ),
    "path": (
        "a request came to a path that takes no OTLP",
        "set OTEL_EXPORTER_OTLP_ENDPOINT={http} with no path behind it",
    ),
    "content_type": (
        "a content type or encoding that is not read here",
        "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; JSON and gzip are read as well",
    ),
    "malformed": (
        "a request whose body is not OTLP",
        "is it another protocol (Zipkin, Jaeger, OpenInference of its own)? Only OTLP is read",
    ),
    "too_large": (
        "a request that is too large",
        "export smaller batches: OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    ),
    "token": (
        "a sender without the token",
        "set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20 and the value of TOLLSPAN_TOKEN",
    ),
    "stranger": (
        "a browser page of another site, or another host name",
        "ask for 127.0.0.1 or localhost; with TOLLSPAN_TOKEN other names are answered, too",
    ),
    "overloaded": (
        "spans came faster than the ledger takes them",
        "senders come back by themselves; `tollspan stage` is made for such rates",
    ),
    "ledger": (
        "the ledger could not take spans",
        "is the disk full? Senders try again for a while",
    ),
}
"""By cause: what happened, and what to do about it."""

BY_STATUS = {
    400: "malformed",
    401: "token",
    403: "stranger",
    404: "path",
    405: "path",
    413: "too_large",
    415: "content_type",
    429: "overloaded",
    503: "ledger",
}


@dataclass(slots=True)
class _Seen:
    count: int = 0
    last: str = ""


class Arrivals:
    """Counts refusals by cause; any thread may ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[str, _Seen] = {}

    def note(self, cause: str) -> None:
        """Somebody was refused because of `cause`, a name of `CAUSES`."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            seen = self._seen.setdefault(cause, _Seen())
            seen.count += 1
            seen.last = now

    def told(self, urls: Mapping[str, str]) -> list[dict[str, Any]]:
        """`[{cause, count, last, said, advice}]`, the latest first; `urls` fill the advice."""
        with self._lock:
            seen = sorted(self._seen.items(), key=lambda each: each[1].last, reverse=True)
            return [
                {
                    "cause": cause,
                    "count": each.count,
                    "last": each.last,
                    "said": CAUSES[cause][0],
                    "advice": CAUSES[cause][1].format_map(urls),
                }
                for cause, each in seen
            ]

    def at_receiver(self, app: ASGIApp) -> ASGIApp:
        """`app`, the OTLP/HTTP receiver behind its gate, with its refusals counted."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    cause = BY_STATUS.get(message["status"])
                    if cause is not None:
                        self.note(cause)
                await send(message)

            await app(scope, receive, sending)

        return watched

    def at_intake(self, intake: Intake) -> Intake:
        """`intake` of the OTLP/gRPC receiver, with its refusals counted."""
        return _Watched(intake, self.note)

    def at_page(self, app: ASGIApp) -> ASGIApp:
        """`app`, the page and its API, with the OTLP counted that comes there by mistake."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] in OTLP_PATHS:
                self.note("otlp_on_page")
            await app(scope, receive, send)

        return watched

    def protocol(self, cause: str) -> type[Any]:
        """uvicorn's protocol, which counts as `cause` what begins as gRPC does."""
        arrivals = self

        class Listening(Patient):
            _heard = False

            def data_received(self, data: bytes) -> None:
                if not self._heard:
                    self._heard = True
                    if data.startswith(HTTP2_PREFACE):
                        arrivals.note(cause)
                super().data_received(data)

        return Listening


class _Watched:
    """An `Intake` whose refusals are told to `note` by their cause."""

    def __init__(self, intake: Intake, note: Callable[[str], None]) -> None:
        self._intake = intake
        self._note = note

    def traces(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        return self._heard(self._intake.traces, body, is_json)

    def metrics(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        return self._heard(self._intake.metrics, body, is_json)

    def logs(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        return self._heard(self._intake.logs, body, is_json)

    def _heard(
        self, take: Callable[..., Future[bytes]], body: bytes, is_json: bool
    ) -> Future[bytes]:
        try:
            return take(body, is_json=is_json)
        except Refusal as refusal:
            cause = BY_STATUS.get(refusal.http_status)
            if cause is not None:
                self._note(cause)
            raise
