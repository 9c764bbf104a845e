"""Recorded exchanges, and a local server that answers exactly what was recorded."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

# These belong to the connection that was recorded, not to the answer.
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
)


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. `body` is what goes over the wire, compressed where recorded so."""

    url: str
    asked: Mapping[str, Any]
    """Request body, read as JSON."""
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def text(self) -> str:
        """The answer's body, decompressed."""
        raw = gzip.decompress(self.body) if self.body[:2] == b"\x1f\x8b" else self.body
        return raw.decode()

    @property
    def streamed(self) -> bool:
        return self.text.lstrip().startswith(("data:", "event:"))

    def events(self) -> list[Any]:
        """What each `data:` line of a stream says; read here with nothing but a JSON parser."""
        lines = (line[5:].strip() for line in self.text.splitlines() if line.startswith("data:"))
        return [json.loads(line) for line in lines if line and line != "[DONE]"]

    def json(self) -> Any:
        return json.loads(self.text)


def recorded(file: Path) -> list[Exchange]:
    """The exchanges of a VCR file, in order."""
    return [_exchange(each) for each in yaml.safe_load(file.read_text())["interactions"]]


def _exchange(interaction: Mapping[str, Any]) -> Exchange:
    request, response = interaction["request"], interaction["response"]
    body = response["body"]["string"]
    body = body.encode() if isinstance(body, str) else body
    return Exchange(
        url=request["uri"],
        asked=json.loads(request["body"] or "{}"),
        status=response["status"]["code"],
        headers=list(_headers(response["headers"], body)),
        body=body,
    )


def _headers(recorded: Mapping[str, Any], body: bytes) -> Any:
    packed, typed = body[:2] == b"\x1f\x8b", False
    for name, values in recorded.items():
        lower = name.lower()
        typed = typed or lower == "content-type"
        if lower in _OF_THE_CONNECTION or (lower == "content-encoding" and not packed):
            continue
        for value in [values] if isinstance(values, str) else values:
            yield name, " ".join(value.split())
    if not typed:  # some projects scrub every header; the SDKs go by this one
        stream = body.lstrip().startswith((b"data:", b"event:"))
        yield "content-type", "text/event-stream" if stream else "application/json"


@dataclass
class Received:
    """A request as the server got it."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Replay:
    """A server on 127.0.0.1 that gives the exchanges' answers in order, then 500.

    A stream goes out event by event, in chunks of its own.
    """

    exchanges: Sequence[Exchange]
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        answers = iter(self.exchanges)
        lock, received = threading.Lock(), self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with lock:
                    received.append(Received(self.path, dict(self.headers.items()), body))
                    answer = next(answers, None)
                if answer is None:
                    self.send_error(500, "nothing more was recorded")
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for part in _parts(answer):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def base_url(self, suffix: str) -> str:
        """Where a client must point so that its own `suffix` (`/chat/completions`) fits the recording."""
        path = self.exchanges[0].path
        assert path.endswith(suffix), (path, suffix)
        return self.origin + path.removesuffix(suffix)


def _parts(answer: Exchange) -> Sequence[bytes]:
    if not answer.streamed or answer.body[:2] == b"\x1f\x8b":
        return [answer.body] if answer.body else []
    ends = answer.body.replace(b"\r\n", b"\n").split(b"\n\n")
    return [part + b"\n\n" for part in ends if part.strip()]
