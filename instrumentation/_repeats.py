"""Whether an SDK may repeat a request that failed: asked of `calls.retry` before it leaves again.

SDKs try again after whatever is an `Exception`, so what stops one here is none; the engine, around
the SDK, raises the refusal in its place.
"""

from __future__ import annotations

import sys
from typing import Any

from tollspan import calls, semconv
from tollspan.guard import quietly

__all__ = ["Stopped", "may_leave", "note_answer"]


class Stopped(BaseException):
    """Goes through the SDK, and no further than the engine."""


def may_leave(call: calls.OpenCall) -> None:
    """Return where a request of `call` may leave.

    Raises:
        Stopped: it repeats one that failed, and may not; `call.refused` says why.
    """
    refusal = None
    with quietly:
        outer = call
        while outer.outer is not None:
            outer = outer.outer
        if call.is_watched and outer.attempts and calls.retry is not None:
            last = outer.attempts[-1].attributes
            if semconv.ERROR_TYPE in last:
                refusal = calls.retry(outer)
        if refusal is not None:
            refusal.__cause__ = _cause(call.failure)
            call.refused = refusal
    if refusal is not None:
        raise Stopped


def note_answer(call: calls.OpenCall, response: Any) -> None:
    """Keep an answer that says no, for it to be the cause of a refusal."""
    call.failure = response if response.status_code >= 400 else None


def _cause(failure: Any) -> BaseException | None:
    """What the SDK saw: the exception, or the one that an answer of this status is to it."""
    if failure is None or isinstance(failure, BaseException):
        return failure
    package = type(failure).__module__.partition(".")[0]
    kind: type[BaseException] = sys.modules[package].HTTPStatusError
    try:
        failure.raise_for_status()
    except kind as error:
        return error
    return None
