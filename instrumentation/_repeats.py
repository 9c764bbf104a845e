"""Whether an SDK may repeat a request that failed: asked of `calls.retry` before it leaves again.

SDKs try again after whatever is an `Exception`, so what stops one here is none; the engine, around
the SDK, raises the refusal in its place. botocore is told to try no more, and raises what it has.
"""

from __future__ import annotations

import sys
from typing import Any

from tollspan import calls, semconv
from tollspan.guard import quietly

__all__ = ["Stopped", "explain", "may_leave", "may_repeat", "note_answer", "note_failure"]


class Stopped(BaseException):
    """Goes through the SDK, and no further than the engine."""


def may_leave(call: calls.OpenCall) -> None:
    """Return where a request of `call` may leave.

    Raises:
        Stopped: it repeats one that failed, and may not; `call.refused` says why.
    """
    if calls.retry is not None and not may_repeat(call):
        raise Stopped


def may_repeat(call: calls.OpenCall) -> bool:
    """Whether a request of `call` may leave; `call.refused` says why not, and so do the calls around
    it. Of one repeat it is asked once, through however many clients it goes."""
    refusal = None
    with quietly:
        outer = call
        while outer.outer is not None:
            outer = outer.outer
        made = len(outer.attempts)
        if not call.is_watched or not made or made == outer.asked_after or calls.retry is None:
            return True
        if semconv.ERROR_TYPE in outer.attempts[-1].attributes:
            for attempt in outer.attempts:
                attempt.read()
            refusal = calls.retry(outer)
            if refusal is None:
                outer.asked_after = made
        if refusal is not None:
            refusal.__cause__ = _cause(call.failure)
            above: calls.OpenCall | None = call
            while above is not None:
                if above.is_watched:
                    above.refused = refusal
                above = above.outer
    return refusal is None


def note_failure(call: calls.OpenCall, error: BaseException) -> None:
    """Keep the exception with which an attempt failed, for it to be the cause of a refusal."""
    if calls.retry is not None:
        call.failure = error


def note_answer(call: calls.OpenCall, response: Any, status: int) -> None:
    """Keep an answer that says no, likewise."""
    if calls.retry is not None:
        call.failure = response if status >= 400 else None


def explain(refused: calls.Refusal, error: BaseException) -> None:
    """What the SDK itself ended with is why it wanted to try again, where nothing better is known."""
    if refused.__cause__ is None and isinstance(error, Exception) and error is not refused:
        refused.__cause__ = error


def _cause(failure: Any) -> BaseException | None:
    """What the SDK saw: the exception, or the one that an answer of this status is to its client."""
    if failure is None or isinstance(failure, BaseException):
        return failure
    client = sys.modules[type(failure).__module__.partition(".")[0]]
    names = ("HTTPStatusError", "HTTPError", "ClientResponseError")  # httpx, requests, aiohttp
    kind = next((found for name in names if (found := getattr(client, name, None))), None)
    if kind is None:
        return None
    try:
        failure.raise_for_status()
    except kind as error:
        return error  # type: ignore[no-any-return]
    return None
