"""One request and its answer on the wire: waits, answers or breaks off as the step says.

What the log says is settled before the last byte leaves, so that a client that has its answer, or
its broken connection, finds the truth in the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from ._reply import Event, Reply
from ._wire import Wire
from .answers import Answer
from .steps import USUAL, Step

__all__ = ["Connection", "Exchange", "Left"]


class Left(ConnectionError):
    """The client is not there any more, or the server closes."""


class Connection(Protocol):
    """The client, as an exchange needs it."""

    def pause(self, seconds: float | None) -> None:
        """Let time pass; None: for ever. Raises `Left` as soon as the client has left."""
        ...

    def send(self, data: bytes) -> None:
        """Write `data`. Raises `Left` when the client has left."""
        ...

    def break_off(self) -> None:
        """Close the connection now, whatever was announced."""
        ...


class Exchange:
    """Answers one request by one step."""

    def __init__(
        self,
        connection: Connection,
        answer: Answer,
        step: Step,
        wire: Wire,
        reply: Reply,
        headers: Mapping[str, str],
        request_id: str,
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._step = step
        self._wire = wire
        self._reply = reply
        self._headers = {**headers, **{key.lower(): step.headers[key] for key in step.headers}}
        self._request_id = request_id

    def run(self) -> None:
        """Answer, and leave the truth in the log.

        Raises:
            Left: the client left; the log says so.
        """
        step = self._step
        try:
            self._connection.pause(step.delay_s)
        except Left:
            # The model is at work by now: whoever leaves a plain request waiting still pays for it.
            if step.code == 200 and step.raw is USUAL and step.raw_chunks is None:
                self._bill(0)
            raise
        if step.raw_chunks is not None:
            self._stream(self._raw_events(step.raw_chunks))
        elif step.raw is not USUAL or step.code != 200:
            self._whole()
        elif step.cut in ("disconnect", "hang") and step.after_chunks is None:
            self._break()
        elif self._answer.stream and (events := self._wire.events(self._reply)):
            self._bill(0)
            self._stream(self._scripted(events))
        elif step.cut == "error":
            self._answer.status = 500
            self._plain(self._wire.error(500, step.error, self._request_id))
        else:
            self._bill(None)
            self._plain(self._wire.body(self._reply), cut=bool(step.cut))

    # --- the log ----------------------------------------------------------------------------------
    def _bill(self, sent: int | None) -> None:
        """The answer is a good one; `sent` pieces of a stream are out, None: all of it.

        Moderations are free.
        """
        answer, reply = self._answer, self._reply
        answer.status = self._step.code
        answer.model_served = reply.model
        answer.response_id = self._wire.response_id(reply)
        answer.service_tier = self._wire.service_tier(reply)
        used = reply.usage
        if sent is not None and answer.stream:
            used = used.cut(sent, reply.parts)
            answer.chunks = sent
        answer.usage = None if answer.api == "moderations" else used.as_dict()
        whole = sent is None or sent == reply.parts or not answer.stream
        answer.cost = reply.cost if whole else None

    # --- whole bodies -----------------------------------------------------------------------------
    def _whole(self) -> None:
        """An error, or something odd."""
        step, answer = self._step, self._answer
        if step.billed:
            self._bill(None)
        answer.status = step.code
        if step.raw is USUAL:
            return self._plain(self._wire.error(step.code, step.error, self._request_id))
        if answer.stream and step.code == 200:
            return self._stream(self._raw_events([step.raw]))
        return self._plain(step.raw)

    def _plain(self, body: Any, cut: bool = False) -> None:
        step = self._step
        data = _encoded(body)
        headers = {"content-type": "application/json", **self._headers}
        headers["content-length"] = str(len(data))
        if step.retry_after_s is not None:
            headers["retry-after"] = f"{step.retry_after_s:g}"
            headers["retry-after-ms"] = f"{step.retry_after_s * 1000:g}"
        head = _head(self._answer.status or 200, headers)
        if cut:
            self._connection.send(head + data[: len(data) // 2])
            return self._break()
        self._finish(head + data)
        return None

    # --- streams ----------------------------------------------------------------------------------
    def _stream(self, parts: Iterator[bytes]) -> None:
        self._answer.status = self._answer.status or 200
        headers = {"content-type": "text/event-stream; charset=utf-8", **self._headers}
        headers["transfer-encoding"] = "chunked"
        self._connection.send(_head(self._answer.status, headers))
        for part in parts:
            self._connection.send(_chunk(part))
        if self._step.cut == "error":
            self._connection.send(b"0\r\n\r\n")
        elif not self._step.cut or self._step.raw_chunks is not None:
            self._finish(b"0\r\n\r\n")

    def _scripted(self, events: list[Event]) -> Iterator[bytes]:
        """The answer's events until the step cuts it; what is out is billed as it leaves."""
        step, sent, pieces = self._step, 0, self._reply.parts
        last = min(step.after_chunks or 0, pieces) if step.cut else None
        for event in events:
            if last is not None and sent >= last and (event.piece or sent == pieces):
                yield from self._cut()
                return
            if event.piece:
                self._connection.pause(step.between_chunks_s)
                sent += 1
                self._bill(sent)
            else:
                self._connection.pause(0)
            yield _framed(event)

    def _cut(self) -> Iterator[bytes]:
        if self._step.cut == "error":
            yield _framed(self._wire.error_event(self._step.error, self._request_id))
        else:
            self._break()

    def _raw_events(self, chunks: Any) -> Iterator[bytes]:
        if self._step.billed:
            self._bill(None)
        for chunk in chunks:
            self._connection.pause(self._step.between_chunks_s)
            if isinstance(chunk, bytes | str):
                yield chunk if isinstance(chunk, bytes) else chunk.encode()
            elif isinstance(chunk, tuple) and len(chunk) == 2 and isinstance(chunk[0], str):
                yield _framed(Event(chunk[1], chunk[0]))
            else:
                named = chunk.get("type") if isinstance(chunk, dict) else None
                yield _framed(Event(chunk, named if isinstance(named, str) else ""))
        if self._step.done and self._answer.api in ("chat_completions", "completions"):
            yield _framed(Event("[DONE]"))

    # --- the end ----------------------------------------------------------------------------------
    def _finish(self, last: bytes) -> None:
        self._answer.completed = True
        try:
            self._connection.send(last)
        except Left:
            self._answer.completed = False
            raise

    def _break(self) -> None:
        if self._step.cut == "hang":
            self._connection.pause(None)
        self._connection.break_off()


def _framed(event: Event) -> bytes:
    data = event.data if isinstance(event.data, str) else json.dumps(event.data)
    name = f"event: {event.name}\n" if event.name else ""
    return f"{name}data: {data}\n\n".encode()


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part) if part else b""


def _encoded(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _head(code: int, headers: Mapping[str, str]) -> bytes:
    known = code in HTTPStatus.__members__.values()
    phrase = HTTPStatus(code).phrase if known else "Unknown"
    lines = [f"HTTP/1.1 {code} {phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
