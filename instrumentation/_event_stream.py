"""Event streams of botocore and aiobotocore, watched: same object, same class, same methods.

An `EventStream` parses what its `_event_generator` gives; a watching iterator takes that place. It
sees the messages as they came (`headers`, `payload`), so that nothing has to be parsed for it. What
fails is seen where the SDK parses: there it raises what the service sent as an exception.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from tollspan.guard import quietly

from ._call import Call
from ._stream import AsyncChunks, SyncChunks

__all__ = ["watch_events"]


def watch_events(stream: Any, answer: Any, call: Call) -> None:
    """Watch `stream`, which `answer` holds. The fold's `opened` gets the answer."""
    inner = stream._event_generator
    call.watched(answer)
    if (step := getattr(inner, "__next__", None)) is not None:
        stream._event_generator = SyncChunks(inner, call, step)
    else:
        stream._event_generator = AsyncChunks(inner, call, inner.__anext__)
    stream._parse_event = _parsing(stream, call)
    stream.close = _closing(stream, call)


def _parsing(stream: Any, call: Call) -> Callable[[Any], Any]:
    """In place of the stream's `_parse_event`, which only its own iteration calls. The stream is
    held weakly: an object that holds itself would be freed later than the SDK means it to be."""
    known, original = weakref.ref(stream), type(stream)._parse_event

    def parse(event: Any) -> Any:
        try:
            return original(known(), event)
        except BaseException as error:
            with quietly:
                call.fail(error)
            raise

    async def parse_async(event: Any) -> Any:
        try:
            return await original(known(), event)
        except BaseException as error:
            with quietly:
                call.fail(error)
            raise

    return parse_async if inspect.iscoroutinefunction(original) else parse


def _closing(stream: Any, call: Call) -> Callable[[], None]:
    """In place of the stream's `close`, which closes its body; also of a stream that has gone."""
    known, body = weakref.ref(stream), stream._raw_stream

    def close() -> None:
        found = known()
        try:
            if found is None:
                body.close()
            else:
                with quietly:
                    found.__dict__.pop("close", None)
                found.close()
        finally:
            with quietly:
                call.abandon()

    return close
