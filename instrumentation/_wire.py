"""Wire capture: what one HTTP exchange of a call was, from its request to the end of its body.

On while `_attempts.wire` is set (`TOLLSPAN_WIRE`, `tollspan.wire()`): a flight then opens a `Recording`,
which holds on to what passes and changes nothing of it. Masking, packing and writing happen in a
thread of ours (`_wire_writer`), on nobody's time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tollspan import redaction_rules, semconv, wirefile
from tollspan.calls import Attempt, OpenCall
from tollspan.config import ConfigError, settings
from tollspan.redaction import Redactor

from . import _attempts
from ._wire_bodies import asked_body, tapped
from ._wire_writer import Writer

__all__ = ["Recording", "begin", "begin_as_set", "end", "wire", "writer", "writer_for"]

MARGIN = 16 * 1024
"""Bytes held beyond what is kept, so that a secret at the end of it is seen whole."""

_OF_CALL = {
    "request_id": semconv.REQUEST_ID,
    "provider": semconv.PROVIDER,
    "operation": semconv.OPERATION,
    "model": semconv.REQUEST_MODEL,
    "data_mode": semconv.DATA_MODE,
}


class Recording:
    """One exchange while it happens. Times are of the monotonic clock, in seconds."""

    __slots__ = (
        "asked_size",
        "asked_unseen",
        "call",
        "ended_s",
        "error",
        "head_s",
        "headers",
        "held",
        "how",
        "id",
        "limit",
        "method",
        "most",
        "pieces",
        "request_headers",
        "request_pieces",
        "size",
        "started_ns",
        "started_s",
        "status",
        "times_s",
        "undo",
        "unseen",
        "url",
        "writer",
    )

    def __init__(
        self,
        writer: Writer,
        facts: Mapping[str, Any],
        start_ns: int,
        method: str,
        url: Any,
        headers: Iterable[Any],
    ) -> None:
        """`facts`: what the file says of the call. `start_ns`: since the epoch."""
        self.writer = writer
        self.id = wirefile.new_id(start_ns)
        self.started_ns = start_ns
        self.started_s = monotonic()
        self.limit = settings().wire_exchange_kb * 1024
        self.most: float = self.limit + MARGIN if self.limit else inf
        """Bytes of a body after which no more of it is held."""
        self.call = dict(facts)
        self.method = method
        self.url = url
        self.request_headers: list[Any] = list(headers)
        self.request_pieces: list[bytes] = []
        self.asked_size = 0
        self.asked_unseen = ""
        """Why the request's body is not known; '' where it is."""
        self.undo: Any = None
        self.status = 0
        self.head_s = 0.0
        self.headers: list[Any] = []
        self.pieces: list[bytes] = []
        self.times_s: list[float] = []
        """When each piece came. Apart from them: pairs would keep the caller's garbage collector busy."""
        self.size = 0
        self.held = 0
        """Bytes of both bodies that are kept in memory, once it is over."""
        self.unseen = ""
        self.how = ""
        """`complete`, `closed`, `dropped`, `broken`, `cancelled`, `failed` or `exit`, once over."""
        self.error = ""
        self.ended_s = 0.0

    def begin(self) -> None:
        """From now on it is written, however it ends."""
        self.writer.start()
        self.writer.open[id(self)] = self

    # --- told by the flight -----------------------------------------------------------------------
    def answered(self, status: int, headers: Iterable[Any]) -> None:
        """The response's head is there."""
        self._sent()
        self.status, self.head_s, self.headers = status, monotonic(), list(headers)

    def watch(self, response: Any) -> None:
        """See the body of `response` as the caller reads it."""
        tapped(response, self)

    def failed(self, error: BaseException) -> None:
        """No response came, or its body broke off."""
        if self.how:
            return
        self._sent()
        self.error = type(error).__qualname__
        if not isinstance(error, Exception):
            self.finish("closed" if isinstance(error, GeneratorExit) else "cancelled")
        else:
            self.finish("broken" if self.status else "failed")

    def _sent(self) -> None:
        undo, self.undo = self.undo, None
        if undo is not None:
            undo()

    # --- told by the bodies -----------------------------------------------------------------------
    def asked(self, piece: Any) -> None:
        """A piece of the request's body left."""
        if self.asked_size < self.most:
            self.request_pieces.append(bytes(piece))
        self.asked_size += len(piece)

    def saw(self, piece: Any) -> None:
        """A piece of the response's body came to the caller, who waits: a stream has hundreds."""
        length = len(piece)
        if self.how or not length:
            return
        if self.size < self.most:
            self.times_s.append(monotonic())
            self.pieces.append(piece if type(piece) is bytes else bytes(piece))
        self.size += length

    def finish(self, how: str) -> None:
        """The exchange is over; only the first end counts. Safe in finalisers."""
        if self.writer.open.pop(id(self), None) is not None:
            self.how, self.ended_s = how, monotonic()
            self.held = sum(map(len, self.pieces)) + sum(map(len, self.request_pieces))
            self.writer.put(self)


