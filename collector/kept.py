"""Requests for a sink that keeps spans: read, offered, answered when they are safe."""

from __future__ import annotations

from concurrent.futures import Future

from . import wire
from .receiver import Received, Sink

__all__ = ["Kept"]


class Kept:
    """An `Intake` in front of a `Sink`. Metrics and logs are counted and not kept."""

    def __init__(self, sink: Sink, received: Received) -> None:
        self._sink = sink
        self._received = received

    def traces(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        decoded = wire.traces(body, is_json=is_json, seals=True)
        rejected = decoded.rejected
        self._received.add(requests=1, spans=decoded.size, rejected=rejected)
        answer: Future[bytes] = Future()

        def safe(done: Future[None]) -> None:
            if (error := done.exception()) is not None:
                answer.set_exception(error)
            else:
                late = decoded.rejected - rejected
                self._received.add(spans=-late, rejected=late)
                answer.set_result(wire.answer(decoded, is_json=is_json))

        self._sink.take(decoded).add_done_callback(safe)
        return answer

    def metrics(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        self._received.add(requests=1, metrics=wire.metrics(body, is_json=is_json))
        return _at_once(is_json)

    def logs(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        self._received.add(requests=1, logs=wire.logs(body, is_json=is_json))
        return _at_once(is_json)


def _at_once(is_json: bool) -> Future[bytes]:
    answer: Future[bytes] = Future()
    answer.set_result(b"{}" if is_json else b"")
    return answer
