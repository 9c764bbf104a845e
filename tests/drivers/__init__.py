"""One driver per SDK: how it is asked, what the provider's server answers, what the span must say.

A driver is data. What is promised to users of every SDK is written once, in `test_providers.py`, and
runs for every driver: `tests/drivers/NAME.py` declares `DRIVER` for the row NAME of the table.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from drivers.server import Answer, Served, http
from tollspan.instrumentation import PROVIDERS

__all__ = ["Answer", "Driver", "Way", "driver", "installed", "json_body", "ndjson", "sse"]

QUESTION = "a question that no span may carry"
ANSWER = "an answer that no span may carry"
KEY = "sk-secret"


def json_body(document: Any) -> Answer:
    """`document` as JSON, in two pieces; a string goes out as it is."""
    text = document if isinstance(document, str) else json.dumps(document)
    return Answer((text[:9].encode(), text[9:].encode()))


def sse(events: Any) -> Answer:
    """Each event as `data:`, and `[DONE]`; what is not a list goes out as one event."""
    each = events if isinstance(events, list) else [events]
    pieces = [f"data: {json.dumps(event)}\n\n".encode() for event in each]
    return Answer((*pieces, b"data: [DONE]\n\n"), {"content-type": "text/event-stream"})


def sse_named(events: Any) -> Answer:
    """Each event under the name that its `type` says, as Anthropic sends them."""
    each = events if isinstance(events, list) else [events]
    pieces = []
    for event in each:
        kind = event.get("type") if isinstance(event, dict) else None
        name = f"event: {kind}\n" if isinstance(kind, str) else ""
        pieces.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return Answer(tuple(pieces), {"content-type": "text/event-stream"})


def ndjson(events: Any) -> Answer:
    """Each event as a line."""
    each = events if isinstance(events, list) else [events]
    pieces = [json.dumps(event).encode() + b"\n" for event in each]
    return Answer(tuple(pieces), {"content-type": "application/x-ndjson"})


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of asking an SDK."""

    name: str
    ask: Callable[[Any], Any] | None = None
    """Client to all that the caller gets; a stream is read to its end, into a list."""
    ask_async: Callable[[Any], Awaitable[Any]] | None = None
    opened: Callable[[Any], Any] | None = None
    """For a stream: client to the stream, of which nothing has been read."""
    opened_async: Callable[[Any], Awaitable[Any]] | None = None
    document: Any
    """What the server answers, as JSON; for a stream the list of its events."""
    encode: Callable[[Any], Answer] = json_body
    """`document`, or a hostile shape of it, as it goes over this wire."""
    says: Mapping[str, Any]
    """What the call span must state; `None` for what it must not."""
    calls: int = 1
    """Calls that the span exporter gets: more where the SDK asks the model several times."""
    hostile: bool = True
    """Whether hostile shapes are worth trying: not where another way has the same wire."""
    since: str = ""
    """Oldest version of the SDK's first requirement that has it."""

    @property
    def streamed(self) -> bool:
        return self.opened is not None or self.opened_async is not None


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One SDK: its clients, and the ways of asking them."""

    name: str
    ways: Sequence[Way]
    client: Callable[[str], Any] | None = None
    """Base URL (`http://127.0.0.1:1234`) to a client that never retries and uses the key `KEY`."""
    client_async: Callable[[str], Any] | None = None
    close: Callable[[Any], Any] = lambda client: client.close()
    close_async: Callable[[Any], Awaitable[Any]] | None = None
    """By default: `await client.close()`."""
    error: Any = field(default_factory=lambda: {"error": {"message": "m", "type": "t"}})
    """Body of an answer with an error status."""
    error_statuses: Sequence[int] = (400, 429, 500)
    shown: Callable[[Any], Any] | None = None
    """What the caller gets, made comparable; by default models by class and content."""
    serve: Callable[[], AbstractContextManager[Served]] = http
    """The provider's server: HTTP, unless the SDK speaks something else."""
    attempts: bool = True
    """Whether HTTP attempts are seen: not over gRPC or websockets."""
    closes: bool = True
    """Whether its streams can be closed by the caller."""
    packages: Sequence[str] = ()
    """Import names whose modules must be as before after `uninstrument()`; default: the SDK's own."""


def driver(name: str) -> Driver:
    found: Driver = import_module(f"drivers.{name}").DRIVER
    return found


def installed() -> Iterator[str]:
    """Rows of the table whose SDK is in this environment."""
    return (name for name, sdk in PROVIDERS.items() if sdk.missing() is None)