def _facts(call: OpenCall, attempt: Attempt) -> dict[str, Any]:
    """Which call this is an exchange of."""
    known = call.attributes
    facts = {name: known[key] for name, key in _OF_CALL.items() if key in known}
    outer = call
    while outer.outer is not None:
        outer = outer.outer
    context = outer.span.get_span_context()
    ids: dict[str, Any] = {}
    if context.is_valid:  # where nothing is exported, a call may have no trace
        ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return {
        **ids,
        "attempt": attempt.attributes.get(semconv.ATTEMPT),
        **facts,
    }


# --- on and off -----------------------------------------------------------------------------------

writer: Writer | None = None
"""Of this process, once capture was on."""


def begin(place: Path) -> Writer:
    """Capture to `place` from now on, with what is given back.

    Raises:
        ConfigError: the folder or the file of rules cannot be used.
    """
    global writer
    writer = made = writer_for(place)

    def opened(call: OpenCall, attempt: Attempt, request: Any) -> Recording:
        headers = request.headers
        recording = Recording(
            made,
            _facts(call, attempt),
            attempt.start_ns,
            request.method,
            request.url,
            getattr(headers, "raw", None) or headers.items(),
        )
        asked_body(request, recording)
        recording.begin()
        return recording

    _attempts.wire = opened
    return made


def writer_for(place: Path) -> Writer:
    """What writes to `place`, masked as the settings say. Raises as `begin`."""
    rules = redaction_rules.usual(settings().redact)
    # Patterns hold the interpreter's lock: between two of them the application gets it.
    redactor = Redactor(rules, settings().hash_key, between=partial(sleep, 0))
    return Writer(wirefile.usable(place).absolute(), redactor)


def begin_as_set() -> None:
    """Capture if the settings ask for it; if that cannot be, say so once and let all calls go on."""
    place = wirefile.folder()
    if place is None or (writer is not None and writer.place == place and _attempts.wire):
        return
    try:
        begin(place)
    except ConfigError as error:
        import logging

        logging.getLogger("tollspan").warning("nothing is captured: %s", error)


def end() -> None:
    """Capture nothing more. What is under way is still written."""
    _attempts.wire = None


@contextmanager
def wire(folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Capture the HTTP exchanges of LLM calls in this process to `folder`, while the block runs.

        with tollspan.wire("captures") as folder:
            client.chat.completions.create(...)

    Without `folder`: where `TOLLSPAN_WIRE` says, else a folder in the state home. At the end of the
    block everything stands in the folder. The SDKs must be watched (`tollspan.instrument()`).

    Raises:
        ConfigError: the folder or the file of rules cannot be used.
    """
    place = Path(folder) if folder is not None else wirefile.folder() or wirefile.folder("1")
    assert place is not None
    before = _attempts.wire
    mine = begin(place)
    try:
        yield place
    finally:
        _attempts.wire = before
        mine.flush()
