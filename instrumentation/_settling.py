"""What becomes of a call that has ended: its span says all that its answer, attempts and inner calls told.

It is done in steps, for many calls at a time where that can be: each step has little code, which
stays in the processor's cache from one call to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tollspan import calls, semconv
from tollspan.guard import quietly

from . import _attempts
from ._blocked import stopped
from ._headroom import headroom
from ._hosts import provider_at
from ._restated import counted_by_library, restated
from ._spec import Attributes

if TYPE_CHECKING:
    from ._call import Call

__all__ = ["STEPS", "UNREAD", "Ending", "concluded", "stated"]

Ending = tuple[str, Attributes, "str | None"]
"""How a call ended: its status, what was found, and what the span's status says of a failure."""

UNREAD = ""
"""The status of a call whose answer is read when it is settled: what was found is what the surface's
`response` reads."""
_UNKNOWN: Ending = "success", {}, None


def stated(call: Call, found: Attributes) -> Attributes:
    """0 as a cost is a price only from who sends the bill: others write it for an unknown."""
    free = found.get(semconv.COST_REPORTED) == 0
    if not free or call.attributes.get(semconv.PROVIDER) == "openrouter":
        return found
    return {name: value for name, value in found.items() if name != semconv.COST_REPORTED}


def concluded(found: Attributes) -> Ending:
    """How a call ended whose whole answer has come."""
    if (kind := found.get(semconv.ERROR_TYPE)) is not None:
        return "error", found, str(kind)
    blocked = semconv.BLOCKED_BY in found or stopped(found.get(semconv.FINISH_REASONS))
    return "blocked" if blocked else "success", found, None


# --- what is done with a call that has ended, one after another: see `calls.OpenCall.steps` -------


def _read(call: Call) -> None:
    ending, call.ending = call.ending, _UNKNOWN  # until it has been read
    call.ending = call.read(*ending)


def _read_attempts(call: Call) -> None:
    _attempts.close(call)
    for attempt in call.attempts:
        attempt.read()


def _gather(call: Call) -> None:
    """Put all that is known together, on the call."""
    status, found, _ = call.ending
    known = {**found}
    if None in known.values():
        known = {name: value for name, value in known.items() if value is not None}
    if call.attempts:
        known[semconv.APP_ATTEMPTS] = len(call.attempts)
        last = call.attempts[-1].attributes
        with quietly:
            headroom(known, last)
        if (served := last.get(_SERVED_BY)) is not None:
            known.setdefault(semconv.RESPONSE_PROVIDER, served)
    if call.inner and counted_by_library(known, call.inner[-1]):
        known[semconv.USAGE_UNTRUSTED] = True
    if call.surface.around and semconv.PROVIDER not in known:
        with quietly:
            known.update(_asked_inside(call))
    if semconv.BACKGROUND in known:
        from ._once import counted_once  # few answers come more than once

        known = dict(counted_once(known))
    if semconv.COST_ROLE in call.attributes:
        call.usage, known = restated(known)
    known[semconv.STATUS] = status
    if call.first_chunk_s is not None:
        known[semconv.TIME_TO_FIRST_CHUNK] = call.first_chunk_s
    if type(reasons := known.get(semconv.FINISH_REASONS)) is list:
        known[semconv.FINISH_REASONS] = tuple(reasons)  # as spans have it
    call.attributes.update(known)


def _settle(call: Call) -> None:
    if calls.settler is not None:
        call.attributes.update(calls.settler.settle(call))


def _write(call: Call) -> None:
    if call.span.is_recording():
        calls.write(call.span, call.attributes)


def _end_span(call: Call) -> None:
    if call.adopted:
        return
    if (failure := call.ending[2]) is not None and call.span.is_recording():
        call.span.set_status(trace.StatusCode.ERROR, failure)
    call.span.end(call.end_ns)


def _release(call: Call) -> None:
    try:
        if calls.settler is not None:
            calls.settler.release(call)
    finally:
        calls.open_calls.pop(call.span_id, None)
        for told in calls.after:
            with quietly:
                told(call)
        if call.outer is not None:
            call.outer.inner.append(call)


def _end(call: Call) -> None:
    """In one step: the spans of a call stay together on their way."""
    try:
        _end_span(call)
    finally:
        _release(call)


STEPS: tuple[Callable[[Any], None], ...] = (_read, _read_attempts, _gather, _settle, _write, _end)


_SERVED_BY = semconv.RESPONSE_HEADER_PREFIX + "x-inference-provider"
"""Hugging Face's router names the provider that it chose."""

_WHO = (
    *(semconv.PROVIDER, semconv.SERVER_ADDRESS, semconv.SERVER_PORT),
    semconv.API_KEY_FINGERPRINT,
)


def _asked_inside(call: Call) -> dict[str, Any]:
    """Who was asked last inside a library's call: by the call there, or by its HTTP request alone."""
    if call.inner:
        inner = call.inner[-1].attributes
        return {name: inner[name] for name in _WHO if name in inner}
    if call.attempts:
        host = call.attempts[-1].attributes.get(semconv.SERVER_ADDRESS)
        if isinstance(host, str) and (name := provider_at(host)) is not None:
            return {semconv.PROVIDER: name}
    return {}
